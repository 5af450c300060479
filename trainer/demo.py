"""`python -m trainer demo`: from nothing to recommendations on real data, and what each stage took."""

import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import LiteralString

from psycopg import sql

from trainer import console, server
from trainer.database import Address, Connection, connect, open_connection, relation_exists
from trainer.demo_data import VIDEOS_FILE, app_users, insert_decisions, write_reviews
from trainer.demo_report import print_report
from trainer.errors import DatabaseError
from trainer.input_file import open_input
from trainer.load import load_file
from trainer.migrations import migrate

LOOPBACK = ("127.0.0.1", "localhost", "::1")
DEMO_BASELINES = ("popularity", "item_knn")  # seconds; `python -m trainer evaluate` compares with all


@dataclass
class Stages:
    """What was done and how long it took."""

    n_stages: int
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        console.say(f"[{len(self.seconds) + 1}/{self.n_stages}] {name}")
        began = time.monotonic()
        yield
        self.seconds[name] = time.monotonic() - began

    def rows(self) -> list[list[str]]:
        total = sum(self.seconds.values())
        return [[name, f"{taken:.1f} s"] for name, taken in [*self.seconds.items(), ("all", total)]]


def run_demo(where: Address, out_dir: Path = Path("artifacts")) -> None:
    """Database, sample, marts, training, publishing, report. A second run adds a version, nothing else.

    where: the database to use; on this machine an embedded Postgres is started when none answers there.
    Raises DatabaseError when the database holds anything that is not the demo's, and what its stages raise.
    """
    from trainer import pipeline, transform  # noqa: PLC0415  # torch and dbt: seconds to import

    stages = Stages(6)
    with tempfile.TemporaryDirectory(prefix="martello-demo-") as folder:
        reviews = Path(folder) / "reviews.csv"
        with stages.stage("database"):
            ensure_database(where)
            write_reviews(reviews)
            refuse_other_data(where, [VIDEOS_FILE, reviews])
            migrate(where)
        with stages.stage("catalogue and reviews"), connect(where) as connection:
            for kind, path in (("videos", VIDEOS_FILE), ("reviews", reviews)):
                for line in load_file(connection, kind, path).lines():
                    console.say(f"  {line}")
        with stages.stage("likes and dislikes of the app's users"), connect(where) as connection:
            console.say(f"  {insert_decisions(connection):,} new decisions of {len(app_users()):,} app users")
    with stages.stage("dbt build"):
        console.say(f"  {transform.dbt_build(where)}")
    with stages.stage("training, evaluation, publishing"):
        pipeline.run(where, job=pipeline.Job(out_dir=out_dir, baselines=DEMO_BASELINES))
    with stages.stage("recommendations"), connect(where) as connection:
        print_report(connection, where)
    console.table("The demo took", ["stage", "seconds"], stages.rows())


def ensure_database(where: Address) -> None:
    """Somebody answers at `where` and the database exists; on this machine both are made when missing."""
    is_local = where.parameters["host"] in LOOPBACK
    try:
        open_connection(where).close()
    except DatabaseError as refused:
        if not is_local:
            raise
        port = int(where.parameters["port"])
        if "does not exist" not in refused.fact:
            console.say(f"  {server.start(port)}")
        _create_database(where)
    else:
        console.say(f"  {where} answers")


def refuse_other_data(where: Address, own_files: list[Path]) -> None:
    """Raises DatabaseError when the database holds a catalogue, loads or decisions of somebody else."""
    with connect(where) as connection:
        found = list(_other_data(connection, [open_input(path).sha256 for path in own_files]))
    if found:
        raise DatabaseError(
            f"{where} holds {' and '.join(found)}, which the demo would mix with its own",
            "name another database in PGDATABASE or at the end of DATABASE_URL, e.g. martello_demo;"
            " on this machine the demo makes it",
        )


def _other_data(connection: Connection, own_sha256: list[str]) -> Iterator[str]:
    if relation_exists(connection, "public.videos"):
        if not relation_exists(connection, "recsys.settings"):
            yield "the tables of an app"
            return
        settings = connection.execute("select value from recsys.settings where key = 'owns_catalogue'")
        if settings.fetchone() == (True,):
            yield "the catalogue of an app"
    if relation_exists(connection, "raw.loads"):
        query = "select count(*) from raw.loads where sha256 <> all(%s)"
        if n_files := _count(connection, query, own_sha256):
            yield f"{n_files:,} loaded files"
    if relation_exists(connection, "public.user_video_decisions"):
        query = "select count(*) from public.user_video_decisions where user_id not in (select unnest(%s))"
        if n_decisions := _count(connection, query, app_users()):
            yield f"{n_decisions:,} decisions"


def _count(connection: Connection, query: LiteralString, own: Sequence[object]) -> int:
    row = connection.execute(query, (own,)).fetchone()
    return int(row[0]) if row else 0


def _create_database(where: Address) -> None:
    name = where.parameters["dbname"]
    with connect(Address(where.parameters | {"dbname": "postgres"}), autocommit=True) as admin:
        if not admin.execute("select 1 from pg_database where datname = %s", (name,)).fetchone():
            admin.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
            console.say(f"  database {name} is made")
