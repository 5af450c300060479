"""Recall@20 and NDCG@20 of the towers on a benchmark set, whole catalogue, training rows masked.

    python tests/benchmarks/towers_ranking.py --data DIR --set movielens --split random [--dial name=value]

Dials are fields of TrainingConfig (`history.half_life_days=30` reaches into HistoryConfig); one line per run.
"""

import argparse
import ast
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from towers_sets import load_mart

from trainer.histories import pairs_of
from trainer.mart import LIKE, TEST, TRAIN, Mart
from trainer.trained import TrainedModel
from trainer.training import TrainingConfig, fit


def configured(dials: list[str]) -> TrainingConfig:
    """The default with some dials moved."""
    config = TrainingConfig()
    for dial in dials:
        name, text = dial.split("=", 1)
        try:
            value = ast.literal_eval(text)
        except (ValueError, SyntaxError):
            value = text
        if name.startswith("history."):
            config = replace(config, history=replace(config.history, **{name[8:]: value}))
        else:
            config = replace(config, **{name: value})
    return config


def holdout(model: TrainedModel, mart: Mart, k: int = 20) -> tuple[float, float, float]:
    """(Recall@k, NDCG@k, mean) over users with a training row and a warm relevant video."""
    rows = mart.interactions
    n_users = len(mart.user_keys)
    likes = (rows.label == LIKE) & (rows.split == TRAIN)
    warm = np.zeros(len(mart.catalogue), np.bool_)
    warm[rows.item_index[(rows.split != TEST)]] = True
    relevant = pairs_of(
        rows.where((rows.split == TEST) & (rows.label == LIKE) & warm[rows.item_index]), n_users, 10**9, None
    )
    seen = pairs_of(rows.where(rows.split != TEST), n_users)
    users = np.flatnonzero((np.diff(relevant.starts) > 0) & (np.diff(seen.starts) > 0))
    v, h = model.item_vectors()
    u = model.user_vectors(model.histories(mart, "train").take(users), h)
    recall, ndcg = [], []
    discounts = 1 / np.log2(np.arange(2, k + 2))
    for s in range(0, len(users), 512):
        part = users[s : s + 512]
        scores = u[s : s + 512] @ v.T
        hide, want = seen.take(part), relevant.take(part)
        scores[hide.rows, hide.items] = -np.inf
        scores[:, ~warm] = -np.inf
        top = np.argpartition(-scores, k, axis=1)[:, :k]
        top = np.take_along_axis(top, np.argsort(-np.take_along_axis(scores, top, 1), axis=1), 1)
        wanted = np.zeros(scores.shape, np.bool_)
        wanted[want.rows, want.items] = True
        hits = np.take_along_axis(wanted, top, 1)
        n = np.diff(want.starts)
        recall += list(hits.sum(1) / n)
        ndcg += list((hits @ discounts) / np.cumsum(discounts)[np.minimum(n, k) - 1])
    return float(np.mean(recall)), float(np.mean(ndcg)), float(likes.sum())


def main() -> None:
    """One run, one line per epoch and one for the holdout."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--set", default="movielens")
    parser.add_argument("--split", default="random")
    parser.add_argument(
        "--ids-only", action="store_true", help="no content, no times: like a published split"
    )
    parser.add_argument("--dial", action="append", default=[])
    parser.add_argument("--quiet", action="store_true")
    args = parser.parse_args()
    mart = load_mart(args.data, args.set, args.split, content=not args.ids_only, times=not args.ids_only)
    started = time.perf_counter()
    say = (
        None
        if args.quiet
        else lambda r: print(
            f"  {r.epoch:3d} loss {r.loss:.4f} val {r.val_ndcg} {r.seconds:.1f}s", flush=True
        )
    )
    model = fit(mart, configured(args.dial), say)
    seconds = time.perf_counter() - started
    recall, ndcg, _ = holdout(model, mart)
    print(
        f"{args.set} {args.split}{' ids' if args.ids_only else ''} {' '.join(args.dial)}: "
        f"recall@20 {recall:.4f} ndcg@20 {ndcg:.4f} epochs {len(model.curve)} {seconds:.0f}s",
        flush=True,
    )


if __name__ == "__main__":
    main()
