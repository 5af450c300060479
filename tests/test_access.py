"""Who may see and do what, tried as the roles that PostgREST would be."""

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID, uuid4

import psycopg
import pytest

from trainer import migrations
from trainer.database import Address, Connection, connect

ALICE, BOB = (UUID(int=number) for number in (1, 2))
VERSION = "202611200900"


@contextmanager
def acting_as(connection: Connection, role: str, user: UUID | None = None) -> Iterator[None]:
    """As PostgREST does it: the role and the claims for one transaction, undone afterwards."""
    with connection.transaction(force_rollback=True):
        connection.execute(f"set local role {role}".encode())
        if user is not None:
            connection.execute("select set_config('request.jwt.claims', %s, true)", (f'{{"sub": "{user}"}}',))
        yield


@pytest.fixture
def filled(connection: Connection) -> Connection:
    """One video, a decision each of Alice and Bob, a vector each, one active version of two dimensions."""
    video = uuid4()
    connection.execute("insert into public.videos (id, title) values (%s, 'Tower')", (video,))
    for user in (ALICE, BOB):
        connection.execute(
            "insert into public.user_video_decisions (user_id, video_id, decision_type)"
            " values (%s, %s, 'like')",
            (user, video),
        )
    add_version(connection, VERSION, 2)
    connection.execute(
        "insert into recsys.video_embeddings values (%s, %s, '[1,0]', '[1,0]')", (VERSION, video)
    )
    for key in (f"app:{ALICE}", f"app:{BOB}", "review:1"):
        connection.execute("insert into recsys.user_embeddings values (%s, %s, '[0,1]')", (VERSION, key))
    activate(connection, VERSION)
    return connection


def add_version(connection: Connection, version: str, dimension: int) -> None:
    connection.execute(
        "insert into recsys.embedding_model_versions (version, status, embedding_dim)"
        " values (%s, 'candidate', %s)",
        (version, dimension),
    )
    for table in ("video_embeddings", "user_embeddings"):
        connection.execute(
            f"create table recsys.{table}_{version} partition of recsys.{table}"
            f" for values in ('{version}')".encode()
        )


def activate(connection: Connection, version: str) -> None:
    with connection.transaction():
        connection.execute(
            "update recsys.embedding_model_versions set is_active = false, status = 'retired' where is_active"
        )
        connection.execute(
            "update recsys.embedding_model_versions"
            " set is_active = true, status = 'active', promoted_at = now() where version = %s",
            (version,),
        )


def rows(connection: Connection, query: str) -> list[tuple[object, ...]]:
    return connection.execute(query.encode()).fetchall()


@pytest.mark.parametrize("role", ["anon", "authenticated"])
def test_tables_of_ours_are_closed_to_the_app(filled: Connection, role: str) -> None:
    """Whatever the schemas hold, later additions too; the exceptions are columns that the views read."""
    relations = rows(
        filled,
        "select oid::regclass::text from pg_class where relkind in ('r', 'p', 'v')"
        " and relnamespace in ('raw'::regnamespace, 'recsys'::regnamespace)",
    )
    assert len(relations) > 15
    for (relation,) in relations:
        with acting_as(filled, role, ALICE), pytest.raises(psycopg.errors.InsufficientPrivilege):
            rows(filled, f"select * from {relation}")


@pytest.mark.parametrize("role", ["anon", "authenticated"])
def test_no_function_of_recsys_can_be_called_by_the_app(filled: Connection, role: str) -> None:
    allowed = rows(
        filled,
        "select oid::regprocedure::text from pg_proc where pronamespace = 'recsys'::regnamespace"
        f" and has_function_privilege('{role}', oid, 'execute')",
    )
    assert allowed == []


def test_security_definer_functions_pin_an_empty_search_path(filled: Connection) -> None:
    loose = rows(
        filled,
        "select oid::regprocedure::text from pg_proc where prosecdef"
        " and pronamespace in ('public'::regnamespace, 'recsys'::regnamespace)"
        " and proconfig is distinct from array['search_path=\"\"']",
    )
    assert loose == []


def test_every_table_naming_users_has_row_level_security(filled: Connection) -> None:
    tables = rows(
        filled,
        "select relation::text, relrowsecurity from recsys.tables_naming_users()"
        " join pg_class on pg_class.oid = relation",
    )
    assert {"raw.reviews", "raw.decisions", "raw.user_links", "recsys.user_embeddings"} <= {
        r[0] for r in tables
    }
    assert [relation for relation, is_secured in tables if not is_secured] == []


def test_every_table_we_created_in_public_has_row_level_security(filled: Connection) -> None:
    open_tables = rows(
        filled,
        "select relname from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'p')"
        " and not relrowsecurity",
    )
    assert open_tables == []


def test_users_see_their_own_decisions_only(filled: Connection) -> None:
    query = "select user_id from public.user_video_decisions"
    with acting_as(filled, "authenticated", ALICE):
        assert rows(filled, query) == [(ALICE,)]
    with acting_as(filled, "authenticated"):
        assert rows(filled, query) == []
    with acting_as(filled, "anon"), pytest.raises(psycopg.errors.InsufficientPrivilege):
        rows(filled, query)
    with acting_as(filled, "service_role"):
        assert len(rows(filled, query)) == 2


def test_users_decide_for_themselves_only(filled: Connection) -> None:
    insert = (
        "insert into public.user_video_decisions (user_id, video_id, decision_type)"
        " select '{}', id, 'nope' from public.videos on conflict (user_id, video_id) do update"
        " set decision_type = excluded.decision_type"
    )
    with acting_as(filled, "authenticated", ALICE):
        filled.execute(insert.format(ALICE).encode())
    with acting_as(filled, "authenticated", ALICE), pytest.raises(psycopg.errors.InsufficientPrivilege):
        filled.execute(insert.format(BOB).encode())


def test_users_see_their_own_vector_only(filled: Connection) -> None:
    query = "select user_id, model_version, embedding::text from public.user_embeddings order by user_id"
    with acting_as(filled, "authenticated", BOB):
        assert rows(filled, query) == [(BOB, VERSION, "[0,1]")]
    with acting_as(filled, "anon"), pytest.raises(psycopg.errors.InsufficientPrivilege):
        rows(filled, query)
    assert [row[0] for row in rows(filled, query)] == [ALICE, BOB]


@pytest.mark.parametrize("role", ["anon", "authenticated", "service_role"])
def test_everybody_sees_the_catalogue_and_its_vectors_but_writes_none(filled: Connection, role: str) -> None:
    with acting_as(filled, role):
        assert rows(filled, "select title, embedding::text from public.videos, public.video_embeddings") == [
            ("Tower", "[1,0]")
        ]
    if role != "service_role":
        with acting_as(filled, role), pytest.raises(psycopg.errors.InsufficientPrivilege):
            filled.execute("update public.videos set title = 'Mine'")


def test_views_take_the_dimension_of_the_version_that_serves(filled: Connection) -> None:
    kind = (
        "select format_type(atttypid, atttypmod) from pg_attribute"
        " where attname = 'embedding' and attrelid = '{}'::regclass"
    )
    add_version(filled, "202611200901", 3)
    activate(filled, "202611200901")
    for view in ("public.video_embeddings", "public.user_embeddings"):
        assert rows(filled, kind.format(view)) == [("vector(3)",)]
    with acting_as(filled, "anon"):
        assert rows(filled, "select * from public.video_embeddings") == []
    activate(filled, VERSION)
    assert rows(filled, kind.format("public.video_embeddings")) == [("vector(2)",)]


def test_a_second_migration_changes_no_policy_and_no_grant(database: Address) -> None:
    query = (
        "select pg_policy.oid::text, polname, polrelid::regclass::text from pg_policy union all"
        " select oid::text, relname, relacl::text from pg_class where relnamespace::regnamespace::text in"
        " ('public', 'raw', 'recsys')"
    )
    with connect(database, autocommit=True) as connection:
        before = set(rows(connection, query))
        migrations.migrate(connection)
        assert set(rows(connection, query)) == before


def test_grants_somebody_added_by_hand_are_taken_back(database: Address) -> None:
    with connect(database, autocommit=True) as connection:
        connection.execute("grant select on raw.reviews to anon; grant usage on schema raw to public")
        connection.execute("grant execute on function recsys.ensure_app_views() to public")
        migrations.migrate(connection)
        assert rows(
            connection,
            "select has_schema_privilege('anon', 'raw', 'usage'),"
            " has_table_privilege('anon', 'raw.reviews', 'select'),"
            " has_function_privilege('anon', 'recsys.ensure_app_views()', 'execute')",
        ) == [(False, False, False)]
