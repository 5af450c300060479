"""What a version is before it is in the database. Shapes: N videos, U users, D = embedding_dim."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from trainer.errors import ReleaseError

if TYPE_CHECKING:  # `promote` and `rollback` need no torch, and should not wait for its import
    from trainer.evaluation import EvaluationRow
    from trainer.gate import PairedRow


@dataclass(frozen=True)
class VersionBundle:
    """Everything a version is."""

    version: str
    embedding_dim: int
    video_ids: Sequence[str]
    item_vectors: npt.NDArray[np.float32]
    """[N, D], unit length."""
    history_vectors: npt.NDArray[np.float32]
    """[N, D], any length."""
    user_keys: Sequence[str]
    user_vectors: npt.NDArray[np.float32]
    """[U, D], unit length: users with a like, computed from what the marts know (histories "published")."""
    tower_rows: Sequence[tuple[str, int, Sequence[float], float]]
    """(layer, unit, weights, bias), as `UserTower.rows` gives them."""
    config: dict[str, Any]
    metrics: dict[str, Any] = field(default_factory=dict)
    data_hash: str | None = None
    git_commit: str | None = None
    model_path: str | None = None
    evaluations: "Sequence[EvaluationRow]" = ()
    """Of the version itself (model_name two_tower), of champion and of the baselines, on one holdout."""
    evaluation_users: Sequence[tuple[str, str, str, float]] = ()
    """(model_name, metric, user_key, value) on that holdout."""
    paired_differences: "Sequence[PairedRow]" = ()
    """Of the version itself minus each model beside it, as `gate.paired_rows` gives them."""
    feature_importance: dict[str, float] = field(default_factory=dict)


def check_shapes(bundle: VersionBundle) -> None:
    """What the database could not say in our words; NaN, norms and keys it checks itself."""
    dim, width = bundle.embedding_dim, {len(row[2]) for row in bundle.tower_rows if row[0] == "skip"}
    expected = {
        "item vectors": (bundle.item_vectors.shape, (len(bundle.video_ids), dim)),
        "history vectors": (bundle.history_vectors.shape, (len(bundle.video_ids), dim)),
        "user vectors": (bundle.user_vectors.shape, (len(bundle.user_keys), dim)),
        "user tower": (width, {2 * dim + len(bundle.config.get("aggregates", []))}),
    }
    for name, (found, wanted) in expected.items():
        if found != wanted:
            raise ReleaseError(
                f"version {bundle.version} has {name} of shape {found} where {wanted} is meant",
                "vectors, ids and weights have to come from one model; train again",
            )
