"""The two baselines that know nobody: what is liked most, and what is liked most lately."""

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse

from trainer.baselines.baseline import Baseline
from trainer.ranking import BlockScorer

SECONDS_PER_DAY = 86_400
# Rows with a time that recency needs; with fewer dated rows it would rank by who happens to have a clock.
SHARE_WITH_TIME = 0.5


def popularity(train_csr: sparse.csr_matrix) -> Baseline:
    """Every user gets the items with the most training likes; equal ones by item index."""
    counts_I = np.bincount(train_csr.indices, minlength=train_csr.shape[1])
    return Baseline("popularity", {}, _same_for_everybody(counts_I))


def recent_popularity(
    train_csr: sparse.csr_matrix, times_csr: sparse.csr_matrix | None, half_life_days: float
) -> Baseline:
    """Likes weigh 0.5 ** (age / half-life), age counted back from the newest like of the training split.

    `times_csr` has the pattern of `train_csr` and the likes' epoch seconds, NaN where unknown; such a like
    weighs the mean of the dated ones. Where fewer than half of the likes have a time this is plain
    popularity, and its settings say so with a half-life of infinity.
    """
    times = np.full(train_csr.nnz, np.nan) if times_csr is None else times_csr.data
    dated = np.isfinite(times)
    if dated.mean() < SHARE_WITH_TIME:
        return Baseline("recent_popularity", {"half_life_days": float("inf")}, popularity(train_csr).scorer)
    age_days = (times[dated].max() - times[dated]) / SECONDS_PER_DAY
    weights = np.empty(train_csr.nnz)
    weights[dated] = 0.5 ** (age_days / half_life_days)
    weights[~dated] = weights[dated].mean()
    totals_I = np.bincount(train_csr.indices, weights, minlength=train_csr.shape[1])
    return Baseline("recent_popularity", {"half_life_days": half_life_days}, _same_for_everybody(totals_I))


def _same_for_everybody(scores_I: NDArray[np.generic]) -> BlockScorer:
    one_row = torch.from_numpy(scores_I.astype(np.float32))
    return lambda rows: one_row.repeat(len(rows), 1)
