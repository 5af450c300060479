"""Where training starts: a truncated SVD of the degree-normalised likes, so that the first step is near the last.

A = D_u^-1/2 X D_i^-a ~ U s V'. A video speaks in a history through V D_i^-a and is scored through V D_i^a.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from trainer.histories import Pairs
from trainer.linear import randomized_svd

ITEM_EXPONENT = 0.5


@dataclass(frozen=True)
class Start:
    """embedding [n_items, D] of unit rows, history [n_items, D] with a mean norm of 1."""

    embedding: npt.NDArray[np.float32]
    history: npt.NDArray[np.float32]


def svd_start(likes: Pairs, n_items: int, dim: int, seed: int) -> Start:
    """Both item tables from the likes; columns beyond the rank of the matrix and unseen videos get small noise."""
    n_users = len(likes)
    x = sp.csr_matrix(
        (np.ones(len(likes.items), np.float32), likes.items, likes.starts), shape=(n_users, n_items)
    )
    users = np.maximum(np.asarray(x.sum(axis=1)).ravel(), 1)
    items = np.maximum(np.asarray(x.sum(axis=0)).ravel(), 1)
    normalised = sp.csr_matrix(sp.diags(users**-0.5) @ x @ sp.diags(items**-ITEM_EXPONENT), dtype=np.float32)
    rank = min(dim, n_users - 1, n_items - 1)
    _, _, v = randomized_svd(normalised, rank, seed=seed)
    noise = np.random.default_rng(seed).standard_normal((n_items, dim)).astype(np.float32) * 0.01 * dim**-0.5
    basis = noise
    basis[:, : v.shape[1]] += v
    embedding = basis / np.linalg.norm(basis, axis=1, keepdims=True)
    history = basis * (items**-ITEM_EXPONENT).astype(np.float32)[:, None]
    return Start(embedding, history / np.linalg.norm(history, axis=1).mean())


def random_start(_likes: Pairs, n_items: int, dim: int, seed: int) -> Start:
    """Gaussian rows, for comparison."""
    rng = np.random.default_rng(seed)
    embedding, history = (
        rng.standard_normal((n_items, dim)).astype(np.float32) * dim**-0.5 for _ in range(2)
    )
    return Start(embedding, history)
