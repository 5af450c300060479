"""EASE: the item-item model in closed form, the strongest simple one on dense sets."""

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse

from trainer.baselines.baseline import Baseline
from trainer.errors import TrainingError
from trainer.ranking import BLOCK_SCORES, BlockScorer

# The inverse is n x n for the smaller side: 15,000 takes about 3 x 0.9 GB by arithmetic (not measured), and
# 36,000 would take 3 x 5.2 GB.
LARGEST_SIDE = 15_000


def ease(train_csr: sparse.csr_matrix, reg: float = 100.0) -> Baseline:
    """score = X B,  B_ij = -P_ij / P_jj off the diagonal and 0 on it,  P = (X'X + reg I)^-1.

    Steck 2019, Embarrassingly shallow autoencoders for sparse data, equation 8: the division is by the
    *column's* diagonal element, so X B is not X B'. With fewer users than items the same scores come from the
    users' side: X P = (X X' + reg I)^-1 X, exactly (push-through identity), and the inverse is of the size of
    the users. Raises TrainingError where both sides are above LARGEST_SIDE.
    """
    n_users, n_items = train_csr.shape
    if min(n_users, n_items) > LARGEST_SIDE:
        raise TrainingError(
            f"EASE needs a {min(n_users, n_items):,} x {min(n_users, n_items):,} inverse, "
            f"above the {LARGEST_SIDE:,} that fit memory and patience",
            "compare with iALS and item-kNN on catalogues of this size",
        )
    likes_UI = sparse.csr_matrix(train_csr, dtype=np.float32)
    scorer = _by_users(likes_UI, reg) if n_users < n_items else _by_items(likes_UI, reg)
    return Baseline("ease", {"reg": reg}, scorer)


def _by_items(likes_UI: sparse.csr_matrix, reg: float) -> BlockScorer:
    weights_II = _inverse((likes_UI.T @ likes_UI).toarray(), reg)
    weights_II /= -weights_II.diagonal().clone()
    weights_II.fill_diagonal_(0)
    weights = weights_II.numpy()

    def scores(rows: NDArray[np.int64]) -> NDArray[np.float32]:
        block: NDArray[np.float32] = likes_UI[rows] @ weights
        return block

    return scores


def _by_users(likes_UI: sparse.csr_matrix, reg: float) -> BlockScorer:
    inverse_UU = _inverse((likes_UI @ likes_UI.T).toarray(), reg).numpy()
    diagonal_I = np.empty(likes_UI.shape[1], np.float32)
    likes_IU = likes_UI.T.tocsr()
    size = max(1, BLOCK_SCORES // likes_UI.shape[0])
    for start in range(0, len(diagonal_I), size):
        block_BU = likes_IU[start : start + size]
        # P_jj = (1 - x_j' (X X' + reg I)^-1 x_j) / reg, x_j the column of likes
        inner_B = block_BU.multiply(block_BU @ inverse_UU).sum(1)
        diagonal_I[start : start + size] = (1 - np.asarray(inner_B).ravel()) / reg

    def scores(rows: NDArray[np.int64]) -> NDArray[np.float32]:
        # X B = X (I - P / diag) because B's own diagonal 1 - P_jj / P_jj is 0
        block: NDArray[np.float32] = likes_UI[rows].toarray() - (inverse_UU[rows] @ likes_UI) / diagonal_I
        return block

    return scores


def _inverse(gram: NDArray[np.float32], reg: float) -> torch.Tensor:
    """(gram + reg I)^-1 by Cholesky, float32: the regularisation keeps the condition number small."""
    system = torch.from_numpy(gram)
    system.diagonal().add_(reg)
    return torch.cholesky_inverse(torch.linalg.cholesky(system))
