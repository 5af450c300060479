"""Migrations: once each, in order, by two at once, by an owner with few rights, beside the Supabase CLI."""

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from conftest import database_of
from trainer import migrations, server
from trainer.database import Address, Connection, connect
from trainer.errors import DatabaseError
from trainer.settings import resource

NAMES = [migration.path.stem for migration in migrations.migrations()]


@pytest.fixture
def own_sql(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty `sql` folder in the place of ours."""
    for folder in ("migrations", "functions", "access"):
        (tmp_path / "sql" / folder).mkdir(parents=True)
    monkeypatch.setattr(migrations, "resource", lambda name: tmp_path / name)
    return tmp_path / "sql"


@pytest.fixture
def limited(server_address: Address, empty_database: Address) -> Iterator[Address]:
    """An empty database whose owner may create in it, and nothing else: no roles, no extensions."""
    name = empty_database.parameters["dbname"]
    with connect(server_address, autocommit=True) as admin:
        admin.execute("create role limited login password 'limited'")
        admin.execute(f'alter database "{name}" owner to limited')
    yield Address(empty_database.parameters | {"user": "limited", "password": "limited"})
    with connect(server_address, autocommit=True) as admin:
        admin.execute(f'alter database "{name}" owner to postgres')
    with connect(empty_database, autocommit=True) as admin:
        admin.execute("drop owned by limited cascade")
        admin.execute("drop role limited")


def one(connection: Connection, query: str) -> object:
    row = connection.execute(query.encode()).fetchone()
    return row[0] if row else None


def test_second_run_applies_nothing(empty_database: Address) -> None:
    assert migrations.migrate(empty_database) == NAMES
    assert migrations.migrate(empty_database) == []
    with connect(empty_database) as connection:
        assert migrations.pending(connection) == []


def test_file_names_are_the_supabase_clis() -> None:
    names = [path.name for path in (resource("sql") / "migrations").iterdir()]
    assert len(names) == len(NAMES) == len({migration.version for migration in migrations.migrations()})
    assert all(re.fullmatch(r"[0-9]{14}_[a-z_]+\.sql", name) for name in names)


def test_what_the_supabase_cli_applied_is_not_applied_again(empty_database: Address) -> None:
    """A ledger as the CLI leaves it; the real CLI was tried: ours first, its own first, half and half."""
    first = migrations.migrations()[0]
    with connect(empty_database) as connection:
        for statement in (*migrations.LEDGER, *first.statements):
            connection.execute(statement.encode())
        connection.execute(
            "insert into supabase_migrations.schema_migrations (version, name) values (%s, %s)",
            (first.version, first.name),
        )
    with connect(empty_database) as connection:
        assert migrations.pending(connection) == NAMES[1:]
    assert migrations.migrate(empty_database) == NAMES[1:]


def test_ledger_row_holds_version_name_and_statements(connection: Connection) -> None:
    rows = connection.execute(
        "select version, name, statements from supabase_migrations.schema_migrations order by version"
    ).fetchall()
    assert rows == [(m.version, m.name, m.statements) for m in migrations.migrations()]


def test_two_at_once_apply_each_file_once(empty_database: Address) -> None:
    with ThreadPoolExecutor(2) as both:
        applied = list(both.map(lambda _: migrations.migrate(empty_database), range(2)))
    assert sorted(applied[0] + applied[1]) == NAMES


def test_pgvector_may_be_in_another_schema(empty_database: Address) -> None:
    with connect(empty_database) as connection:
        connection.execute('create schema "My Extensions"')
        connection.execute('create extension vector with schema "My Extensions"')
    migrations.migrate(empty_database)
    with connect(empty_database) as connection:
        assert migrations.vector_schema(connection) == "My Extensions"
        kind = one(
            connection,
            "select format_type(atttypid, atttypmod) from pg_attribute"
            " where attrelid = 'public.video_embeddings'::regclass and attname = 'embedding'",
        )
        assert kind == '"My Extensions".vector(256)'


def test_pgvector_goes_to_schema_extensions_where_there_is_one(empty_database: Address) -> None:
    with connect(empty_database) as connection:
        connection.execute("create schema extensions")
    migrations.migrate(empty_database)
    with connect(empty_database) as connection:
        assert migrations.vector_schema(connection) == "extensions"


def test_owner_who_may_not_create_pgvector_is_told_what_to_do(limited: Address) -> None:
    with pytest.raises(DatabaseError, match="limited may not create it") as refused:
        migrations.migrate(limited)
    assert "create extension vector" in refused.value.remedy
    with connect(limited) as connection:
        assert one(connection, "select to_regnamespace('recsys')::text") is None


def test_owner_who_may_not_create_roles_gets_all_but_their_grants(postgres_version: int) -> None:
    """On a server of its own: roles belong to the whole server, and the shared one has them by now."""
    with server.throwaway(postgres_version) as superuser:
        with connect(superuser, autocommit=True) as admin:
            admin.execute("create role limited login password 'limited'")
            admin.execute("create database app owner limited")
        with connect(database_of(superuser, "app")) as admin:
            admin.execute("create extension vector")
        limited = database_of(superuser, "app", user="limited", password="limited")
        warnings: list[str] = []
        assert migrations.migrate(limited, warnings.append) == NAMES
        assert [warning.split(";")[0] for warning in warnings] == [
            f"role {role} is missing and limited may not create it" for role in migrations.API_ROLES
        ]
        with connect(limited) as connection:
            assert (
                one(connection, "select relrowsecurity from pg_class where oid = 'raw.reviews'::regclass")
                is True
            )
        with connect(superuser, autocommit=True) as admin:
            for role in migrations.API_ROLES:
                admin.execute(f"create role {role}")
        assert migrations.migrate(limited) == []
        with connect(limited) as connection:
            assert one(connection, "select has_table_privilege('anon', 'public.videos', 'select')") is True


def test_a_failing_file_is_named_with_its_statement_and_leaves_nothing(
    own_sql: Path, empty_database: Address
) -> None:
    (own_sql / "migrations" / "20260101000000_good.sql").write_text("create table good (n int);")
    (own_sql / "migrations" / "20260102000000_bad.sql").write_text(
        "create table half (n int);\n-- the second one\ninsert into nowhere\nvalues (1);\n"
    )
    with pytest.raises(
        DatabaseError, match=r"20260102000000_bad\.sql failed at `insert into nowhere`.*nowhere"
    ):
        migrations.migrate(empty_database)
    with connect(empty_database) as connection:
        assert one(connection, "select to_regclass('good')::text") == "good"
        assert one(connection, "select to_regclass('half')::text") is None
        assert migrations.pending(connection) == ["20260102000000_bad"]


def test_functions_and_access_are_all_or_none(own_sql: Path, empty_database: Address) -> None:
    (own_sql / "functions" / "one.sql").write_text(
        "create function f() returns int language sql as 'select n from marts.not_built_yet';"
    )
    (own_sql / "access" / "one.sql").write_text("revoke all on function g() from public;")
    with pytest.raises(DatabaseError, match=r"access/one\.sql failed at `revoke all on function g"):
        migrations.migrate(empty_database)
    with connect(empty_database) as connection:
        assert one(connection, "select to_regprocedure('f()')::text") is None
    (own_sql / "access" / "one.sql").write_text("revoke all on function f() from public;")
    migrations.migrate(empty_database)
    with connect(empty_database) as connection:
        assert one(connection, "select to_regprocedure('f()')::text") == "f()"


def test_a_connection_inside_a_transaction_is_refused(database: Address) -> None:
    with connect(database) as connection, pytest.raises(DatabaseError, match="autocommit"):
        migrations.migrate(connection)


def test_nothing_of_the_session_is_left_changed(empty_database: Address) -> None:
    """Behind a pooler the session goes to somebody else next."""
    with connect(empty_database, autocommit=True) as connection:
        before = set(connection.execute("select name, setting from pg_settings").fetchall())
        migrations.migrate(connection)
        assert before <= set(connection.execute("select name, setting from pg_settings").fetchall())
        assert one(connection, "select count(*) from pg_locks where locktype = 'advisory'") == 0


def test_a_fresh_database_owns_no_catalogue_of_somebody_else(connection: Connection) -> None:
    assert one(connection, "select value from recsys.settings where key = 'owns_catalogue'") is False
    assert one(connection, "select count(*) from recsys.created_objects()") == 9
