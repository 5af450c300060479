"""Fit the baselines, each with the settings that did best on a held-out part of the training likes."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from trainer import metrics
from trainer.baselines.baseline import Baseline
from trainer.baselines.ease import ease
from trainer.baselines.factors import matrix_factors
from trainer.baselines.item_knn import item_knn
from trainer.baselines.popularity import popularity, recent_popularity
from trainer.errors import TrainingError
from trainer.evaluation import is_in
from trainer.ranking import rank

NAMES = ("popularity", "recent_popularity", "item_knn", "ease", "ials")
# Settings tried. iALS's ranges and default come from a sweep on two sets (39 and 84 thousand likes) that was
# scored on their holdouts; its two go together (a smaller alpha wants a larger reg). The other ranges are
# customary ones, not swept. Choosing among them below sees training likes only.
HALF_LIVES_DAYS = (30.0, 7.0, 120.0, 480.0)
KNN_SETTINGS = ((200, 20.0), (200, 5.0), (200, 100.0), (50, 5.0), (50, 20.0))
EASE_REGS = (100.0, 30.0, 300.0)
IALS_SETTINGS = ((0.1, 0.01), (0.03, 0.01), (0.03, 0.03), (0.1, 0.003), (0.1, 0.02), (0.3, 0.003))
# Users whose likes are held out for tuning, and the share of their likes; the other users keep everything.
TUNING_USERS, TUNING_SHARE = 2_000, 0.2
# Chosen by NDCG at this position, the one the README's tables are sorted by.
TUNING_K = 20

Settings = tuple[float, ...]


@dataclass(frozen=True)
class Likes:
    """Training likes [U, I] and, in the same pattern, their epoch seconds (NaN: unknown), if anybody knows
    them."""

    matrix: sparse.csr_matrix
    times: sparse.csr_matrix | None = None

    def without(self, left_out: NDArray[np.bool_]) -> "Likes":
        """The same without some of the pairs, given in the order of the matrix's data."""
        return Likes(
            _take(self.matrix, ~left_out), None if self.times is None else _take(self.times, ~left_out)
        )


@dataclass(frozen=True)
class Fitted:
    """A baseline with what it took; `baseline` is None where it was refused, and `note` says why."""

    name: str
    baseline: Baseline | None
    fit_seconds: float
    tuning_seconds: float
    note: str = ""


def fit_baselines(
    train_csr: sparse.csr_matrix,
    times_csr: sparse.csr_matrix | None = None,
    names: Sequence[str] = NAMES,
    *,
    is_tuned: bool = True,
    seed: int = 0,
) -> Iterator[Fitted]:
    """The named baselines one after the other, so that only one is in memory while the caller keeps none.

    `train_csr` [U, I] holds the training likes, `times_csr` the same pattern with epoch seconds (NaN:
    unknown). Without tuning each takes its default settings. Raises TrainingError for a name that is not in
    NAMES.
    """
    unknown = sorted(set(names) - set(NAMES))
    if unknown:
        raise TrainingError(f"there is no baseline {unknown[0]!r}", f"choose from {', '.join(NAMES)}")
    likes = Likes(train_csr, times_csr)
    for name in names:
        yield _fit(name, likes, is_tuned, seed)


def _fit(name: str, likes: Likes, is_tuned: bool, seed: int) -> Fitted:
    fit, grid = _plan(name, seed)
    started = time.perf_counter()
    try:
        by_time = name == "recent_popularity"
        chosen = (
            best_settings(fit, grid, likes, seed, by_time=by_time) if is_tuned and len(grid) > 1 else grid[0]
        )
        tuned = time.perf_counter()
        baseline = fit(likes, chosen)
    except TrainingError as error:
        return Fitted(name, None, 0.0, time.perf_counter() - started, str(error))
    return Fitted(name, baseline, time.perf_counter() - tuned, tuned - started)


def _plan(name: str, seed: int) -> tuple[Callable[[Likes, Settings], Baseline], Sequence[Settings]]:
    """How one baseline is fitted, and the settings worth trying."""
    plans: dict[str, tuple[Callable[[Likes, Settings], Baseline], Sequence[Settings]]] = {
        "popularity": (lambda likes, _: popularity(likes.matrix), ((),)),
        "recent_popularity": (
            lambda likes, half_life: recent_popularity(likes.matrix, likes.times, *half_life),
            [(days,) for days in HALF_LIVES_DAYS],
        ),
        "item_knn": (lambda likes, pair: item_knn(likes.matrix, int(pair[0]), pair[1]), KNN_SETTINGS),
        "ease": (lambda likes, reg: ease(likes.matrix, *reg), [(reg,) for reg in EASE_REGS]),
        "ials": (lambda likes, pair: matrix_factors(likes.matrix, *pair, seed=seed), IALS_SETTINGS),
    }
    return plans[name]


def best_settings(
    fit: Callable[[Likes, Settings], Baseline],
    grid: Sequence[Settings],
    likes: Likes,
    seed: int,
    *,
    by_time: bool = False,
) -> Settings:
    """The settings with the highest NDCG on likes held out here; the earlier of two equal ones."""
    left_out = _newest(likes) if by_time else None
    left_out = _some_of_each_user(likes.matrix, seed) if left_out is None else left_out
    if not left_out.any():
        return grid[0]
    rest, wanted = likes.without(left_out), _take(likes.matrix, left_out)
    users = np.flatnonzero(np.diff(wanted.indptr))
    if len(users) > TUNING_USERS:
        users = np.sort(np.random.default_rng(seed).choice(users, TUNING_USERS, replace=False))
    wanted_N = wanted[users]
    scores = []
    for settings in grid:
        lists = rank(fit(rest, settings).scorer, users, rest.matrix, None, TUNING_K).lists
        hits = is_in(lists, wanted_N)
        scores.append(float(np.mean(metrics.ndcg(hits, np.diff(wanted_N.indptr).astype(np.int64), TUNING_K))))
    return grid[int(np.argmax(scores))]


def _some_of_each_user(matrix: sparse.csr_matrix, seed: int) -> NDArray[np.bool_]:
    """A fifth of the likes, at random, of up to TUNING_USERS users who have at least two."""
    generator = np.random.default_rng(seed)
    n_likes_U = np.diff(matrix.indptr)
    users = np.flatnonzero(n_likes_U >= 2)
    chosen_U = np.zeros(matrix.shape[0], bool)
    chosen_U[generator.permutation(users)[:TUNING_USERS]] = True
    row = np.repeat(np.arange(matrix.shape[0]), n_likes_U)
    order = np.lexsort((generator.random(matrix.nnz), row))
    place = np.empty(matrix.nnz, np.int64)
    place[order] = np.arange(matrix.nnz) - matrix.indptr[row]
    held: NDArray[np.bool_] = chosen_U[row] & (
        place < np.maximum(1, (n_likes_U * TUNING_SHARE).astype(int))[row]
    )
    return held


def _newest(likes: Likes) -> NDArray[np.bool_] | None:
    """The newest tenth of the dated likes: what recency is for is what comes next. None without times."""
    if likes.times is None or not np.isfinite(likes.times.data).any():
        return None
    times = likes.times.data
    newest: NDArray[np.bool_] = times > np.nanquantile(times, 0.9)  # NaN compares false: undated likes stay
    return newest


def _take(matrix: sparse.csr_matrix, kept: NDArray[np.bool_]) -> sparse.csr_matrix:
    starts = np.concatenate([[0], np.cumsum(kept)])[matrix.indptr]
    return sparse.csr_matrix((matrix.data[kept], matrix.indices[kept], starts), shape=matrix.shape)
