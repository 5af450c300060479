"""Permutation importance: what the holdout's ranking loses when one group of features says the wrong thing.

Breiman 2001, Random forests, section 10; Fisher, Rudin, Dominici 2019, All models are wrong, but many are
useful. The model is not trained again: each group's values are dealt to other videos (or users), all columns
of the group together, so that what hangs together stays together and the distribution stays the same. Groups
that can stand in for each other both look unimportant: that is what the number says about this model, not
about the data.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from trainer.errors import TrainingError

Permutation = NDArray[np.int64]
# Metrics of the model on the holdout with a group's rows taken in this order; group None: nothing permuted.
MetricsOf = Callable[[str | None, Permutation | None], Mapping[str, float]]


class ImportanceRow(NamedTuple):
    """One row of recsys.feature_importance: how far the metric falls, in its own units; negative: it rose."""

    feature_name: str
    importance_score: float


def permutation_importance(
    groups: Mapping[str, int],
    metrics_of: MetricsOf,
    *,
    metric: str = "ndcg@20",
    repeats: int = 3,
    seed: int = 0,
) -> list[ImportanceRow]:
    """Mean fall of `metric` over `repeats` permutations of each group, the most important first.

    `groups` maps a group's name to the number of its rows (videos for an item feature, users for a user
    feature).
    `metrics_of` is called once without a group and `repeats` times with each. Equal seeds give equal
    permutations. Raises TrainingError where the metric is not among those that came back.
    """
    whole = _value(metrics_of(None, None), metric)
    rows = []
    for place, (group, n_rows) in enumerate(groups.items()):
        generator = np.random.default_rng([seed, place])
        values = [_value(metrics_of(group, order), metric) for order in _orders(generator, n_rows, repeats)]
        rows.append(ImportanceRow(group, whole - float(np.mean(values))))
    return sorted(rows, key=lambda row: (-row.importance_score, row.feature_name))


def _orders(generator: np.random.Generator, n_rows: int, repeats: int) -> Iterable[Permutation]:
    for _ in range(repeats):
        yield generator.permutation(n_rows)


def _value(metrics: Mapping[str, float], metric: str) -> float:
    if metric not in metrics:
        known = ", ".join(metrics)
        raise TrainingError(f"there is no metric {metric!r} to judge features by", f"choose from {known}")
    return metrics[metric]
