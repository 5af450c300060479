"""How sure a mean over users is: bootstrap intervals. Of a column of differences, two models paired by user.

Efron, Tibshirani 1993, An Introduction to the Bootstrap, chapter 13 (percentile intervals); pairing by user
as in Sakai 2006, Evaluating evaluation metrics based on the bootstrap. Users are drawn, not interactions: a
user's values hang together.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

# 1,000 resamples give the ends of a 95 % interval to about a twentieth of its width.
RESAMPLES = 1_000
# Weights held at once, 32 MB: few large products are quicker than many small ones, most of all on a busy
# machine.
CHUNK_WEIGHTS = 4_000_000


def intervals(
    values_NM: NDArray[np.float64], seed: int = 0, confidence: float = 0.95, resamples: int = RESAMPLES
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Low and high ends [M] for the mean of each column over users; a NaN is a user without a value there.

    A column without any value gives NaN. Equal seeds give equal intervals, whatever the columns.
    """
    if len(values_NM) == 0 or values_NM.shape[1] == 0:
        return np.full(values_NM.shape[1], np.nan), np.full(values_NM.shape[1], np.nan)
    known_NM = ~np.isnan(values_NM)
    filled_NM = np.where(known_NM, values_NM, 0.0)
    means = []
    for weights_RN in _weights(len(values_NM), seed, resamples):
        total_RM = weights_RN @ known_NM.astype(np.float64)
        sums_RM = weights_RN @ filled_NM
        means.append(np.where(total_RM > 0, sums_RM / np.maximum(total_RM, 1), np.nan))
    means_RM = np.concatenate(means)
    # a resample that drew nobody with a value says nothing about the column
    means_RM[:, ~known_NM.any(0)] = 0.0
    tail = (1 - confidence) / 2
    low_M, high_M = np.nanquantile(means_RM, [tail, 1 - tail], axis=0)
    empty_M = ~known_NM.any(0)
    return np.where(empty_M, np.nan, low_M), np.where(empty_M, np.nan, high_M)


def _weights(n_users: int, seed: int, resamples: int) -> Iterator[NDArray[np.float64]]:
    """How often each user is drawn, `resamples` rows in chunks [R, N]: multinomial, so every row sums to
    N."""
    generator = np.random.default_rng(seed)
    at_once = max(1, CHUNK_WEIGHTS // n_users)
    for start in range(0, resamples, at_once):
        rows = min(at_once, resamples - start)
        drawn_RN = generator.integers(0, n_users, (rows, n_users))
        drawn_RN += np.arange(rows)[:, None] * n_users
        yield np.bincount(drawn_RN.ravel(), minlength=rows * n_users).reshape(rows, n_users).astype(float)
