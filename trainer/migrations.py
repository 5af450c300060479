"""The database brought up to date: migrations once each, then functions and access rules every time."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql

from trainer.database import Address, Connection, open_connection, relation_exists
from trainer.errors import DatabaseError
from trainer.settings import resource
from trainer.statements import first_line, split_statements, without_comments

LOCK_KEY = 7_305_211_958_024_417  # any number nobody else uses: two migrations of one database take turns
LOCK_TIMEOUT = "10s"  # for a table that readers hold; our own turn is waited for without limit

API_ROLES = ("anon", "authenticated", "service_role")

# Word for word what the Supabase CLI runs before it reads its ledger.
LEDGER = (
    "create schema if not exists supabase_migrations",
    "create table if not exists supabase_migrations.schema_migrations (version text not null primary key)",
    "alter table supabase_migrations.schema_migrations add column if not exists statements text[]",
    "alter table supabase_migrations.schema_migrations add column if not exists name text",
)

Notify = Callable[[str], None]


@dataclass(frozen=True)
class Migration:
    """`20261120090000_foundation.sql`: version, name and text."""

    version: str
    name: str
    path: Path

    @property
    def statements(self) -> list[str]:
        return split_statements(self.path.read_text(encoding="utf-8"))


def migrations(folder: Path | None = None) -> list[Migration]:
    """The migrations of `sql/migrations`, oldest first."""
    paths = sorted((folder or resource("sql") / "migrations").glob("[0-9]*_*.sql"))
    return [Migration(path.stem.partition("_")[0], path.stem.partition("_")[2], path) for path in paths]


def migrate(target: Address | Connection, on_notice: Notify | None = None) -> list[str]:
    """Applies what is missing and returns the names of the migrations that were applied now.

    Safe at any time, by two at once, as an owner who is no superuser, and behind a pooler. `on_notice` gets
    the server's warnings, one line each. Raises DatabaseError naming file and statement; those before stay.
    """
    if isinstance(target, Address):
        with open_connection(target, autocommit=True) as connection:
            return migrate(connection, on_notice)
    if not target.autocommit:
        raise DatabaseError(
            "migrate was given a connection inside a transaction", "open it with autocommit=True"
        )
    return _migrate(target, on_notice)


def pending(connection: Connection) -> list[str]:
    """Names of migrations not in the ledger yet."""
    done = _applied(connection)
    return [migration.path.stem for migration in migrations() if migration.version not in done]


def require_registry(connection: Connection) -> None:
    """Raises DatabaseError where nobody has migrated yet, before the first missing table would."""
    if not relation_exists(connection, "recsys.embedding_model_versions"):
        raise DatabaseError("the schema recsys is not there", "run `python -m trainer db migrate` first")


def vector_schema(connection: Connection) -> str | None:
    """The schema that holds pgvector, or None where it is missing."""
    row = connection.execute(
        "select nspname from pg_namespace join pg_extension on extnamespace = pg_namespace.oid"
        " where extname = 'vector'"
    ).fetchone()
    return str(row[0]) if row else None


def _migrate(connection: Connection, on_notice: Notify | None) -> list[str]:
    def relay(notice: psycopg.errors.Diagnostic) -> None:
        if on_notice is not None and notice.severity_nonlocalized == "WARNING":
            on_notice("; ".join(part for part in (notice.message_primary, notice.message_hint) if part))

    connection.add_notice_handler(relay)
    try:
        applied = []
        for migration in migrations():
            if _apply_once(connection, migration):
                applied.append(migration.path.stem)
        _apply_rerunnable(connection)
        return applied
    finally:
        connection.remove_notice_handler(relay)


def _apply_once(connection: Connection, migration: Migration) -> bool:
    """One migration and its ledger row in one transaction; False when it was there already."""
    with connection.transaction():
        _begin(connection)
        if migration.version in _applied(connection):
            return False
        for statement in LEDGER:
            _execute(connection, migration.path, statement)
        statements = migration.statements
        for statement in statements:
            _execute(connection, migration.path, statement)
        connection.execute(
            "insert into supabase_migrations.schema_migrations (version, name, statements)"
            " values (%s, %s, %s)",
            (migration.version, migration.name, statements),
        )
    return True


def _apply_rerunnable(connection: Connection) -> None:
    """Functions and access rules, all or none, so that nobody meets a function that is not locked up yet."""
    with connection.transaction():
        _begin(connection)
        # functions may name marts that dbt builds later
        connection.execute("set local check_function_bodies = off")
        schema = vector_schema(connection) or "public"
        quoted = sql.Identifier(schema).as_string(connection)
        unknown = _missing_roles(connection)
        for folder in ("functions", "access"):
            for path in sorted((resource("sql") / folder).glob("*.sql")):
                # the files say `extensions.` as on Supabase; elsewhere pgvector is somewhere else
                text = path.read_text(encoding="utf-8").replace("extensions.", f"{quoted}.")
                for statement in split_statements(text):
                    if not (folder == "access" and unknown and unknown.search(without_comments(statement))):
                        _execute(connection, path, statement)
        connection.execute("notify pgrst, 'reload schema'")


def _begin(connection: Connection) -> None:
    # a lock of the transaction, not of the session: behind a pooler a session is nobody's
    connection.execute("select pg_advisory_xact_lock(%s)", (LOCK_KEY,))
    connection.execute(sql.SQL("set local lock_timeout = {}").format(LOCK_TIMEOUT))
    connection.execute("set local statement_timeout = 0")


def _missing_roles(connection: Connection) -> re.Pattern[str] | None:
    """Finds the roles this server lacks (the first migration warned): nothing can be granted to them."""
    rows = connection.execute(
        "select name from unnest(%s::text[]) as name where to_regrole(name) is null", (list(API_ROLES),)
    ).fetchall()
    return re.compile(r"\b(" + "|".join(str(name) for (name,) in rows) + r")\b") if rows else None


def _applied(connection: Connection) -> set[str]:
    row = connection.execute("select to_regclass('supabase_migrations.schema_migrations') is null").fetchone()
    if row and row[0]:
        return set()
    return {
        str(version)
        for (version,) in connection.execute("select version from supabase_migrations.schema_migrations")
    }


def _execute(connection: Connection, path: Path, statement: str) -> None:
    try:
        connection.execute(statement.encode())  # bytes: the text as it stands, no parameters in it
    except psycopg.Error as error:
        said = error.diag.message_primary or str(error)
        remedy = "nothing of that file was kept; put it right and migrate again"
        if isinstance(error, psycopg.errors.LockNotAvailable):
            remedy = (
                f"something else has held that lock for {LOCK_TIMEOUT}: end long queries and migrate again"
            )
        raise DatabaseError(
            f"{path.parent.name}/{path.name} failed at `{first_line(statement)}`: {said}",
            error.diag.message_hint or remedy,
        ) from error
