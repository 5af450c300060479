"""Item-based nearest neighbours: the classic that still wins on sparse catalogues."""

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from trainer.baselines.baseline import Baseline
from trainer.ranking import BLOCK_SCORES, top_k


def item_knn(train_csr: sparse.csr_matrix, neighbours: int = 100, shrinkage: float = 10.0) -> Baseline:
    """score(u, j) = Σ_(i liked by u, i among j's neighbours) s_ij;  s_ij = c_ij / (sqrt(n_i n_j) +
    shrinkage).

    Sarwar et al. 2001, Item-based collaborative filtering, with cosine over binary likes; shrinkage as in
    Dacrema, Cremonesi, Jannach 2019, Are we really making much progress, section 3.2: it keeps chance pairs
    of rare items down.
    """
    weights_II = similarities(train_csr, neighbours, shrinkage)

    def scores(rows: NDArray[np.int64]) -> NDArray[np.float32]:
        block: NDArray[np.float32] = (train_csr[rows] @ weights_II).toarray().astype(np.float32, copy=False)
        return block

    return Baseline("item_knn", {"neighbours": neighbours, "shrinkage": shrinkage}, scores)


def similarities(train_csr: sparse.csr_matrix, neighbours: int, shrinkage: float) -> sparse.csr_matrix:
    """W [I, I]: column j holds the similarities of j's nearest neighbours, none with itself."""
    likes_UI = sparse.csr_matrix(train_csr, dtype=np.float32)
    likes_IU = likes_UI.T.tocsr()
    n_items = likes_UI.shape[1]
    norms_I = np.sqrt(np.diff(likes_IU.indptr)).astype(np.float32)
    columns, size = [], max(1, BLOCK_SCORES // n_items)
    for start in range(0, n_items, size):
        stop = min(start + size, n_items)
        together_BI = (likes_IU[start:stop] @ likes_UI).toarray()
        # 1e-9: an item without likes divides 0 by it, not by 0
        together_BI /= norms_I[start:stop, None] * norms_I + max(shrinkage, 1e-9)
        together_BI[np.arange(stop - start), np.arange(start, stop)] = 0
        columns.append(_nearest(together_BI, neighbours))
    return sparse.vstack(columns).T.tocsr()


def _nearest(similar_BI: NDArray[np.float32], neighbours: int) -> sparse.csr_matrix:
    """Only the largest `neighbours` positive entries of each row."""
    candidates = np.where(similar_BI > 0, similar_BI, -np.inf)
    nearest_BK = top_k(candidates, min(neighbours, similar_BI.shape[1]))
    row, place = np.nonzero(nearest_BK >= 0)
    item = nearest_BK[row, place]
    return sparse.csr_matrix((similar_BI[row, item], (row, item)), shape=similar_BI.shape)
