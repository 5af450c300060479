"""iALS as a baseline: user and item factors that score by their dot product."""

from scipy import sparse

from trainer.baselines.baseline import Baseline
from trainer.ials import ials


def matrix_factors(
    train_csr: sparse.csr_matrix,
    alpha: float = 0.1,
    reg: float = 0.01,
    *,
    factors: int = 256,
    iterations: int = 10,
    seed: int = 0,
) -> Baseline:
    """Implicit ALS; see trainer.ials for the objective and its sources."""
    user_factors, item_factors = ials(
        train_csr, factors=factors, iterations=iterations, alpha=alpha, reg=reg, seed=seed
    )
    return Baseline("ials", {"alpha": alpha, "reg": reg, "factors": factors}, (user_factors, item_factors))
