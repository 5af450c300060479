"""The dials of the start, chosen on held-out rows: one spectrum, then a closed form and a ranking per try.

One dial after the other, each at its best before the next: a dozen tries, seconds. Nothing is tuned per
data set by hand: what differs between a dense and a sparse catalogue is exactly what these dials hold.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from trainer.histories import HistoryConfig, Pairs, pairs_of
from trainer.mart import DISLIKE, LIKE, SEEN_ONLY, TRAIN, Mart
from trainer.validation import Validation
from trainer.warm_start import (
    Dials,
    Floats,
    Spectrum,
    Start,
    popularity_scores,
    regression_start,
    spectrum_of,
)

PENALTIES = (4.0, 1.0, 64.0, 256.0)
SCORE_EXPONENTS = (0.0, 0.2, 0.3)
POPULARITIES = (0.3, 1.0, 3.0)
POPULARITY_HALF_LIVES = (None, 180.0, 30.0, 7.0)  # days
HISTORY_HALF_LIVES = (1000.0, 365.0, 120.0, 30.0)  # days

# What a person saw, liked or not, says what goes together: their shares of a like in the co-occurrence.
# Against likes alone, closed form, one random split each: NDCG@20 .290 to .301 on movielens (videos with
# 5 likes or more), .1745 to .1773 on movietweetings; at a whole like for what was seen .297 and .171.
# A mart without seen-only rows, or whose split came with the file, does not get that part of the gain.
SEEN_SHARE, DISLIKE_SHARE = 0.5, 0.3


@dataclass(frozen=True)
class Chosen:
    """The dials of the closed form, and how far back a history looks."""

    dials: Dials
    half_life_days: float | None


class StartChooser:
    """One mart and one mask of rows; tries settings of the start on it."""

    def __init__(
        self, mart: Mart, mask: npt.NDArray[np.bool_], history: HistoryConfig, dim: int, seed: int
    ) -> None:
        self.mart, self.mask, self.history, self.dim = mart, mask, history, dim
        self.spectrum: Spectrum = spectrum_of(co_occurrence(mart, mask), dim, seed)
        rows = mart.interactions
        self.likes = rows.where(mask & (rows.label == LIKE))
        self.has_times = len(self.likes) > 0 and bool((~np.isnan(self.likes.occurred_at)).mean() > 0.5)
        self._pooled: dict[float | None, Pairs] = {}

    def start(self, dials: Dials) -> Start:
        """The closed form with these dials."""
        likes, n_items = self.likes, len(self.mart.catalogue)
        popularity = popularity_scores(
            likes.item_index, likes.occurred_at, n_items, dials.popularity_half_life
        )
        return regression_start(self.spectrum, dials, popularity, self.dim)

    def choose(self, validation: Validation) -> Chosen:
        """The best of each dial on the validation, in turn; the defaults where there is nothing to
        validate on."""
        best = Chosen(Dials(), self.history.half_life_days)
        if not len(validation.users):
            return best
        score = self.ndcg(best, validation)
        for sweep in self._sweeps():
            for one in sweep(best):
                if (value := self.ndcg(one, validation)) > score:
                    best, score = one, value
        return best

    def _sweeps(self) -> Iterator[Callable[[Chosen], list[Chosen]]]:
        def moved(chosen: Chosen, **dials: float | None) -> Chosen:
            return replace(chosen, dials=replace(chosen.dials, **dials))  # type: ignore[arg-type]

        yield lambda best: [moved(best, penalty=value) for value in PENALTIES]
        yield lambda best: [moved(best, score_exponent=value) for value in SCORE_EXPONENTS]
        for life in POPULARITY_HALF_LIVES if self.has_times else (None,):
            yield lambda best, life=life: [  # type: ignore[misc]
                moved(best, popularity=value, popularity_half_life=life) for value in POPULARITIES
            ]
        if self.has_times:
            yield lambda best: [replace(best, half_life_days=days) for days in HISTORY_HALF_LIVES]
        yield lambda best: [moved(best, penalty=best.dials.penalty * factor) for factor in (0.5, 2.0)]

    def ndcg(self, chosen: Chosen, validation: Validation) -> float:
        """NDCG@20 of the closed form, histories pooled as chosen."""
        start = self.start(chosen.dials)
        return validation.ndcg(self._users(start, chosen.half_life_days, validation), start.embedding)

    def _users(self, start: Start, half_life_days: float | None, validation: Validation) -> Floats:
        if half_life_days not in self._pooled:
            likes = pairs_of(self.likes, len(self.mart.user_keys), self.history.max_likes, half_life_days)
            self._pooled[half_life_days] = likes.take(validation.users)
        likes = self._pooled[half_life_days]
        weights = sp.csr_matrix(
            (likes.weights, likes.items, likes.starts), shape=(len(likes), len(start.history))
        )
        mass = np.maximum(np.asarray(weights.sum(axis=1)), 1e-6) ** self.history.pooling_exponent
        pooled: Floats = np.asarray((weights @ start.history) / mass.reshape(-1, 1), dtype=np.float32)
        return pooled + start.bias


def co_occurrence(mart: Mart, mask: npt.NDArray[np.bool_]) -> sp.csr_matrix:
    """Users x videos: 1 for a like, less for a dislike or something seen without a label.

    Seen-only rows have no split. They join only where the split is ours (then no seen row is in a holdout)
    and not from after the training rows; a split that came with the file may have held them out.
    """
    rows = mart.interactions
    share = np.select([rows.label == LIKE, rows.label == DISLIKE], [1.0, DISLIKE_SHARE], SEEN_SHARE)
    newest = np.max(rows.occurred_at[mask & ~np.isnan(rows.occurred_at)], initial=-np.inf)
    seen = (rows.label == SEEN_ONLY) & ~(rows.occurred_at > newest) & ~rows.is_file_split.any()
    used = (mask & (rows.split == TRAIN)) | seen
    shape = len(mart.user_keys), len(mart.catalogue)
    entries = share[used].astype(np.float32), (rows.user_index[used], rows.item_index[used])
    return sp.csr_matrix(entries, shape=shape)
