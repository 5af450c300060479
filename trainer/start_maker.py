"""The start of one mart under any dials, made anew only where the dials differ from those of the last try."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from trainer.errors import TrainingError
from trainer.factor_part import factor_part
from trainer.held_out import holdout_shape, usable_rows
from trainer.histories import HistoryConfig, pairs_of, seen_pairs
from trainer.mart import DISLIKE, LIKE, SEEN_ONLY, Mart
from trainer.validation import Validation
from trainer.warm_start import (
    Dials,
    Part,
    Spectrum,
    Start,
    blend,
    popularity_scores,
    ranking_dim,
    regression_part,
    spectrum_of,
    start_of,
)

TRIAL_ITERATIONS, ITERATIONS = 5, 8  # of iALS; a trial only has to find the dials
BLEND_USERS = 20_000  # histories on which the blend's best coordinates are found

# What a person saw, liked or not, says what goes together: their shares of a like in the co-occurrence.
# Against likes alone, closed form, one random split each: NDCG@20 .290 to .301 on movielens (videos with
# 5 likes or more), .1745 to .1773 on movietweetings; at a whole like for what was seen .297 and .171.
# A mart without seen-only rows, or whose split came with the file, does not get that part of the gain.
SEEN_SHARE, DISLIKE_SHARE = 0.5, 0.3


@dataclass(frozen=True)
class Chosen:
    """The dials of the closed form, how far back a history looks, by what power of its length its sum is
    divided, what share of its content a video nobody has met is believed (training_run.py), by what power of
    its place a like weighs less than the newest, and what a video that was only seen says beside a like."""

    dials: Dials
    half_life_days: float | None
    pooling_exponent: float
    content_share: float = 1.0
    recency_power: float = 0.0
    seen_weight: float = 0.0

    @classmethod
    def before(cls, history: HistoryConfig) -> "Chosen":
        """Nothing chosen yet: the default dials, the history as it stands."""
        recency = history.half_life_days, history.pooling_exponent
        order = {"recency_power": history.recency_power, "seen_weight": history.seen_weight}
        return cls(Dials(), *recency, **order)

    @classmethod
    def from_plain(cls, content: Mapping[str, Any]) -> "Chosen":
        """From what `asdict` made of one, through JSON or not."""
        dials = content["dials"]
        scaling = (float(dials["scaling"][0]), float(dials["scaling"][1]))
        return cls(**{**content, "dials": Dials(**{**dials, "scaling": scaling})})

    def history(self, history: HistoryConfig) -> HistoryConfig:
        """The history with what was chosen."""
        return replace(
            history,
            half_life_days=self.half_life_days,
            pooling_exponent=self.pooling_exponent,
            recency_power=self.recency_power,
            seen_weight=self.seen_weight,
        )


class StartMaker:
    """One mart and one mask of rows."""

    def __init__(
        self, mart: Mart, mask: npt.NDArray[np.bool_], history: HistoryConfig, dim: int, seed: int
    ) -> None:
        self.mart, self.history, self.dim, self.seed = mart, history, dim, seed
        self.co_occurrence = co_occurrence(mart, mask)
        self.may_hear_seen = may_hear_seen(mart)
        rows = mart.interactions
        self.likes = rows.where(mask & (rows.label == LIKE))
        self.has_times = len(self.likes) > 0 and bool((~np.isnan(self.likes.occurred_at)).mean() > 0.5)
        plain = replace(history, half_life_days=None, recency_power=0.0, seen_weight=0.0)
        self.pooling = self._pooling(plain)
        entries = np.ones(len(self.likes), np.float32), (self.likes.user_index, self.likes.item_index)
        self.matrix = sp.csr_matrix(entries, shape=self.pooling.shape)
        self._validated: dict[HistoryConfig, sp.csr_matrix] = {}
        self._kept: dict[str, tuple[object, Part]] = {}  # tries go on from the latest
        self._spectra: dict[tuple[float, float], Spectrum] = {}

    def start(self, dials: Dials) -> Start:
        """The closed form with these dials."""
        return self._start(dials, ITERATIONS)

    def ndcg(self, chosen: Chosen, validation: Validation) -> float:
        """NDCG@20 of the closed form, histories pooled as chosen; 0 for dials under which iALS overflows."""
        try:
            start = self._start(chosen.dials, TRIAL_ITERATIONS)
        except TrainingError:
            return 0.0
        history = chosen.history(self.history)
        pooling = self._validated.get(history)
        if pooling is None:
            pooling = self._validated[history] = self._pooling(history)[validation.users]
        return validation.ndcg(np.asarray(pooling @ start.history) + start.bias, start.embedding)

    def _start(self, dials: Dials, iterations: int) -> Start:
        likes, n_items = self.likes, len(self.mart.catalogue)
        popularity = popularity_scores(
            likes.item_index, likes.occurred_at, n_items, dials.popularity_half_life
        )
        return start_of(self._blend(dials, iterations), self._spectrum(dials), dials, popularity, self.dim)

    def _blend(self, dials: Dials, iterations: int) -> Part:
        regression = regression_part(self._spectrum(dials), dials)
        if dials.factor_share == 0:
            return regression

        def blended() -> Part:
            parts = [
                (regression, 1 - dials.factor_share),
                (self._factors(dials, iterations), dials.factor_share),
            ]
            users = np.flatnonzero(np.diff(self.matrix.indptr))
            if len(users) > BLEND_USERS:
                users = np.sort(np.random.default_rng(self.seed).choice(users, BLEND_USERS, replace=False))
            parts = [(part, share) for part, share in parts if share > 0]
            return blend(parts, self.pooling[users], ranking_dim(self.dim))

        personal = replace(dials, popularity=0.0, popularity_half_life=None)
        return self._keep("blend", (personal, iterations), blended)

    def _factors(self, dials: Dials, iterations: int) -> Part:
        def fitted() -> Part:
            dim = min(self.dim, *self.matrix.shape)
            return factor_part(self.matrix, self.pooling, dials, dim, self.seed, iterations=iterations)

        return self._keep("factors", (dials.factor_weight, dials.factor_reg, iterations), fitted)

    def _spectrum(self, dials: Dials) -> Spectrum:
        if dials.scaling not in self._spectra:
            self._spectra[dials.scaling] = spectrum_of(self.co_occurrence, self.dim, self.seed, dials.scaling)
        return self._spectra[dials.scaling]

    def _keep(self, name: str, key: object, make: Callable[[], Part]) -> Part:
        """The latest of its name, made anew when the key is another: what the next try mostly asks for."""
        if name not in self._kept or self._kept[name][0] != key:
            self._kept[name] = key, make()
        return self._kept[name][1]

    def _pooling(self, history: HistoryConfig) -> sp.csr_matrix:
        """Users x videos: how much each like weighs in its user's pooled history."""
        recency = history.half_life_days, history.recency_power
        likes = pairs_of(self.likes, len(self.mart.user_keys), history.max_likes, *recency)
        pairs = likes.beside(seen_pairs(self.mart.interactions, likes, history))
        mass = np.bincount(pairs.rows, pairs.weights, minlength=len(pairs))
        weights = pairs.weights / np.maximum(mass, 1e-6)[pairs.rows] ** history.pooling_exponent
        shape = len(pairs), len(self.mart.catalogue)
        return sp.csr_matrix((weights.astype(np.float32), pairs.items, pairs.starts), shape=shape)


def may_hear_seen(mart: Mart) -> bool:
    """Whether what was seen without an opinion may speak in a history: it has no split, so that only where
    ours took rows at random does it tell nothing of what is held out."""
    rows = mart.interactions
    is_ours = holdout_shape(rows) == "random" and not rows.is_file_split.any()
    return is_ours and bool((rows.label == SEEN_ONLY).any())


def co_occurrence(mart: Mart, mask: npt.NDArray[np.bool_]) -> sp.csr_matrix:
    """Users x videos: 1 for a like, less for a dislike or something seen without a label."""
    rows, used = mart.interactions, usable_rows(mart, mask)
    share = np.select([rows.label == LIKE, rows.label == DISLIKE], [1.0, DISLIKE_SHARE], SEEN_SHARE)
    shape = len(mart.user_keys), len(mart.catalogue)
    entries = share[used].astype(np.float32), (rows.user_index[used], rows.item_index[used])
    return sp.csr_matrix(entries, shape=shape)
