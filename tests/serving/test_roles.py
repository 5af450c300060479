"""The two programs as their own roles: each can do its work, and nothing beside it."""

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from serving.conftest import FIRST
from serving.test_release import SECOND, turned
from serving.world import World
from trainer import migrations, release
from trainer.database import Address, Connection, connect
from trainer.gate import read_champion
from trainer.mart import read_mart
from trainer.transform import dbt_build


def login(address: Address, role: str) -> Address:
    with connect(address, autocommit=True) as owner:
        owner.execute(f"alter role {role} login password '{role}'".encode())
    return Address(address.parameters | {"user": role, "password": role})


@pytest.fixture
def trainer(served: Address) -> Iterator[Connection]:
    migrations.migrate(served)  # the marts came after the first one
    with connect(login(served, "martello_trainer"), autocommit=True) as opened:
        yield opened


def test_the_trainer_publishes_and_rolls_back(trainer: Connection, world: World) -> None:
    release.write_version(trainer, turned(world, SECOND))
    assert release.promote(trainer, SECOND, force=True)["version"] == SECOND
    assert trainer.execute("select recsys.refresh_changed_users()").fetchone() is not None
    assert release.rollback(trainer)["version"] == FIRST
    rows = trainer.execute("select count(*) from recsys.recommend(%s, 20)", (world.user_keys[0],)).fetchone()
    assert rows == (20,)


@pytest.mark.parametrize(
    "statement",
    [
        "select * from raw.reviews",
        "delete from public.videos",
        "insert into public.user_video_decisions values (gen_random_uuid(), gen_random_uuid(), 'like')",
        "delete from marts.fct_interactions",
        "create schema mine",
        "drop table recsys.gate_rules",
        "create table public.mine ()",
    ],
)
def test_the_trainer_may_no_more(trainer: Connection, statement: str) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        trainer.execute(statement.encode())


def test_dbt_builds_what_the_trainer_reads(database: Address, tmp_path: Path) -> None:
    with connect(database, autocommit=True) as owner:
        owner.execute(
            "insert into public.videos (external_id, title)"
            " select 'abc' || n, n::text from generate_series(1, 9) n"
        )
        owner.execute(
            "with file as (insert into raw.loads (kind, file_name, sha256, n_rows)"
            " values ('decisions', 'd.csv', repeat('0', 64), 45) returning load_id)"
            " insert into raw.decisions (load_id, line_number, user_id, item, decision)"
            " select load_id, row_number() over (), 'user ' || u, 'abc' || v,"
            " case v % 3 when 0 then 'nope' else 'like' end"
            " from file, generate_series(1, 5) u, generate_series(1, 9) v"
        )
    migrations.migrate(database)  # a copied database has not the grants on the one it was copied from
    as_dbt = login(database, "martello_dbt")
    dbt_build(as_dbt, target=tmp_path)
    with connect(login(database, "martello_trainer"), autocommit=True) as trainer:
        mart = read_mart(trainer)
        assert len(mart.interactions.label) == 45
        assert read_champion(trainer, mart) is None
    with connect(as_dbt, autocommit=True) as dbt:
        for statement in (
            "delete from raw.decisions",
            "delete from public.videos",
            "select embedding from recsys.user_embeddings",
            "update recsys.gate_rules set is_enabled = false",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                dbt.execute(statement.encode())
