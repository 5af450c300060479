"""Marts straight from the rating files of the benchmark sets: no database, so that research runs in seconds.

A like is >= 4 of 5 (movielens) or >= 8 of 10 (movietweetings), a dislike <= 2 or <= 4; between is seen,
without a label.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from trainer.mart import Catalogue, Interactions, Mart, make_mart

FOLDERS = {"movielens": "movielens-latest-2149u", "movietweetings": "movietweetings-140k"}
THRESHOLDS = {"movielens": (4.0, 2.0), "movietweetings": (8.0, 4.0)}
SPLITS = ("random", "last", "time")


def load_mart(
    data: Path,
    name: str,
    split: str,
    *,
    seed: int = 0,
    content: bool = True,
    times: bool = True,
    core: int | None = None,
) -> Mart:
    """The set with a train/test split.

    `split`: random 80/20 of rows, last 20 % of each user, one global time cut at 80 %. movietweetings
    random is 5-core.
    """
    folder = data / FOLDERS[name]
    ratings = pd.read_csv(folder / "interactions.csv.gz")
    core = core if core is not None else (5 if (name, split) == ("movietweetings", "random") else 1)
    ratings = _core(ratings, core)
    is_test = _test_rows(ratings, split, np.random.default_rng(seed))
    like, dislike = THRESHOLDS[name]
    label = np.where(ratings.rating >= like, 1, np.where(ratings.rating <= dislike, 0, -1)).astype(np.int8)
    item_ids = np.unique(ratings.item_id)
    users, user_index = np.unique(ratings.user_id, return_inverse=True)
    part = np.where(label < 0, -1, np.where(is_test, 2, 0)).astype(np.int8)
    # a seen-only row of the test side is not known in training
    keep = ~((label < 0) & is_test)
    interactions = Interactions(
        user_index.astype(np.int32)[keep],
        np.searchsorted(item_ids, ratings.item_id).astype(np.int32)[keep],
        label[keep],
        np.ones(keep.sum(), np.float32),
        (ratings.timestamp.to_numpy(np.float64) if times else np.full(len(ratings), np.nan))[keep],
        part[keep],
        np.zeros(keep.sum(), np.bool_),
    )
    return make_mart(
        _catalogue(folder, item_ids, content), [f"review:{user}" for user in users], interactions
    )


def _core(ratings: pd.DataFrame, core: int) -> pd.DataFrame:
    while True:
        n = len(ratings)
        for column in ("user_id", "item_id"):
            ratings = ratings[ratings.groupby(column)[column].transform("size") >= core]
        if len(ratings) == n:
            return ratings.reset_index(drop=True)


def _test_rows(ratings: pd.DataFrame, split: str, rng: np.random.Generator) -> np.ndarray:
    if split == "random":
        return rng.random(len(ratings)) < 0.2
    if split == "time":
        return (ratings.timestamp >= ratings.timestamp.quantile(0.8)).to_numpy()
    rank = ratings.groupby("user_id").timestamp.rank(method="first", ascending=False)
    size = ratings.groupby("user_id").user_id.transform("size")
    return (rank <= np.floor(size * 0.2)).to_numpy()


def _catalogue(folder: Path, item_ids: np.ndarray, content: bool) -> Catalogue:
    items = pd.read_csv(folder / "items.csv.gz").set_index("item_id").reindex(item_ids)
    n = len(item_ids)
    none: list[str | None] = [None] * n

    def text(column: str) -> list[str | None]:
        return [value if isinstance(value, str) and content else None for value in items[column]]

    def many(column: str) -> list[list[str]]:
        return [value.split("|") if value else [] for value in text(column)]

    year = pd.to_numeric(items.release_date.astype(str).str[:4], errors="coerce").to_numpy(np.float64)
    zeros = np.zeros(n)
    return Catalogue(
        [f"{i:08d}" for i in range(n)], none, text("title"), none, text("maker"), none, none, none, none,
        many("tags"), many("performers"), zeros * np.nan, zeros * np.nan,
        (year - 1970) * 365.25 if content else zeros * np.nan,
        zeros.astype(np.float32), zeros.astype(np.int32), zeros.astype(np.int32),
    )  # fmt: skip
