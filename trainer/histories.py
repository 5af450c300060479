"""What a user liked and disliked, as arrays: the input of the user tower.

The same sums are written three times, here, in ONNX and in SQL; the arithmetic is the contract:
likes newest first (video_id breaks ties), at most `max_likes`, weight place ** -recency_power *
0.5 ** (days behind the newest / half life), the newest being at place 1. What was only seen joins the likes
of who has some: counted apart, each `seen_weight` times that.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from trainer.mart import DISLIKE, LIKE, SEEN_ONLY, TEST, TRAIN, Catalogue, Interactions, Mart

SECONDS_PER_DAY = 86_400.0
DAYS_PER_YEAR = 365.25

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class HistoryConfig:
    """How a history becomes one vector. Stored with the version, read by SQL."""

    max_likes: int = 1000
    max_dislikes: int = 100
    pooling_exponent: float = 0.5
    """Σ w h / (Σ w) ** exponent: 0 a sum, 1 a mean."""
    half_life_days: float | None = None
    recency_power: float = 0.0
    """0: the order of likes says nothing; .5: the newest weighs twice what the fourth does."""
    seen_weight: float = 0.0
    """What a video seen without an opinion says of a taste, in likes."""


@dataclass(frozen=True)
class Aggregate:
    """One number per user and how it is standardised: (raw - mean) / std."""

    name: str
    mean: float = 0.0
    std: float = 1.0


# name of an aggregate over liked videos -> what is averaged per video; SQL writes the same expression
VIDEO_NUMBERS: dict[str, Callable[[Catalogue], npt.NDArray[np.float64]]] = {
    "mean_log_price": lambda c: np.log1p(np.maximum(_finite(c.price), 0)),
    "mean_log_duration": lambda c: np.log1p(np.maximum(_finite(c.duration_seconds), 0)),
    "mean_release_year": lambda c: _finite(c.released_on) / DAYS_PER_YEAR,
}


@dataclass(frozen=True)
class Pairs:
    """A ragged list per user (CSR): items of user r are items[starts[r]:starts[r + 1]], newest first."""

    starts: Ints
    items: Ints
    weights: Floats

    def __len__(self) -> int:
        return len(self.starts) - 1

    @property
    def rows(self) -> Ints:
        """The user of each entry."""
        return np.repeat(np.arange(len(self), dtype=np.int64), np.diff(self.starts))

    def take(self, users: npt.NDArray[np.integer]) -> "Pairs":
        """The lists of some users, in the order asked for."""
        counts = np.diff(self.starts)[users]
        starts = np.concatenate(([0], np.cumsum(counts)))
        index = np.repeat(self.starts[:-1][users] - starts[:-1], counts) + np.arange(starts[-1])
        return Pairs(starts, self.items[index], self.weights[index])

    def keep(self, mask: npt.NDArray[np.bool_]) -> "Pairs":
        """The entries of a mask; the users stay, some with an empty list."""
        running = np.concatenate(([0], np.cumsum(mask)))
        return Pairs(running[self.starts], self.items[mask], self.weights[mask])

    def beside(self, others: "Pairs") -> "Pairs":
        """Each user's entries, then those of the same user in `others`."""
        if not len(others.items):
            return self
        order = np.argsort(np.concatenate([self.rows, others.rows]), kind="stable")
        items = np.concatenate([self.items, others.items])[order]
        weights = np.concatenate([self.weights, others.weights])[order]
        return Pairs(self.starts + others.starts, items, weights)


@dataclass(frozen=True)
class Histories:
    """Per user: likes, dislikes, what was only seen (item indices and weights) and standardised aggregates
    [users, k]."""

    likes: Pairs
    dislikes: Pairs
    seen: Pairs
    aggregates: Floats

    @property
    def heard(self) -> Pairs:
        """What speaks for a taste: p of the user tower is pooled over it."""
        return self.likes.beside(self.seen)

    def __len__(self) -> int:
        return len(self.likes)

    def take(self, users: npt.NDArray[np.integer]) -> "Histories":
        """The histories of some users."""
        likes, dislikes, seen = (pairs.take(users) for pairs in (self.likes, self.dislikes, self.seen))
        return Histories(likes, dislikes, seen, self.aggregates[users])

    def of_part(self, part: int, n_parts: int) -> "Histories":
        """Every n-th user's, beginning with `part`; the others stay as empty lists, so that rows keep their
        numbers."""
        likes, dislikes, seen = (
            pairs.keep(pairs.rows % n_parts == part) for pairs in (self.likes, self.dislikes, self.seen)
        )
        return Histories(likes, dislikes, seen, self.aggregates)


@dataclass(frozen=True)
class AggregateTable:
    """The aggregates in use with their statistics, and the per-video numbers they average (nan = unknown)."""

    aggregates: list[Aggregate]
    video_numbers: npt.NDArray[np.float64] = field(repr=False)

    def compute(self, likes: Pairs, dislikes: Pairs) -> Floats:
        """Standardised aggregates [users, k] of what is pooled; a mean over nothing is the mean of all: 0."""
        columns = [self._raw(a.name, likes, dislikes) for a in self.aggregates]
        scaled = [(raw - a.mean) / a.std for raw, a in zip(columns, self.aggregates, strict=True)]
        if not scaled:
            return np.zeros((len(likes), 0), np.float32)
        return np.nan_to_num(np.stack(scaled, axis=1)).astype(np.float32)

    def _raw(self, name: str, likes: Pairs, dislikes: Pairs) -> npt.NDArray[np.float64]:
        if name == "log_n_likes":
            return np.log1p(np.diff(likes.starts))
        if name == "log_n_dislikes":
            return np.log1p(np.diff(dislikes.starts))
        values = self.video_numbers[likes.items, list(VIDEO_NUMBERS).index(name)]
        known = ~np.isnan(values)
        total = np.bincount(likes.rows[known], values[known], minlength=len(likes))
        count = np.bincount(likes.rows[known], minlength=len(likes))
        return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def fit_aggregates(catalogue: Catalogue, likes: Pairs, dislikes: Pairs) -> AggregateTable:
    """The aggregates this mart has data for, standardised over users with a like in the training split."""
    numbers = video_numbers(catalogue)
    names = ["log_n_likes"] + (["log_n_dislikes"] if len(dislikes.items) else [])
    liked = numbers[np.unique(likes.items)]
    names += [name for k, name in enumerate(VIDEO_NUMBERS) if len(np.unique(_known(liked[:, k]))) > 1]
    table = AggregateTable([Aggregate(name) for name in names], numbers)
    active = np.diff(likes.starts) > 0
    fitted = []
    for name in names:
        raw = table._raw(name, likes, dislikes)[active]
        std = float(_known(raw).std())
        fitted.append(Aggregate(name, float(_known(raw).mean()), std if std > 1e-6 else 1.0))
    return AggregateTable(fitted, numbers)


def video_numbers(catalogue: Catalogue) -> npt.NDArray[np.float64]:
    """VIDEO_NUMBERS of every video [N, len(VIDEO_NUMBERS)], nan where unknown."""
    return np.stack([number(catalogue) for number in VIDEO_NUMBERS.values()], axis=1)


def _finite(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.where(np.isfinite(values), values, np.nan)


def _known(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return values[~np.isnan(values)]


def pairs_of(
    rows: Interactions,
    n_users: int,
    most: int = 1 << 30,
    half_life_days: float | None = None,
    recency_power: float = 0.0,
) -> Pairs:
    """Each user's rows newest first, times unknown last, item index breaking ties; at most `most` of them."""
    age = np.nan_to_num(-rows.occurred_at, nan=np.inf)
    order = np.lexsort((rows.item_index, age, rows.user_index))
    counts = np.bincount(rows.user_index, minlength=n_users)
    starts = np.concatenate(([0], np.cumsum(counts)))
    users = rows.user_index[order]
    items, times = rows.item_index[order].astype(np.int64), rows.occurred_at[order]
    newest = np.repeat(times[starts[:-1][counts > 0]], counts[counts > 0])
    place = np.arange(len(order)) - starts[:-1][users] + 1
    weights = recency_weights(times, newest, half_life_days) * place_weights(place, recency_power)
    return Pairs(starts, items, weights).keep(place <= most)


def recency_weights(
    times: npt.NDArray[np.float64], newest: npt.NDArray[np.float64], half_life_days: float | None
) -> Floats:
    """0.5 ** (days behind the newest / half life); 1 where a time is unknown or there is no half life."""
    if half_life_days is None:
        return np.ones(len(times), np.float32)
    days = np.nan_to_num((newest - times) / SECONDS_PER_DAY, nan=0.0)
    return (0.5 ** (days / half_life_days)).astype(np.float32)


def place_weights(place: npt.NDArray[np.integer], power: float) -> Floats:
    """place ** -power, the newest like being at place 1."""
    weights: Floats = (place.astype(np.float64) ** -power).astype(np.float32)
    return weights


def history_rows(mart: Mart, which: Literal["train", "published"]) -> npt.NDArray[np.bool_]:
    """Mask of the rows a history may show: the training cut for metrics, all but the file's test to
    publish."""
    rows = mart.interactions
    labelled = (rows.label == LIKE) | (rows.label == DISLIKE)
    shown = rows.split == TRAIN if which == "train" else ~(rows.is_file_split & (rows.split == TEST))
    both: npt.NDArray[np.bool_] = np.logical_and(labelled, shown)
    return both


def build_histories(
    mart: Mart,
    which: Literal["train", "published"],
    config: HistoryConfig,
    aggregates: AggregateTable,
    mask: npt.NDArray[np.bool_] | None = None,
) -> Histories:
    """Histories of all users of the mart; `mask` narrows the rows further (early stopping's held-out
    tenth)."""
    allowed = history_rows(mart, which) if mask is None else history_rows(mart, which) & mask
    rows, n_users = mart.interactions, len(mart.user_keys)
    recency = config.half_life_days, config.recency_power
    likes = pairs_of(rows.where(allowed & (rows.label == LIKE)), n_users, config.max_likes, *recency)
    dislikes = pairs_of(rows.where(allowed & (rows.label == DISLIKE)), n_users, config.max_dislikes, *recency)
    seen = seen_pairs(rows, likes, config)
    return Histories(likes, dislikes, seen, aggregates.compute(likes, dislikes))


def seen_pairs(rows: Interactions, likes: Pairs, config: HistoryConfig) -> Pairs:
    """What users with a like saw without an opinion, weighted; nothing where that says nothing."""
    has_like = np.diff(likes.starts) > 0
    wanted = (rows.label == SEEN_ONLY) & has_like[rows.user_index] & (config.seen_weight > 0)
    recency = config.half_life_days, config.recency_power
    pairs = pairs_of(rows.where(wanted), len(likes), config.max_likes, *recency)
    return replace(pairs, weights=pairs.weights * np.float32(config.seen_weight))
