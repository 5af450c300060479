"""Linear algebra for sparse matrices that no dense method holds: leading directions, and ridge regression."""

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

Floats = npt.NDArray[np.float32]

BLOCK_ROWS = (
    65_536  # rows of the matrix per product: keeps the dense intermediate under 100 MB at 256 columns
)


def leading_directions(
    matrix: sp.csr_matrix, rank: int, *, seed: int, n_iterations: int = 4, oversampling: int = 20
) -> tuple[Floats, Floats]:
    """Right singular vectors V [m, rank] and singular values [rank] of a sparse [n, m] matrix.

    Subspace iteration on A'A with a Rayleigh-Ritz step (Halko, Martinsson, Tropp 2011, section 5). The long
    side n is only ever held in blocks: 900,000 users cost no more memory than 65,536.
    """
    rng = np.random.default_rng(seed)
    width = min(rank + oversampling, *matrix.shape)
    basis = np.linalg.qr(rng.standard_normal((matrix.shape[1], width), dtype=np.float32))[0]
    for _ in range(n_iterations):
        basis = np.linalg.qr(_gram_times(matrix, basis))[0]
    values, rotation = np.linalg.eigh(basis.T.astype(np.float64) @ _gram_times(matrix, basis))
    order = np.argsort(-values)[:rank]
    directions = (basis @ rotation[:, order]).astype(np.float32)
    return directions, np.sqrt(np.maximum(values[order], 0)).astype(np.float32)


def ridge(features: sp.csr_matrix, targets: Floats, penalty: float, n_iterations: int = 25) -> Floats:
    """W [f, t] minimising |F W - Y|^2 + penalty |W|^2, by conjugate gradients on all columns at once."""
    transposed = features.T.tocsr()
    w = np.zeros((features.shape[1], targets.shape[1]), np.float32)
    residual = np.asarray(transposed @ targets, dtype=np.float32)
    direction = residual.copy()
    squared = (residual**2).sum(axis=0)
    for _ in range(n_iterations):
        image = transposed @ (features @ direction) + penalty * direction
        step = squared / np.maximum((direction * image).sum(axis=0), 1e-20)
        w += step * direction
        residual -= step * image
        latest = (residual**2).sum(axis=0)
        direction = residual + latest / np.maximum(squared, 1e-20) * direction
        squared = latest
    return w


def gram_root(matrix: Floats) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """(R [k, D], B [D, k]) with R'R = A'A of A [n, D] and B its right inverse on the directions A has:
    A = (A B) R with A B orthonormal, as in a QR decomposition, at the cost of one product."""
    values, vectors = np.linalg.eigh((matrix.T @ matrix).astype(np.float64))
    kept = values > max(values[-1], 0) * 1e-9
    lengths, vectors = np.sqrt(values[kept]), vectors[:, kept]
    return (vectors * lengths).T, vectors / lengths


def _gram_times(matrix: sp.csr_matrix, basis: Floats) -> Floats:
    """A' (A Q), block by block."""
    total = np.zeros_like(basis)
    for begin in range(0, matrix.shape[0], BLOCK_ROWS):
        part = matrix[begin : begin + BLOCK_ROWS]
        total += part.T @ (part @ basis)
    return total
