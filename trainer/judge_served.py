"""`evaluate`: the version that serves, on the marts as they are now."""

from collections.abc import Sequence

import numpy as np

from trainer import console, gate
from trainer.database import Address, connect
from trainer.errors import ReleaseError
from trainer.judging import SPLIT_NAMES, Judgement, build_holdout, holdout_split, judge
from trainer.mart import read_mart
from trainer.migrations import require_registry
from trainer.through_sql import evaluate_through_sql, write_ann_recall

# what fits a terminal of 80 columns; every metric is in metrics.json, the report and recsys.evaluations
SHOWN_METRICS = ("recall@20", "ndcg@20", "auc", "coverage@20", "dislike@20")


def evaluate_served(where: Address, baselines: Sequence[str], *, is_tuned: bool = False) -> None:
    """Score the version that serves on the marts as they are now, beside baselines; writes nothing."""
    with connect(where, autocommit=True) as connection:
        require_registry(connection)
        mart = read_mart(connection)
        champion = gate.read_champion(connection, mart)
    if champion is None:
        raise ReleaseError("no version is active", "train one with `python -m trainer`")
    print_judgement(
        judge(mart, None, champion, baselines, lambda line: console.say(f"  {line}"), is_tuned=is_tuned)
    )


def evaluate_sql(where: Address) -> None:
    """Ask the serving function for holdout users: what index and filters cost beside the exact list.

    What the index costs is kept for marts.rpt_model_health; nothing else is written.
    """
    with connect(where, autocommit=True) as connection:
        require_registry(connection)
        mart = read_mart(connection)
        stages = evaluate_through_sql(connection, mart, build_holdout(mart))
        write_ann_recall(connection, SPLIT_NAMES[holdout_split(mart)], stages)
    rows = [[s.name, f"{s.recall:.4f}", f"{s.ndcg:.4f}", f"{s.kept:.4f}"] for s in stages]
    console.table("Through recommend_videos", ["lists", "recall@20", "ndcg@20", "share of exact"], rows)


def print_judgement(judgement: Judgement) -> None:
    """The model beside champion and baselines, best NDCG first."""
    ordered = sorted(judgement.evaluations, key=lambda e: -e.metrics["ndcg@20"])
    names = [name for name in SHOWN_METRICS if np.isfinite(judgement.own.metrics.get(name, np.nan))]
    rows = [[e.name, *(f"{e.metrics.get(name, np.nan):.4f}" for name in names)] for e in ordered]
    title = (
        f"On the {judgement.split} split, {len(judgement.own.user_rows):,} users, the whole catalogue ranked"
    )
    console.table(title, ["model", *names], rows)
