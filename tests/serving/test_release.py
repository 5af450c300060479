"""Versions: written whole or not at all, refused where they are wrong, promoted, rolled back, removed."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import psycopg
import pytest

from serving.conftest import FIRST
from serving.world import World, app_user
from trainer import release
from trainer.database import Address, Connection, connect
from trainer.errors import ReleaseError

SECOND, THIRD = "202601020000", "202601030000"


def turned(world: World, version: str, seed: int = 5) -> release.VersionBundle:
    """Another model of the same world: everything rotated, so scores stay and vectors differ."""
    rotation, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(world.dim, world.dim)))
    bundle = world.bundle(version)
    vectors = {
        name: (getattr(bundle, name) @ rotation).astype(np.float32)
        for name in ("item_vectors", "user_vectors")
    }
    return world.bundle(version, **vectors)


def active(connection: Connection) -> str | None:
    row = connection.execute("select recsys.active_version()").fetchone()
    return row[0] if row else None


def tables(connection: Connection) -> set[str]:
    rows = connection.execute(
        "select relname from pg_class where relnamespace = 'recsys'::regnamespace and relkind = 'r'"
        " and relname ~ '_embeddings_[0-9]+$'"
    )
    return {name for (name,) in rows}


def publish(connection: Connection, world: World, version: str) -> None:
    release.write_version(connection, turned(world, version, seed=int(version[7])))
    release.promote(connection, version, force=True)


def test_written_is_not_served(serving: Connection, world: World) -> None:
    release.write_version(serving, turned(world, SECOND))
    assert active(serving) == FIRST
    assert [(v["version"], v["status"]) for v in release.versions(serving)] == [
        (SECOND, "candidate"),
        (FIRST, "active"),
    ]


def test_promote_and_roll_back_and_further_back(serving: Connection, world: World) -> None:
    for version in (SECOND, THIRD):
        publish(serving, world, version)
    assert release.rollback(serving)["version"] == SECOND
    assert release.rollback(serving)["version"] == FIRST
    with pytest.raises(ReleaseError, match="no version to go back to"):
        release.rollback(serving)
    release.promote(serving, THIRD, force=True)
    assert release.rollback(serving) == {
        "version": FIRST, "previous_version": THIRD, "changed": True, "app_videos": None, "app_users": None,
        "app_ivfflat_indexes": 0,
    }  # fmt: skip
    log = serving.execute(
        "select action, model_version, is_forced from recsys.release_log order by id"
    ).fetchall()
    assert log == [
        ("promote", FIRST, True), ("promote", SECOND, True), ("promote", THIRD, True),
        ("rollback", SECOND, False), ("rollback", FIRST, False),
        ("promote", THIRD, True), ("rollback", FIRST, False),
    ]  # fmt: skip


def test_rolls_back_over_a_version_that_is_gone(serving: Connection, world: World) -> None:
    for version in (SECOND, THIRD):
        publish(serving, world, version)
    serving.execute("select recsys.drop_version(%s)", (SECOND,))
    assert release.rollback(serving)["version"] == FIRST


def test_a_clock_that_goes_back_changes_no_order(serving: Connection, world: World) -> None:
    serving.execute("update recsys.embedding_model_versions set created_at = now() + interval '3 years'")
    serving.execute("update recsys.release_log set at = now() + interval '3 years'")
    publish(serving, world, SECOND)
    assert [v["version"] for v in release.versions(serving)] == [SECOND, FIRST]
    assert release.rollback(serving)["version"] == FIRST


def test_promoting_what_serves_changes_nothing(serving: Connection) -> None:
    assert release.promote(serving, FIRST)["changed"] is False
    assert serving.execute("select count(*) from recsys.release_log").fetchone() == (1,)


def test_views_show_one_version(serving: Connection, world: World) -> None:
    publish(serving, world, SECOND)
    for view in ("video_embeddings", "user_embeddings"):
        rows = serving.execute(f"select distinct model_version from public.{view}".encode()).fetchall()
        assert rows == [(SECOND,)]
    assert serving.execute("select count(*) from public.user_embeddings").fetchone() == (
        6,
    )  # app users alone


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda b: {"item_vectors": b.item_vectors * np.nan}, "NaN not allowed in vector"),
        (lambda b: {"item_vectors": b.item_vectors * 1.01}, "is_unit"),
        (lambda b: {"user_vectors": b.user_vectors * 0}, "is_unit"),
        (lambda b: {"history_vectors": b.history_vectors * np.inf}, "infinite value not allowed"),
        (lambda b: {"video_ids": [b.video_ids[0], *b.video_ids[:-1]]}, "could not create unique index"),
    ],
    ids=["NaN", "length", "zero", "infinity", "twice"],
)
def test_wrong_vectors_are_refused_by_the_database(
    serving: Connection,
    world: World,
    spoil: Callable[[release.VersionBundle], dict[str, object]],
    said: str,
) -> None:
    before = tables(serving)
    with pytest.raises(ReleaseError, match=said):
        release.write_version(serving, world.bundle(SECOND, **spoil(world.bundle(SECOND))))
    assert tables(serving) == before
    assert [v["version"] for v in release.versions(serving)] == [FIRST]


def test_wrong_dimension_is_refused_by_the_database(serving: Connection, world: World) -> None:
    release.write_version(serving, world.bundle(SECOND))
    with pytest.raises(psycopg.errors.CheckViolation, match="has_dimension"):
        serving.execute(
            "insert into recsys.video_embeddings values (%s, gen_random_uuid(), '[1,0]', '[1,0]')", (SECOND,)
        )
    with pytest.raises(ReleaseError, match=r"item vectors of shape \(60, 15\) where \(60, 16\) is meant"):
        release.write_version(serving, world.bundle(THIRD, item_vectors=world.item_vectors[:, :15]))


def test_a_version_of_another_dimension(serving: Connection, world: World) -> None:
    def padded(matrix: np.ndarray) -> np.ndarray:
        return np.pad(matrix, ((0, 0), (0, 4)))

    bundle = world.bundle(SECOND)
    width = 2 * 20 + len(world.config["aggregates"])
    release.write_version(
        serving,
        world.bundle(
            SECOND,
            embedding_dim=20,
            item_vectors=padded(bundle.item_vectors),
            history_vectors=padded(bundle.history_vectors),
            user_vectors=padded(bundle.user_vectors),
            tower_rows=[("skip", unit, np.eye(20, width)[unit].tolist(), 0.0) for unit in range(20)],
        ),
    )
    release.promote(serving, SECOND, force=True)
    for view in ("video_embeddings", "user_embeddings"):
        row = serving.execute(
            "select format_type(atttypid, atttypmod) from pg_attribute"
            " where attrelid = %s::regclass and attname = 'embedding'",
            (f"public.{view}",),
        ).fetchone()
        assert row == ("vector(20)",)
    assert len(serving.execute("select * from recommend_videos(5, %s)", (app_user(0),)).fetchall()) == 5
    release.rollback(serving)
    assert serving.execute(
        "select vector_dims(embedding) from public.video_embeddings limit 1"
    ).fetchone() == (16,)


def test_retention(serving: Connection, world: World) -> None:
    names = [f"2026020{day}0000" for day in range(1, 9)]
    for name in names:
        publish(serving, world, name)
    assert [v["version"] for v in release.versions(serving)] == names[::-1][:6]
    assert tables(serving) == {f"{kind}_embeddings_{n}" for n in names[-6:] for kind in ("video", "user")}
    serving.execute("update recsys.settings set value = '1' where key = 'keep_versions'")
    assert release.prune(serving) == names[2:6]
    assert release.rollback(serving)["version"] == names[-2]


def test_retention_keeps_what_rollback_needs(serving: Connection, world: World) -> None:
    publish(serving, world, SECOND)
    for day in range(1, 8):
        release.write_version(serving, turned(world, f"2026020{day}0000"))
    release.prune(serving)
    assert len(release.versions(serving)) == 6
    assert release.rollback(serving)["version"] == FIRST


def test_readers_are_not_kept_waiting_by_retention(
    served: Address, serving: Connection, world: World
) -> None:
    for day in range(1, 7):
        release.write_version(serving, turned(world, f"2026020{day}0000"))
    with connect(served) as reader:
        reader.execute("select count(*) from recsys.video_embeddings")  # holds its locks until the end
        assert release.prune(serving) == []
        assert active(reader) == FIRST
    assert release.prune(serving) == ["202602010000"]


def test_next_version(serving: Connection) -> None:
    noon = datetime(2026, 5, 6, 12, 0, 7, tzinfo=UTC)
    insert = (
        "insert into recsys.embedding_model_versions (version, status, embedding_dim)"
        " values (%s, 'failed', 8)"
    )
    for expected in ("202605061200", "20260506120007", "20260506120008"):
        assert release.next_version(serving, noon) == expected
        serving.execute(insert, (expected,))


def test_two_trainers_the_second_is_told(
    served: Address, serving: Connection, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(release, "LOCK_PATIENCE_S", 0.1)
    with connect(served) as other:
        other.execute("select pg_advisory_xact_lock(%s)", (release.PUBLISH_LOCK,))
        with pytest.raises(ReleaseError, match="another trainer is publishing"):
            release.write_version(serving, turned(world, SECOND))
    release.write_version(serving, turned(world, SECOND))


def test_not_inside_somebodys_transaction(served: Address, world: World) -> None:
    with connect(served) as connection:
        connection.execute("select 1")
        with pytest.raises(ReleaseError, match="inside somebody's transaction"):
            release.write_version(connection, turned(world, SECOND))


def test_leftovers_of_a_dead_run_are_removed(serving: Connection, world: World) -> None:
    """Ours writes in one transaction and leaves none; this is what one that committed in between would."""
    serving.execute(
        "insert into recsys.embedding_model_versions (version, status, embedding_dim)"
        " values (%s, 'building', 16)",
        (THIRD,),
    )
    serving.execute("select recsys.create_version_tables(%s, 16)", (THIRD,))
    with pytest.raises(ReleaseError, match="not complete: building"):
        release.promote(serving, THIRD, force=True)
    release.write_version(serving, turned(world, SECOND))
    assert {v["version"] for v in release.versions(serving)} == {FIRST, SECOND}
    assert not any(THIRD in name for name in tables(serving))


STAGES = [
    "insert into recsys.embedding_model_versions",
    "create_version_tables",
    "COPY recsys",
    "new_user_vectors",
    "attach_version_tables",
    "recsys.evaluations",
    "recsys.promote",
]
TRAINER = """
import os, signal, sys
import psycopg
sys.path[:0] = {path!r}
from serving.conftest import FIRST
from serving.test_release import SECOND, turned
from serving.world import make_world
from trainer import release, vector_copy
from trainer.database import Address, connect

def die(stage):
    def wrap(function):
        def called(*arguments, **named):
            if stage in str(arguments):
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*arguments, **named)
        return called
    return wrap

stage = {stage!r}
psycopg.Connection.execute = die(stage)(psycopg.Connection.execute)
blocks = vector_copy._blocks
def half(*arguments):
    for block in blocks(*arguments):
        yield block[: len(block) // 2] if stage == "COPY recsys" and len(block) > 100 else block
        if stage == "COPY recsys" and len(block) > 100:
            os.kill(os.getpid(), signal.SIGKILL)
vector_copy._blocks = half
if stage == "recsys.evaluations":
    release.insert_evaluations = lambda *arguments: os.kill(os.getpid(), signal.SIGKILL)
with connect(Address({parameters!r}), autocommit=True) as connection:
    release.write_version(connection, turned(make_world(), SECOND))
    release.promote(connection, SECOND, force=True)
print("survived")
"""


@pytest.mark.parametrize("stage", STAGES)
def test_killed_at_any_stage_the_old_version_serves(
    served: Address, serving: Connection, world: World, stage: str
) -> None:
    tests = Path(__file__).resolve().parents[1]
    code = TRAINER.format(path=[str(tests), str(tests.parent)], stage=stage, parameters=served.parameters)
    environ = os.environ | {"PYTHONPATH": f"{tests}:{tests.parent}", "OMP_NUM_THREADS": "1"}
    died = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environ, check=False
    )
    assert died.returncode == -signal.SIGKILL, died.stdout + died.stderr
    assert active(serving) == FIRST
    assert len(serving.execute("select * from recommend_videos(5, %s)", (app_user(0),)).fetchall()) == 5
    if stage == "recsys.promote":
        assert [v["status"] for v in release.versions(serving)] == ["candidate", "active"]
        release.promote(serving, SECOND, force=True)
    else:
        publish(serving, world, SECOND)
    assert active(serving) == SECOND


NO_SPACE = """
    create function public.no_space() returns event_trigger language plpgsql as $$
    begin
        if current_query() like '%attach_version_tables%'
            and current_setting('max_parallel_maintenance_workers')::integer > {} then
            raise exception 'could not resize shared memory segment: No space left on device'
            using errcode = 'disk_full';
        end if;
    end; $$;
    create event trigger no_space on ddl_command_start execute function public.no_space();
"""


def test_no_space_for_a_parallel_index_build(serving: Connection, world: World) -> None:
    """As in a container with 64 MB of /dev/shm: once more without workers."""
    serving.execute(NO_SPACE.format(0).encode())
    publish(serving, world, SECOND)
    assert active(serving) == SECOND


def test_no_space_at_all(serving: Connection, world: World) -> None:
    serving.execute(NO_SPACE.format(-1).encode())
    before = tables(serving)
    with pytest.raises(ReleaseError, match="No space left on device"):
        release.write_version(serving, turned(world, SECOND))
    assert tables(serving) == before
    assert active(serving) == FIRST


def test_connection_dropped_in_copy(served: Address, serving: Connection, world: World) -> None:
    with connect(served, autocommit=True) as doomed:
        row = doomed.execute("select pg_backend_pid()").fetchone()
        assert row is not None

        class Cut(list[str]):
            def __getitem__(self, key: object) -> object:
                serving.execute("select pg_terminate_backend(%s)", row)
                time.sleep(0.2)
                return super().__getitem__(key)  # type: ignore[index]  # a slice, as a list takes it

        with pytest.raises((ReleaseError, psycopg.OperationalError)):
            release.write_version(doomed, world.bundle(SECOND, video_ids=Cut(world.video_ids)))
    assert active(serving) == FIRST
    assert [v["version"] for v in release.versions(serving)] == [FIRST]
    publish(serving, world, SECOND)


def test_a_video_deleted_between_training_and_publishing(serving: Connection, world: World) -> None:
    serving.execute("delete from public.videos where id = %s", (world.video_ids[0],))
    publish(serving, world, SECOND)
    rows = serving.execute("select video_id::text from recommend_videos(60)").fetchall()
    assert len(rows) == 59
    assert (world.video_ids[0],) not in rows


def test_readers_never_see_a_mixture(served: Address, serving: Connection, world: World) -> None:
    """Eight readers during twenty promotions and rollbacks: no error, no short list, one version per list,
    and the scores that version gives."""
    release.write_version(serving, turned(world, SECOND))
    user, stop = app_user(0), threading.Event()
    expected: dict[str, list[tuple[str, float]]] = {}
    faults: list[object] = []
    seen: set[str] = set()

    def listed(connection: Connection) -> list[tuple[str, str, float]]:
        cursor = connection.execute(
            "select model_version, video_id::text, score from public.recommend_videos(10, %s)", (user,)
        )
        return [tuple(row) for row in cursor]

    for version in (SECOND, FIRST):
        release.promote(serving, version, force=True)
        expected[version] = [row[1:] for row in listed(serving)]
    assert expected[FIRST] != expected[SECOND]

    def read() -> None:
        try:
            with connect(served, autocommit=True) as connection:
                while not stop.is_set():
                    rows = listed(connection)
                    versions = {row[0] for row in rows}
                    if len(versions) != 1 or [row[1:] for row in rows] != expected[next(iter(versions))]:
                        faults.append(rows)
                    seen.update(versions)
                    shown = connection.execute(
                        "select count(distinct model_version), count(*) from public.video_embeddings"
                    ).fetchone()
                    if shown != (1, 60):
                        faults.append(shown)
        except psycopg.Error as error:
            faults.append(error)

    readers = [threading.Thread(target=read) for _ in range(8)]
    for reader in readers:
        reader.start()
    for cycle in range(20):
        if cycle % 2:
            release.rollback(serving)
        else:
            release.promote(serving, SECOND, force=True)
        time.sleep(0.05)
    stop.set()
    for reader in readers:
        reader.join()
    assert faults == []
    assert seen == {FIRST, SECOND}
