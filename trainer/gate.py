"""The gate, from Python: it judges in SQL (sql/functions/gate.sql), its rules are rows (recsys.gate_rules).

What Python adds is the champion: the version that serves, read back from its own rows and scored on the
challenger's holdout, so that every user is compared with themselves. Shapes: N videos, U users, D dimensions.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from trainer.bootstrap import intervals
from trainer.database import Connection
from trainer.errors import GateRefusedError, ReleaseError
from trainer.evaluation import Evaluation
from trainer.histories import Aggregate, AggregateTable, HistoryConfig, build_histories, video_numbers
from trainer.mart import Mart
from trainer.towers import UserTower, pool

# What is stored per user; every further metric is a row per user and model.
STORED_METRICS = ("recall@20", "ndcg@20")
# What rules may be about and users have a value of; of whole lists (coverage) there is nothing to pair.
PAIRED_METRICS = (*STORED_METRICS, "dislike@20", "largest_maker_share@20")


class PairedRow(NamedTuple):
    """One row of recsys.paired_differences, without the version: the model itself minus `model_name`."""

    model_name: str
    slice: str
    metric: str
    n_users: int
    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Champion:
    """The version that serves, over a mart's catalogue; `item_vectors` [N, D]: 0 for videos it never saw."""

    version: str
    item_vectors: npt.NDArray[np.float32]
    user_vectors: npt.NDArray[np.float32]
    """[U, D] of the mart's users, from the training cut."""


def decide(connection: Connection, version: str) -> None:
    """Judge a version by every enabled rule; the verdicts stay in recsys.gate_results.

    Raises GateRefusedError naming the failed rules; the version that serves is untouched.
    """
    row = connection.execute("select recsys.decide(%s)", (version,)).fetchone()
    if row and row[0]:
        return
    reasons = "; ".join(f"{rule}: {reason}" for rule, reason in why_rejected(connection, version))
    raise GateRefusedError(
        f"the gate refused version {version}: {reasons}",
        f"the version is kept; `python -m trainer promote {version} --force` makes it serve all the same",
    )


def why_rejected(connection: Connection, version: str) -> list[tuple[str, str]]:
    """(rule, reason) of every rule the version failed; empty when it passed."""
    rows = connection.execute("select rule, reason from recsys.why_rejected(%s)", (version,))
    return [(str(rule), str(reason)) for rule, reason in rows]


def user_rows(
    evaluations: Sequence[Evaluation], user_keys: Sequence[str]
) -> list[tuple[str, str, str, float]]:
    """(model_name, metric, user_key, value) for VersionBundle.evaluation_users; `user_keys` of the mart."""
    return [
        (evaluation.name, metric, user_keys[user], float(value))
        for evaluation in evaluations
        for metric in STORED_METRICS
        for user, value in zip(evaluation.user_rows.tolist(), evaluation.per_user[metric], strict=True)
        if not np.isnan(value)
    ]


def paired_rows(evaluations: Sequence[Evaluation]) -> list[PairedRow]:
    """The first evaluation minus each other one, user by user, in every slice both have, with its interval.

    One bootstrap for all of them: the same users are drawn for every difference, and the seed is fixed.
    """
    own, *others = evaluations
    named = [
        (other.name, name, metric, _differences(own, *parts, metric))
        for other in others
        for name, parts in _shared_slices(own, other).items()
        for metric in PAIRED_METRICS
        if all(metric in part.per_user for part in parts)
    ]
    if not named:
        return []
    differences_UM = np.stack([column for *_, column in named], axis=1)
    low_M, high_M = intervals(differences_UM)
    return [
        PairedRow(other, name, metric, len(known), float(known.mean()), float(low), float(high))
        for (other, name, metric, column), low, high in zip(named, low_M, high_M, strict=True)
        if len(known := column[~np.isnan(column)])
    ]


def _shared_slices(own: Evaluation, other: Evaluation) -> dict[str, tuple[Evaluation, Evaluation]]:
    shared = own.slices.keys() & other.slices.keys()
    return {"all": (own, other)} | {name: (own.slices[name], other.slices[name]) for name in sorted(shared)}


def _differences(
    whole: Evaluation, own: Evaluation, other: Evaluation, metric: str
) -> npt.NDArray[np.float64]:
    """[U] of the whole holdout's users, NaN for those outside of the slice."""
    if not np.array_equal(own.user_rows, other.user_rows):
        raise ReleaseError(
            f"{own.name} and {other.name} were scored on other users", "score both on the same holdout"
        )
    differences_U = np.full(len(whole.user_rows), np.nan)
    places = np.searchsorted(whole.user_rows, own.user_rows)
    differences_U[places] = own.per_user[metric] - other.per_user[metric]
    return differences_U


def read_champion(connection: Connection, mart: Mart) -> Champion | None:
    """The version that serves, its users computed from this mart's training cut; None before the first."""
    found = connection.execute(
        "select version, embedding_dim, config from recsys.embedding_model_versions where is_active"
    ).fetchone()
    if found is None:
        return None
    version, dim, config = found
    place = {video: k for k, video in enumerate(mart.catalogue.video_ids)}
    items, histories = (np.zeros((len(place), dim), np.float32) for _ in range(2))
    statement = """
        select video_id::text, embedding::real[], history_embedding::real[]
        from recsys.video_embeddings where model_version = %s
    """
    with connection.transaction(), connection.cursor(name="martello_champion") as cursor:
        for video, embedding, history in cursor.execute(statement, (version,)):
            if (k := place.get(video)) is not None:
                items[k], histories[k] = embedding, history
    history_config = HistoryConfig(**config["history"])
    aggregates = [Aggregate(**aggregate) for aggregate in config["aggregates"]]
    read = build_histories(
        mart, "train", history_config, AggregateTable(aggregates, video_numbers(mart.catalogue))
    )
    h_ND = torch.from_numpy(histories)
    pooled = [
        pool(
            h_ND,
            torch.from_numpy(pairs.items),
            torch.from_numpy(pairs.starts[:-1]),
            torch.from_numpy(pairs.weights),
            history_config.pooling_exponent,
        )
        for pairs in (read.heard, read.dislikes)
    ]
    tower = _read_tower(connection, version, dim, len(aggregates))
    with torch.no_grad():
        users: npt.NDArray[np.float32] = tower(*pooled, torch.from_numpy(read.aggregates)).numpy()
    return Champion(version, items, users)


def _read_tower(connection: Connection, version: str, dim: int, n_aggregates: int) -> UserTower:
    layers: dict[str, list[tuple[list[float], float]]] = {}
    for layer, weights, bias in connection.execute(
        "select layer, weights::real[], bias from recsys.user_tower"
        " where model_version = %s order by layer, unit",
        (version,),
    ):
        layers.setdefault(layer, []).append((weights, bias))
    if "skip" not in layers:
        raise ReleaseError(f"version {version} has no user tower in recsys.user_tower", "train a new version")
    tower = UserTower(dim, n_aggregates, len(layers.get("hidden", [])))
    state = {}
    for layer, rows in layers.items():
        state[f"{layer}.weight"] = torch.tensor([weights for weights, _ in rows])
        if layer != "output":
            state[f"{layer}.bias"] = torch.tensor([bias for _, bias in rows])
    tower.load_state_dict(state, strict=True)
    return tower.eval()
