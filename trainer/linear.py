"""A truncated SVD by random projection, for sparse matrices that no dense method holds."""

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

Floats = npt.NDArray[np.float32]


def randomized_svd(
    matrix: sp.csr_matrix, rank: int, *, seed: int, n_iterations: int = 3, oversampling: int = 20
) -> tuple[Floats, Floats, Floats]:
    """U [n, rank], singular values [rank], V [m, rank] of a sparse [n, m] matrix.

    Halko, Martinsson, Tropp 2011, algorithms 4.4 and 5.1: subspace iteration with QR in between.
    """
    rng = np.random.default_rng(seed)
    width = min(rank + oversampling, *matrix.shape)
    transposed = matrix.T.tocsr()
    basis = np.linalg.qr(matrix @ rng.standard_normal((matrix.shape[1], width), dtype=np.float32))[0]
    for _ in range(n_iterations):
        basis = np.linalg.qr(transposed @ basis)[0]
        basis = np.linalg.qr(matrix @ basis)[0]
    left, s, right = np.linalg.svd((transposed @ basis).T, full_matrices=False)
    rank = min(rank, width)
    return (
        (basis @ left)[:, :rank].astype(np.float32),
        s[:rank].astype(np.float32),
        right[:rank].T.astype(np.float32),
    )
