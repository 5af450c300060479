"""iALS as a linear recommender: what a user tower without user ids can hold of a matrix factorisation.

iALS solves one system per user. One matrix for everybody, the ridge regression of the users' factors on
their pooled histories, ranks as well as the exact solution or better: NDCG@20 .287 against .287 on
movielens-2149u (random split), .136 against .134 on its last-20 % split, .169 against .167 on movietweetings.
"""

import numpy as np
import scipy.sparse as sp

from trainer.ials import ials
from trainer.warm_start import Dials, Part

MOST_USERS = 60_000  # factors of videos settle long before this many histories, and the cost stays bounded
RIDGE = 1e-3  # of the mean squared length of a pooled history: keeps what few users show from blowing up


def factor_part(
    likes: sp.csr_matrix, pooling: sp.csr_matrix, dials: Dials, dim: int, seed: int, *, iterations: int = 8
) -> Part:
    """The factors of likes [users, N] under the dials; `pooling` [users, N] are the same users' histories."""
    liking = np.flatnonzero(np.diff(likes.indptr))
    if len(liking) > MOST_USERS:
        liking = np.sort(np.random.default_rng(seed).choice(liking, MOST_USERS, replace=False))
    x, y = ials(likes[liking], dim, iterations, dials.factor_weight, dials.factor_reg, seed=seed)
    pooled = np.asarray(pooling[liking] @ y, dtype=np.float64)
    gram = pooled.T @ pooled
    ridge = RIDGE * np.trace(gram) / len(gram) * np.eye(len(gram))
    to_user = np.linalg.solve(gram + ridge, pooled.T @ x)
    return Part((y @ to_user).astype(np.float32), y)
