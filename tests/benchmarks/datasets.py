"""The public data sets of the benchmarks, and their splits, read straight from `interactions.csv.gz`.

A set is a folder with `interactions.csv.gz` (user_id,item_id,rating,timestamp in time order) and, if wanted,
`items.csv.gz` (item_id, maker, ...). Nothing is downloaded: their licences and sources are named in the
README.
"""

import csv
import gzip
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from trainer.holdout import Holdout, split_matrices
from trainer.mart import NO_SPLIT, TEST, TRAIN, Catalogue, Interactions, Mart


@dataclass(frozen=True)
class Split:
    """A set cut into training and holdout; `times` is the pattern of `holdout.train` with epoch seconds."""

    name: str
    holdout: Holdout
    times: sparse.csr_matrix
    mart: Mart


@dataclass(frozen=True)
class Ratings:
    """Rows in file order; users and items as indices into their sorted ids."""

    user: NDArray[np.int64]
    item: NDArray[np.int64]
    rating: NDArray[np.float64]
    at: NDArray[np.float64]
    films: list[dict[str, str]]

    def where(self, kept: NDArray[np.bool_]) -> "Ratings":
        """The rows of a mask, users and items numbered again."""
        item_ids, item = np.unique(self.item[kept], return_inverse=True)
        user = np.unique(self.user[kept], return_inverse=True)[1]
        return Ratings(user, item, self.rating[kept], self.at[kept], [self.films[i] for i in item_ids])


def read_ratings(folder: Path) -> Ratings:
    """All rows of a set, with the lines of its items file."""
    with gzip.open(folder / "interactions.csv.gz", "rt") as file:
        columns = np.loadtxt(file, delimiter=",", skiprows=1)
    user = np.unique(columns[:, 0], return_inverse=True)[1]
    item_ids, item = np.unique(columns[:, 1].astype(np.int64), return_inverse=True)
    with gzip.open(folder / "items.csv.gz", "rt", encoding="utf-8", newline="") as file:
        films = {int(row["item_id"]): row for row in csv.DictReader(file)}
    return Ratings(user, item, columns[:, 2], columns[:, 3], [films.get(int(i), {}) for i in item_ids])


def splits(data: Path) -> list[Split]:
    """The four splits the project's ranking figures are about."""
    movielens = read_ratings(data / "movielens-latest-2149u")
    tweets = read_ratings(data / "movietweetings-140k")
    core = five_core(tweets)
    in_time = np.arange(len(tweets.user)) < int(0.8 * len(tweets.user))
    return [
        _split("movielens-2149u, random 80/20", movielens, _random(movielens), like=4, dislike=2),
        _split("movielens-2149u, last 20 % per user", movielens, _but_last(movielens), like=4, dislike=2),
        _split("movietweetings, 5-core, random 80/20", core, _random(core), like=8, dislike=4),
        _split("movietweetings, time 80/20, warm", tweets, in_time, like=8, dislike=4),
    ]


def five_core(ratings: Ratings) -> Ratings:
    """Users and items with fewer than five rows taken out, again and again, until there are none."""
    while True:
        kept = (np.bincount(ratings.user)[ratings.user] >= 5) & (np.bincount(ratings.item)[ratings.item] >= 5)
        if kept.all():
            return ratings
        ratings = ratings.where(kept)


def _random(ratings: Ratings) -> NDArray[np.bool_]:
    return np.random.default_rng(0).random(len(ratings.user)) < 0.8


def _but_last(ratings: Ratings) -> NDArray[np.bool_]:
    """All but each user's newest fifth, in file order among equal times."""
    order = np.lexsort((np.arange(len(ratings.user)), ratings.at, ratings.user))
    counts = np.bincount(ratings.user)
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order)) - np.repeat(starts, counts)
    return place < (counts * 0.8).astype(int)[ratings.user]


def _split(
    name: str, ratings: Ratings, in_training: NDArray[np.bool_], *, like: float, dislike: float
) -> Split:
    """The holdout keeps the rows of users with a training like and of items with a training row."""
    label = np.where(ratings.rating >= like, 1, np.where(ratings.rating <= dislike, 0, -1)).astype(np.int8)
    liked = in_training & (label == 1)
    warm = np.isin(ratings.user, ratings.user[liked]) & np.isin(ratings.item, ratings.item[in_training])
    shape = (int(ratings.user.max()) + 1, int(ratings.item.max()) + 1)
    holdout = split_matrices(
        shape,
        ratings.user.astype(np.int32),
        ratings.item.astype(np.int32),
        label=label,
        held_out=~in_training & warm,
        in_training=in_training,
        makers=[film.get("maker") for film in ratings.films],
    )
    times = sparse.csr_matrix((ratings.at[liked], (ratings.user[liked], ratings.item[liked])), shape=shape)
    split = np.where(label < 0, NO_SPLIT, np.where(in_training, TRAIN, TEST)).astype(np.int8)
    known = in_training | (warm & (label >= 0))
    return Split(name, holdout, times, _mart(ratings, label, split, known))


def _mart(
    ratings: Ratings, label: NDArray[np.int8], split: NDArray[np.int8], known: NDArray[np.bool_]
) -> Mart:
    """What `read_mart` would give for this split."""
    films, liked = ratings.films, known & (label == 1) & (split == TRAIN)
    disliked = known & (label == 0) & (split == TRAIN)
    n_likes = np.bincount(ratings.item[liked], minlength=len(films)).astype(np.int32)
    unknown: list[str | None] = [None] * len(films)
    order = np.flatnonzero(known)[np.lexsort((ratings.item[known], ratings.user[known]))]
    years = [film.get("release_date", "")[:4] for film in films]
    return Mart(
        Catalogue(
            video_ids=[f"{i:08d}" for i in range(len(films))],
            external_id=unknown,
            title=[film.get("title") for film in films],
            description=unknown,
            maker=[film.get("maker") or None for film in films],
            label=unknown,
            series=unknown,
            director=unknown,
            genre=unknown,
            tags=[film["tags"].split("|") if film.get("tags") else [] for film in films],
            performers=[film["performers"].split("|") if film.get("performers") else [] for film in films],
            price=np.full(len(films), np.nan),
            duration_seconds=np.full(len(films), np.nan),
            released_on=np.array([(int(y) - 1970) * 365.25 if y.isdigit() else np.nan for y in years]),
            popularity=n_likes.astype(np.float32),
            n_likes=n_likes,
            n_dislikes=np.bincount(ratings.item[disliked], minlength=len(films)).astype(np.int32),
        ),
        [f"review:{user}" for user in range(int(ratings.user.max()) + 1)],
        Interactions(
            user_index=ratings.user[order].astype(np.int32),
            item_index=ratings.item[order].astype(np.int32),
            label=label[order],
            weight=np.ones(len(order), np.float32),
            occurred_at=ratings.at[order],
            split=split[order],
            is_file_split=np.zeros(len(order), bool),
        ),
        data_hash="benchmark",
    )
