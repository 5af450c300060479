"""What every model is compared with, trained on the same rows in the same run.

A baseline that is not tuned is no baseline (Rendle, Zhang, Koren 2019, On the difficulty of evaluating
baselines):
`fit_baselines` chooses each one's settings on a held-out part of the training likes, never on the holdout
itself.
"""

from trainer.baselines.baseline import Baseline
from trainer.baselines.ease import ease
from trainer.baselines.factors import matrix_factors
from trainer.baselines.fitting import NAMES, Fitted, Likes, best_settings, fit_baselines
from trainer.baselines.item_knn import item_knn
from trainer.baselines.popularity import popularity, recent_popularity

__all__ = [
    "NAMES",
    "Baseline",
    "Fitted",
    "Likes",
    "best_settings",
    "ease",
    "fit_baselines",
    "item_knn",
    "matrix_factors",
    "popularity",
    "recent_popularity",
]
