"""How good a model's lists are on the holdout: every metric of metrics.py, intervals, slices, rows for the
registry.

Nothing here knows the database or the model: matrices over user rows and item columns come in, a scorer gives
scores, an `Evaluation` comes out. Shapes: U users, I items, N evaluated users, K positions.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from trainer import metrics
from trainer.bootstrap import RESAMPLES, intervals
from trainer.holdout import Holdout, Slice, column_counts, default_slices
from trainer.ranking import Scorer, rank

KS = (10, 20, 50)


class EvaluationRow(NamedTuple):
    """One row of recsys.evaluations, without version and time."""

    model_name: str
    split: str
    slice: str
    metric: str
    value: float
    low: float | None
    high: float | None
    n_users: int


@dataclass(frozen=True)
class Evaluation:
    """Metrics of one model on one holdout.

    `per_user` holds one value per user of `user_rows` and metric, NaN where the metric is undefined for the
    user;
    `metrics` their means and the metrics of all lists together; `intervals` 95 % bootstrap ends.
    """

    name: str
    metrics: dict[str, float]
    per_user: dict[str, NDArray[np.float64]]
    user_rows: NDArray[np.int64]
    intervals: dict[str, tuple[float, float]]
    lists: NDArray[np.int32]
    slices: dict[str, "Evaluation"] = field(default_factory=dict)

    def n_users(self, metric: str) -> int:
        """Users the value is a mean over; all lists for the metrics of the lists together."""
        values = self.per_user.get(metric)
        return len(self.user_rows) if values is None else int(np.count_nonzero(~np.isnan(values)))

    def rows(self, split: str, slice_name: str = "all") -> list[EvaluationRow]:
        """Rows for recsys.evaluations, slices included; metrics that are undefined (nobody to ask) are left
        out."""
        own = [
            EvaluationRow(
                self.name, split, slice_name, metric, value, *self._ends(metric), self.n_users(metric)
            )
            for metric, value in self.metrics.items()
            if not np.isnan(value)
        ]
        return own + [row for name, part in self.slices.items() for row in part.rows(split, name)]

    def _ends(self, metric: str) -> tuple[float | None, float | None]:
        return self.intervals.get(metric, (None, None))


def evaluate(
    name: str,
    scorer: Scorer,
    holdout: Holdout,
    ks: Sequence[int] = KS,
    slices: Mapping[str, Slice] | None = None,
    *,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Evaluation:
    """Rank the whole catalogue minus `seen` for every user with a like or dislike in the holdout, and judge
    it.

    `scorer` is (user vectors [U, D], item vectors [I, D]) or a function from user rows to a block of scores
    [B, I]. Without `slices`: `default_slices`; an empty mapping: none. Raises TrainingError for scores that
    do not fit.
    """
    judged = np.diff(holdout.relevant.indptr) + np.diff(holdout.disliked.indptr)
    user_rows = np.flatnonzero(judged > 0).astype(np.int64)
    ranking = rank(scorer, user_rows, holdout.seen, holdout.relevant, max(ks))
    relevant, disliked = holdout.relevant[user_rows], holdout.disliked[user_rows]
    per_user = _accuracy(ranking.lists, relevant, ks)
    n_relevant = np.diff(relevant.indptr).astype(np.int64)
    per_user["auc"] = metrics.auc(ranking.above, ranking.level, n_relevant, ranking.n_candidates)
    per_user |= _beyond_accuracy(ranking.lists, disliked, holdout, ks)
    whole = _evaluation(name, per_user, user_rows, ranking.lists, seed=seed, resamples=resamples)
    whole.metrics.update(_of_all_lists(ranking.lists, holdout.train.shape[1], ks))
    for slice_name, part in (default_slices(holdout) if slices is None else slices).items():
        chosen = np.ones(len(user_rows), bool) if part.users is None else part.users[user_rows]
        wanted = relevant if part.items is None else _only(relevant, part.items)
        if wanted[chosen].nnz:
            values = _accuracy(ranking.lists[chosen], wanted[chosen], ks)
            whole.slices[slice_name] = _evaluation(
                name, values, user_rows[chosen], ranking.lists[chosen], seed=seed, resamples=resamples
            )
    return whole


def _evaluation(
    name: str,
    per_user: dict[str, NDArray[np.float64]],
    user_rows: NDArray[np.int64],
    lists_NK: NDArray[np.int32],
    *,
    seed: int,
    resamples: int,
) -> Evaluation:
    values_NM = np.stack(list(per_user.values()), axis=1)
    known_NM = ~np.isnan(values_NM)
    sums_M = np.where(known_NM, values_NM, 0.0).sum(0)
    means_M = np.where(known_NM.any(0), sums_M / np.maximum(known_NM.sum(0), 1), np.nan)
    low_M, high_M = intervals(values_NM, seed, resamples=resamples)
    ends = {
        metric: (float(low), float(high))
        for metric, low, high in zip(per_user, low_M, high_M, strict=True)
        if not np.isnan(low)
    }
    means = {metric: float(mean) for metric, mean in zip(per_user, means_M, strict=True)}
    return Evaluation(name, means, per_user, user_rows, ends, lists_NK)


def _accuracy(
    lists_NK: NDArray[np.int32], relevant: sparse.csr_matrix, ks: Sequence[int]
) -> dict[str, NDArray[np.float64]]:
    hits_NK, n_relevant_N = is_in(lists_NK, relevant), np.diff(relevant.indptr).astype(np.int64)
    definitions = {
        "recall": metrics.recall,
        "precision": metrics.precision,
        "ndcg": metrics.ndcg,
        "map": metrics.average_precision,
        "hit_rate": metrics.hit_rate,
    }
    return {
        f"{metric}@{k}": definition(hits_NK, n_relevant_N, k)
        for metric, definition in definitions.items()
        for k in ks
    }


def _beyond_accuracy(
    lists_NK: NDArray[np.int32], disliked: sparse.csr_matrix, holdout: Holdout, ks: Sequence[int]
) -> dict[str, NDArray[np.float64]]:
    information_I = metrics.self_information(column_counts(holdout.train), holdout.train.shape[0])
    disliked_NK, n_disliked_N = is_in(lists_NK, disliked), np.diff(disliked.indptr).astype(np.int64)
    values = {}
    for k in ks:
        values[f"novelty@{k}"] = metrics.novelty(lists_NK, information_I, k)
        values[f"dislike@{k}"] = metrics.dislike_rate(disliked_NK, n_disliked_N, k)
        if holdout.makers is not None:
            values[f"largest_maker_share@{k}"] = metrics.largest_group_share(lists_NK, holdout.makers, k)
    return values


def _of_all_lists(lists_NK: NDArray[np.int32], n_items: int, ks: Sequence[int]) -> dict[str, float]:
    values = {}
    for k in ks:
        top = lists_NK[:, :k]
        counts_I = np.bincount(top[top >= 0], minlength=n_items)
        values[f"coverage@{k}"] = metrics.coverage(counts_I)
        values[f"entropy@{k}"] = metrics.shannon_entropy(counts_I)
        values[f"gini@{k}"] = metrics.gini(counts_I)
    return values


def is_in(lists_NK: NDArray[np.int32], wanted: sparse.csr_matrix) -> NDArray[np.bool_]:
    """Whether each listed item is among its user's `wanted` ones [N, I]; padding (-1) never is."""
    n_items = wanted.shape[1]
    users = np.repeat(np.arange(wanted.shape[0], dtype=np.int64), np.diff(wanted.indptr))
    pairs = np.append(np.sort(users * n_items + wanted.indices), np.iinfo(np.int64).max)
    listed_NK = np.arange(len(lists_NK), dtype=np.int64)[:, None] * n_items + lists_NK
    found_NK: NDArray[np.bool_] = pairs[np.searchsorted(pairs, listed_NK)] == listed_NK
    return found_NK & (lists_NK >= 0)


def _only(matrix: sparse.csr_matrix, items: NDArray[np.bool_]) -> sparse.csr_matrix:
    kept = items[matrix.indices]
    starts = np.concatenate([[0], np.cumsum(kept)])[matrix.indptr]
    return sparse.csr_matrix((matrix.data[kept], matrix.indices[kept], starts), shape=matrix.shape)
