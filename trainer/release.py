"""Versions in the database: written whole or not at all, promoted, rolled back, listed.

A version is written in one transaction, so a trainer that dies at any stage leaves nothing behind and the
version that serves goes on serving. Promotion is another one; its logic is SQL (sql/functions/promote.sql).
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from time import monotonic, sleep
from typing import Any

import numpy as np
import psycopg

from trainer.database import Connection
from trainer.errors import GateRefusedError, ReleaseError
from trainer.version_bundle import VersionBundle, check_shapes
from trainer.version_rows import copy_users, copy_videos, insert_evaluations, insert_tower, insert_version

__all__ = [
    "VersionBundle",
    "app_dimension",
    "next_version",
    "promote",
    "prune",
    "rollback",
    "versions",
    "write_version",
]

PUBLISH_LOCK = 7_305_211_958_024_419  # any number nobody else uses: one trainer publishes at a time
# After a killed trainer the server needs a second to notice (client_connection_check_interval); a living one
# holds the lock for the minutes of an index build, and then waiting is for the person to decide.
LOCK_PATIENCE_S = 8.0
# HNSW over 50,000 x 256 wants some 60 MB; with less than the graph needs the build takes four times as long.
INDEX_MEMORY_RANGE_MB = (64, 1024)
BYTES_PER_EDGE_LIST = 400  # 2 x m = 32 neighbours on the ground level, the upper levels, and their headers
READERS_PATIENCE = "3s"  # how long dropping an old version may make readers of its parent wait
GATE_REFUSED_SQLSTATE = "MT003"


class PublishingElsewhereError(ReleaseError):
    """Another trainer holds the publishing lock."""


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
    check_shapes(bundle)
    with _release_errors(f"version {bundle.version} was not written"):
        prune(connection)
        with connection.transaction():
            _settle_in(connection, bundle)
            _take_publish_lock(connection, LOCK_PATIENCE_S)
            insert_version(connection, bundle)
            connection.execute(
                "select recsys.create_version_tables(%s, %s)", (bundle.version, bundle.embedding_dim)
            )
            copy_videos(connection, bundle)
            copy_users(connection, bundle)
            _attach(connection, bundle.version)
            insert_tower(connection, bundle)
            insert_evaluations(connection, bundle)
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
    graph_mb = len(bundle.video_ids) * (2 * bundle.embedding_dim + BYTES_PER_EDGE_LIST) * 1.2 / 2**20
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


def _attach(connection: Connection, version: str) -> None:
    """Keys, index, attach; again without parallel workers where shared memory is short (as in containers)."""
    try:
        with connection.transaction():
            connection.execute("select recsys.attach_version_tables(%s)", (version,))
    except (psycopg.errors.DiskFull, psycopg.errors.OutOfMemory):
        connection.execute("set local max_parallel_maintenance_workers = 0")
        connection.execute("select recsys.attach_version_tables(%s)", (version,))


def _is_idle(connection: Connection) -> bool:
    return connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE


@contextmanager
def _release_errors(failure: str) -> Iterator[None]:
    try:
        yield
    except psycopg.Error as error:
        said = error.diag.message_primary or " ".join(str(error).split()) or type(error).__name__
        kind = GateRefusedError if error.sqlstate == GATE_REFUSED_SQLSTATE else ReleaseError
        raise kind(f"{failure}: {said}", error.diag.message_hint or "") from error
