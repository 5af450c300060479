"""Our towers, every baseline and `implicit`'s ALS on the same splits: quality, seconds, peak memory, ratios.

    python tests/benchmarks/peers.py --data DIR [--only WORD] [--models "NAME;NAME"] [--untuned]
                                     [--rectools PYTHON]

DIR holds `movielens-latest-2149u/` and `movietweetings-140k/` (see datasets.py). Each model runs in its own
process, so that peak memory is its own; what reading the data takes is subtracted. Settings are chosen on a
held-out part of the training likes, never on the holdout; `tune s` is what that took. `implicit` is optional:
pip install implicit; so is RecTools' DSSM, in an environment of its own (rectools_dssm.py), named by its
Python. Reference figures (an independent check, Recall@20 / NDCG@20): movietweetings time
split, popularity .1508 / .0734, EASE .1314 / .0676; 5-core, popularity .2794 / .1479, EASE .3067 / .1789.
"""

import argparse
import json
import multiprocessing
import os
import resource
import subprocess
import time
import warnings
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

os.environ.setdefault(
    "OPENBLAS_NUM_THREADS", "1"
)  # implicit took three times as long with OpenBLAS's own threads

import numpy as np
from datasets import Split, splits
from threadpoolctl import threadpool_limits

from trainer.baselines import NAMES, Baseline, Likes, best_settings, fit_baselines
from trainer.evaluation import evaluate
from trainer.mart import TRAIN
from trainer.process_group import Group
from trainer.ranking import Scorer
from trainer.start_maker import Chosen
from trainer.towers_start import start_towers
from trainer.training import TrainingConfig, fit
from trainer.training_run import Run
from trainer.validation import Validation

TOWERS, PEER, DSSM = "two_tower", "implicit ALS 256", "RecTools DSSM 256"
CLOSED_FORM = "two_tower, not tuned"  # where training starts, at the default dials
SHOWN = (
    "recall@20",
    "ndcg@20",
    "map@20",
    "auc",
    "coverage@20",
    "gini@20",
    "dislike@20",
    "largest_maker_share@20",
)
# implicit weighs an observed pair 1 + alpha beside 1, without scaling reg by frequency
IMPLICIT_SETTINGS = ((10.0, 30.0), (10.0, 100.0), (30.0, 100.0), (30.0, 200.0), (3.0, 30.0))


def fit_implicit(likes: Likes, settings: tuple[float, ...]) -> Baseline:
    from implicit.als import AlternatingLeastSquares

    alpha, reg = settings
    model = AlternatingLeastSquares(256, alpha=alpha, regularization=reg, iterations=10, random_state=0)
    with threadpool_limits(1, "blas"):
        model.fit(likes.matrix, show_progress=False)
    return Baseline(PEER, {"alpha": alpha, "reg": reg}, (model.user_factors, model.item_factors))


def fit_rectools(split: Split, python: Path) -> tuple[Scorer, dict[str, Any]]:
    """RecTools' DSSM by another Python; it has no settings to tune here."""
    users, items = split.holdout.train.nonzero()
    catalogue = split.mart.catalogue
    features = [(i, "id", str(i)) for i in range(len(catalogue))]
    features += [(i, "maker", maker) for i, maker in enumerate(catalogue.maker) if maker]
    features += [(i, "tag", tag) for i, tags in enumerate(catalogue.tags) for tag in tags]
    owners, names, values = (np.array(column) for column in zip(*features, strict=True))
    with TemporaryDirectory() as folder:
        source, target = Path(folder) / "likes.npz", Path(folder) / "vectors.npz"
        n_users, n_items = split.holdout.train.shape
        np.savez(
            source, user=users, item=items, n_users=n_users, n_items=n_items,
            feature_item=owners, feature_name=names, feature_value=values,
        )  # fmt: skip
        command = [python.absolute(), Path(__file__).with_name("rectools_dssm.py").absolute(), source, target]
        # it leaves checkpoints where it stands
        run = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
        vectors = np.load(target)
        scorer = vectors["users"], vectors["items"]
    said = json.loads(run.stdout.splitlines()[-1])
    return scorer, {"tune_s": 0.0, "settings": {"epochs": said.pop("epochs")}} | said


def fit_closed_form(split: Split) -> tuple[Scorer, dict[str, Any]]:
    """The start at its default dials: nothing chosen, nothing trained."""
    started, config, mart = time.perf_counter(), TrainingConfig(), split.mart
    mask = mart.interactions.split == TRAIN
    nobody = Validation.of(mart, mask, np.zeros(len(mask), np.bool_), seed=0)
    start = start_towers(mart, config, mask, nobody, Chosen.before(config.history))
    run = Run.begin(*start[:2], config, Group())
    run.fill_content(1.0)
    model = run.model()
    items_ID, history_ID = model.item_vectors()
    users_UD = model.user_vectors(model.histories(mart, "train"), history_ID)
    return (users_UD, items_ID), {"fit_s": time.perf_counter() - started, "tune_s": 0.0, "settings": {}}


def fit_model(name: str, split: Split, asked: argparse.Namespace) -> tuple[Scorer, dict[str, Any]]:
    """The scorer of one model, with fit_s, tune_s and settings."""
    if name == DSSM:
        return fit_rectools(split, asked.rectools)
    likes = Likes(split.holdout.train, split.times)
    if name == TOWERS:
        started = time.perf_counter()
        model = fit(split.mart, TrainingConfig())
        items_ID, history_ID = model.item_vectors()
        users_UD = model.user_vectors(model.histories(split.mart, "train"), history_ID)
        return (users_UD, items_ID), {"fit_s": time.perf_counter() - started, "tune_s": 0.0, "settings": {}}
    if name == CLOSED_FORM:
        return fit_closed_form(split)
    if name == PEER:
        started = time.perf_counter()
        chosen = (
            best_settings(fit_implicit, IMPLICIT_SETTINGS, likes, seed=0)
            if not asked.untuned
            else (10.0, 100.0)
        )
        tuned = time.perf_counter()
        baseline = fit_implicit(likes, chosen)
        spent = {"fit_s": time.perf_counter() - tuned, "tune_s": tuned - started}
        return baseline.scorer, spent | {"settings": baseline.settings}
    fitted = next(iter(fit_baselines(likes.matrix, likes.times, [name], is_tuned=not asked.untuned)))
    if fitted.baseline is None:
        raise RuntimeError(fitted.note)
    spent = {"fit_s": fitted.fit_seconds, "tune_s": fitted.tuning_seconds}
    return fitted.baseline.scorer, spent | {"settings": fitted.baseline.settings}


def measure(asked: argparse.Namespace, place: int, name: str, answer: Any) -> None:
    """One model on one split, in a process of its own; the result goes to `answer` as JSON."""
    warnings.simplefilter("ignore")
    split = splits(asked.data)[place]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        scorer, spent = fit_model(name, split, asked)
    except Exception as error:  # noqa: BLE001 (one model's failure is a line of the table, not its end)
        answer.put(json.dumps({"error": f"{type(error).__name__}: {error}"}))
        return
    peak = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    started = time.perf_counter()
    result = evaluate(name, scorer, split.holdout, slices={}, resamples=200)
    spent = {"peak_MB": peak} | spent | {"eval_s": time.perf_counter() - started}
    low, high = result.intervals["ndcg@20"]
    answer.put(json.dumps(spent | result.metrics | {"low": low, "high": high}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--only", default="", help="splits whose name has this word")
    parser.add_argument("--models", default=";".join([*NAMES, PEER, CLOSED_FORM, TOWERS]))
    parser.add_argument("--untuned", action="store_true", help="default settings")
    parser.add_argument("--rectools", type=Path, help="the Python of an environment that has it")
    asked = parser.parse_args()
    models = asked.models.split(";") + ([DSSM] if asked.rectools else [])
    context = multiprocessing.get_context("spawn")
    for place, split in enumerate(splits(asked.data)):
        if asked.only not in split.name:
            continue
        h = split.holdout
        print(
            f"\n{split.name}: {h.train.shape[0]:,} users, {h.train.shape[1]:,} items, {h.train.nnz:,} likes,"
        )
        print(f"holdout {h.relevant.nnz:,} likes, {h.disliked.nnz:,} dislikes; {os.cpu_count()} cores")
        print(
            f"{'model':18}",
            *(f"{m.split('@')[0][:13]:>13}" for m in SHOWN),
            "  fit s  tune s  eval s  peak MB",
            flush=True,
        )
        for name in models:
            answer = context.Queue()
            child = context.Process(target=measure, args=(asked, place, name, answer))
            child.start()
            row = json.loads(answer.get())
            child.join()
            print(line(name, row), flush=True)


def line(name: str, row: dict[str, Any]) -> str:
    if "error" in row:
        return f"{name:18} {row['error']}"
    values = " ".join(f"{row.get(metric, np.nan):13.4f}" for metric in SHOWN)
    costs = f"{row['fit_s']:7.1f} {row['tune_s']:7.1f} {row['eval_s']:7.1f} {row['peak_MB']:8.0f}"
    settings = " ".join(f"{key}={value:g}" for key, value in row["settings"].items())
    return f"{name:18} {values} {costs}  {settings} ndcg [{row['low']:.4f}, {row['high']:.4f}]"


if __name__ == "__main__":
    main()
