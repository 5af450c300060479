"""Versions in the database: written whole or not at all, promoted, rolled back, listed.

A version is written in one transaction, so a trainer that dies at any stage leaves nothing behind and the
version that serves goes on serving. Promotion is another one; its logic is SQL (sql/functions/promote.sql).
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from trainer.database import Connection
from trainer.errors import GateRefusedError, ReleaseError
from trainer.vector_copy import copy_vectors

if TYPE_CHECKING:  # `promote` and `rollback` need no torch, and should not wait for its import
    from trainer.evaluation import EvaluationRow

PUBLISH_LOCK = 7_305_211_958_024_419  # any number nobody else uses: one trainer publishes at a time
# After a killed trainer the server needs a second to notice (client_connection_check_interval); a living one
# holds the lock for the minutes of an index build, and then waiting is for the person to decide.
LOCK_PATIENCE_S = 8.0
# HNSW over 50,000 x 256 wants some 80 MB; with less than the graph needs the build takes four times as long.
INDEX_MEMORY_RANGE_MB = (64, 1024)
BYTES_PER_EDGE_LIST = 400  # 2 x m = 32 neighbours on the ground level, the upper levels, and their headers
READERS_PATIENCE = "3s"  # how long dropping an old version may make readers of its parent wait
GATE_REFUSED_SQLSTATE = "MT003"


class PublishingElsewhereError(ReleaseError):
    """Another trainer holds the publishing lock."""


@dataclass(frozen=True)
class VersionBundle:
    """Everything a version is. Shapes: N videos, U users, D = embedding_dim."""

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
    """(model_name, metric, user_key, value): what the gate pairs by; its rules ask for recall@20, ndcg@20."""
    feature_importance: dict[str, float] = field(default_factory=dict)


def next_version(connection: Connection, now: datetime | None = None) -> str:
    """`YYYYMMDDHHMM` in UTC; seconds appended when that minute is taken, the next free ones when both are."""
    moment = (now or datetime.now(UTC)).astimezone(UTC)
    taken = {
        str(version)
        for (version,) in connection.execute("select version from recsys.embedding_model_versions")
    }
    version = f"{moment:%Y%m%d%H%M}"
    while version in taken:
        version = f"{moment:%Y%m%d%H%M%S}"
        moment += timedelta(seconds=1)
    return version


def write_version(connection: Connection, bundle: VersionBundle) -> str:
    """The bundle as a candidate version: vectors, index, weights, evaluations, in one transaction.

    Returns the version's text. Raises ReleaseError: arrays that do not fit together, another trainer
    publishing now, a vector the database refuses (NaN, another dimension, not of unit length), no disk or
    memory for the index.
    """
    _check_shapes(bundle)
    with _release_errors(f"version {bundle.version} was not written"):
        prune(connection)
        with connection.transaction():
            _settle_in(connection, bundle)
            _take_publish_lock(connection, LOCK_PATIENCE_S)
            _insert_version(connection, bundle)
            connection.execute(
                "select recsys.create_version_tables(%s, %s)", (bundle.version, bundle.embedding_dim)
            )
            _copy_videos(connection, bundle)
            _copy_users(connection, bundle)
            _attach(connection, bundle.version)
            _insert_tower(connection, bundle)
            _insert_evaluations(connection, bundle)
            connection.execute(
                "update recsys.embedding_model_versions set status = 'candidate' where version = %s",
                (bundle.version,),
            )
    return bundle.version


def promote(connection: Connection, version: str, force: bool = False) -> dict[str, Any]:
    """Make a version the one that serves: version, previous_version, changed, app_videos, app_users.

    Raises GateRefusedError for a version the gate refused (unless `force`, which is logged), ReleaseError for
    one that does not exist or is not complete.
    """
    return _switch(
        connection, "select recsys.promote(%s, %s)", (version, force), f"version {version} was not promoted"
    )


def rollback(connection: Connection) -> dict[str, Any]:
    """Back to the version active before; again goes further back. Raises ReleaseError where there is none."""
    return _switch(connection, "select recsys.rollback()", (), "nothing was rolled back")


def prune(connection: Connection) -> list[str]:
    """Drop what retention and dead runs leave behind; the versions dropped, none while readers are at them.

    Readers never wait longer than READERS_PATIENCE; what could not be dropped is dropped next time.
    """
    if not _is_idle(connection):
        raise ReleaseError(
            "versions cannot be written inside somebody's transaction", "commit before, or use autocommit"
        )
    try:
        with connection.transaction():
            connection.execute(f"set local lock_timeout = '{READERS_PATIENCE}'")
            _take_publish_lock(connection, 0)
            row = connection.execute("select recsys.prune_versions()").fetchone()
            return list(row[0]) if row else []
    except (psycopg.errors.LockNotAvailable, PublishingElsewhereError):
        return []


def versions(connection: Connection) -> list[dict[str, Any]]:
    """The versions of the registry, newest first, a dict of its columns each."""
    cursor = connection.execute(
        "select version, status, created_at, promoted_at, embedding_dim, metrics, git_commit, data_hash"
        " from recsys.embedding_model_versions order by created_at desc, version desc"
    )
    names = [column.name for column in cursor.description or ()]
    return [dict(zip(names, row, strict=True)) for row in cursor]


def app_dimension(connection: Connection) -> int | None:
    """The dimension the app's own tables of vectors ask for, None where it has none or they take any.

    Raises ReleaseError where its two tables disagree.
    """
    with _release_errors("the app's tables of vectors cannot be filled"):
        row = connection.execute("select recsys.app_dimension()").fetchone()
    return row[0] if row else None


def _switch(connection: Connection, statement: str, values: Sequence[Any], failure: str) -> dict[str, Any]:
    with _release_errors(failure), connection.transaction():
        connection.execute("set local statement_timeout = 0")
        row = connection.execute(statement.encode(), values).fetchone()
    with _release_errors("old versions were not removed"):
        prune(connection)
    return dict(row[0]) if row else {}


def _settle_in(connection: Connection, bundle: VersionBundle) -> None:
    """Settings of this transaction only: behind a pooler a session belongs to everybody."""
    graph_mb = len(bundle.video_ids) * (4 * bundle.embedding_dim + BYTES_PER_EDGE_LIST) * 1.2 / 2**20
    low, high = INDEX_MEMORY_RANGE_MB
    connection.execute("set local statement_timeout = 0")
    connection.execute("set local idle_in_transaction_session_timeout = '10min'")
    # so that the work of a killed trainer ends, and its lock with it, and not only its connection
    connection.execute("set local client_connection_check_interval = '1s'")
    connection.execute(f"set local maintenance_work_mem = '{int(np.clip(graph_mb, low, high))}MB'")


def _take_publish_lock(connection: Connection, patience_s: float) -> None:
    deadline = monotonic() + patience_s
    while True:
        row = connection.execute("select pg_try_advisory_xact_lock(%s)", (PUBLISH_LOCK,)).fetchone()
        if row and row[0]:
            return
        if monotonic() >= deadline:
            raise PublishingElsewhereError(
                "another trainer is publishing to this database", "wait until it has finished"
            )
        sleep(0.5)


def _insert_version(connection: Connection, bundle: VersionBundle) -> None:
    # created_at orders the versions, so it never goes back, whatever the clock does
    connection.execute(
        """
        insert into recsys.embedding_model_versions
            (version, status, embedding_dim, config, metrics, data_hash, git_commit, model_path, created_at)
        select %s, 'building', %s, %s, %s, %s, %s, %s,
            greatest(now(), max(registry.created_at) + interval '1 microsecond')
        from recsys.embedding_model_versions as registry
        """,
        (
            bundle.version,
            bundle.embedding_dim,
            Jsonb(bundle.config),
            Jsonb(bundle.metrics),
            bundle.data_hash,
            bundle.git_commit,
            bundle.model_path,
        ),
    )


def _copy_videos(connection: Connection, bundle: VersionBundle) -> None:
    columns = {"embedding": bundle.item_vectors, "history_embedding": bundle.history_vectors}
    copy_vectors(connection, _partition("video_embeddings", bundle), "video_id", bundle.video_ids, columns)


def _copy_users(connection: Connection, bundle: VersionBundle) -> None:
    """Through a temporary table, to note beside each vector which history it came from (history_hash)."""
    connection.execute("create temporary table new_user_vectors (like recsys.user_embeddings) on commit drop")
    connection.execute("alter table new_user_vectors alter column model_version drop not null")
    connection.execute("alter table new_user_vectors alter column updated_at drop not null")
    copy_vectors(
        connection,
        sql.Identifier("pg_temp", "new_user_vectors"),
        "user_key",
        bundle.user_keys,
        {"embedding": bundle.user_vectors},
    )
    statement = """
        insert into {} (user_key, embedding, history_hash)
        select new_user_vectors.user_key, new_user_vectors.embedding, histories.history_hash
        from pg_temp.new_user_vectors
        left join recsys.histories(false) as histories on histories.user_key = new_user_vectors.user_key
    """
    connection.execute(sql.SQL(statement).format(_partition("user_embeddings", bundle)))


def _attach(connection: Connection, version: str) -> None:
    """Keys, index, attach; again without parallel workers where shared memory is short (as in containers)."""
    try:
        with connection.transaction():
            connection.execute("select recsys.attach_version_tables(%s)", (version,))
    except (psycopg.errors.DiskFull, psycopg.errors.OutOfMemory):
        connection.execute("set local max_parallel_maintenance_workers = 0")
        connection.execute("select recsys.attach_version_tables(%s)", (version,))


def _insert_tower(connection: Connection, bundle: VersionBundle) -> None:
    with (
        connection.cursor() as cursor,
        cursor.copy("copy recsys.user_tower (model_version, layer, unit, weights, bias) from stdin") as copy,
    ):
        for layer, unit, weights, bias in bundle.tower_rows:
            text = "[" + ",".join(map(repr, map(float, weights))) + "]"
            copy.write_row((bundle.version, layer, unit, text, float(bias)))


def _insert_evaluations(connection: Connection, bundle: VersionBundle) -> None:
    columns = "model_version, model_name, split, slice, metric, value, low, high, n_users"
    with connection.cursor() as cursor:
        with cursor.copy(f"copy recsys.evaluations ({columns}) from stdin") as copy:
            for row in bundle.evaluations:
                copy.write_row((bundle.version, *row))
        columns = "model_version, model_name, metric, user_key, value"
        with cursor.copy(f"copy recsys.evaluation_users ({columns}) from stdin") as copy:
            for model_name, metric, user_key, value in bundle.evaluation_users:
                copy.write_row((bundle.version, model_name, metric, user_key, float(value)))
        cursor.executemany(
            "insert into recsys.feature_importance (model_version_id, feature_name, importance_score)"
            " select id, %s, %s from recsys.embedding_model_versions where version = %s",
            [(name, score, bundle.version) for name, score in bundle.feature_importance.items()],
        )


def _partition(relation: str, bundle: VersionBundle) -> sql.Identifier:
    """As recsys.partition_of names it."""
    return sql.Identifier("recsys", f"{relation}_{bundle.version}")


def _is_idle(connection: Connection) -> bool:
    return connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE


def _check_shapes(bundle: VersionBundle) -> None:
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


@contextmanager
def _release_errors(failure: str) -> Iterator[None]:
    try:
        yield
    except psycopg.Error as error:
        said = error.diag.message_primary or " ".join(str(error).split()) or type(error).__name__
        kind = GateRefusedError if error.sqlstate == GATE_REFUSED_SQLSTATE else ReleaseError
        raise kind(f"{failure}: {said}", error.diag.message_hint or "") from error
