"""The one door to Postgres: addresses without secrets, connections, pools, errors in our words."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import quote

import psycopg
from pgvector.psycopg import register_vector
from psycopg.rows import TupleRow
from sqlalchemy import Engine, create_engine, event

from trainer.errors import DatabaseError
from trainer.settings import Settings, load_settings

Connection = psycopg.Connection[TupleRow]
DriverError = psycopg.Error

# libpq keyword -> the environment variable dbt, psql and every other libpq client read
LIBPQ_VARIABLES = {
    "host": "PGHOST",
    "port": "PGPORT",
    "user": "PGUSER",
    "password": "PGPASSWORD",
    "dbname": "PGDATABASE",
    "sslmode": "PGSSLMODE",
}


@dataclass(frozen=True)
class Address:
    """Where a database is and as whom. `str()` is safe to print: no password."""

    parameters: dict[str, str] = field(repr=False)

    def __str__(self) -> str:
        p = self.parameters
        return f"{p['user']}@{p['host']}:{p['port']}/{p['dbname']}"

    def environ(self) -> dict[str, str]:
        """The same address as libpq's environment variables, for dbt and psql started by us."""
        return {
            variable: self.parameters[keyword]
            for keyword, variable in LIBPQ_VARIABLES.items()
            if keyword in self.parameters
        }

    def url(self, *, with_password: bool = False) -> str:
        """As a libpq URL; the password only when another program has to read it."""
        p = self.parameters
        secret = f":{quote(p['password'], safe='')}" if with_password and p.get("password") else ""
        mode = f"?sslmode={p['sslmode']}" if "sslmode" in p else ""
        return f"postgresql://{quote(p['user'], safe='')}{secret}@{p['host']}:{p['port']}/{p['dbname']}{mode}"

    def psql_command(self) -> str:
        """A line a person can paste; the password is left to the environment or the prompt."""
        p = self.parameters
        return f"psql -h {p['host']} -p {p['port']} -U {p['user']} {p['dbname']}"


def address(database_url: str | None = None, settings: Settings | None = None) -> Address:
    """The database everything talks to: `--database-url`, else DATABASE_URL, else PG*, else the default."""
    return Address((settings or load_settings(database_url)).libpq_parameters())


def open_connection(where: Address, *, autocommit: bool = False, timeout_s: int = 10) -> Connection:
    """A psycopg connection that also works behind a transaction-mode pooler (no prepared statements).

    Raises DatabaseError naming the address (without password) and the remedy.
    """
    try:
        return psycopg.connect(
            # libpq's parameters are all text or numbers; psycopg types each keyword on its own
            **{"connect_timeout": timeout_s, "application_name": "martello", **where.parameters},  # type: ignore[arg-type]
            prepare_threshold=None,
            autocommit=autocommit,
        )
    except psycopg.OperationalError as error:
        raise DatabaseError(f"no connection to {where}: {_reason(error, where)}", _remedy(error)) from None


@contextmanager
def connect(where: Address, *, autocommit: bool = False) -> Iterator[Connection]:
    """A connection for one piece of work: committed when it ends well, rolled back when it does not."""
    with open_connection(where, autocommit=autocommit) as connection:
        yield connection


def engine(where: Address) -> Engine:
    """A SQLAlchemy engine with a small pool, for pandas; the password stays in the creator.

    Vectors arrive as pgvector's Vector and HalfVector, whichever schema holds the extension.
    """
    pooled = create_engine(
        "postgresql+psycopg://", creator=lambda: open_connection(where), pool_pre_ping=True
    )
    event.listen(pooled, "connect", _register_vectors)
    return pooled


def _register_vectors(opened: Connection, _record: object) -> None:
    with opened.transaction():
        opened.execute(
            "select set_config('search_path',"
            " concat_ws(', ', current_setting('search_path'), quote_ident(nspname)), true)"
            " from pg_namespace join pg_extension on extnamespace = pg_namespace.oid where extname = 'vector'"
        )
        if type_exists(opened, "vector"):
            register_vector(opened)


def type_exists(connection: Connection, name: str) -> bool:
    """Whether a type of this name is found on the search_path."""
    row = connection.execute("select to_regtype(%s) is not null", (name,)).fetchone()
    return bool(row and row[0])


def relation_exists(connection: Connection, name: str) -> bool:
    """Whether a table, view or materialised view of this qualified name is there."""
    row = connection.execute("select to_regclass(%s) is not null", (name,)).fetchone()
    return bool(row and row[0])


def refusal(error: psycopg.Error) -> DatabaseError:
    """What the database refused and nobody foresaw, as one of ours: its own first line and hint."""
    said = error.diag.message_primary or " ".join(str(error).split()) or type(error).__name__
    remedy = error.diag.message_hint or "`python -m trainer doctor` looks for the cause"
    return DatabaseError(f"the database refused ({error.sqlstate or 'connection lost'}): {said}", remedy)


def _reason(error: psycopg.Error, where: Address) -> str:
    text = " ".join(str(error).split())
    password = where.parameters.get("password", "")
    return (
        text.replace(password, "***") if len(password) > 3 and password != where.parameters["user"] else text
    )


def _remedy(error: psycopg.Error) -> str:
    text = str(error)
    if "password authentication failed" in text:
        return "check PGUSER and PGPASSWORD, or DATABASE_URL"
    if "does not exist" in text:
        return "check PGDATABASE, or the end of DATABASE_URL"
    if "SSL" in text:
        return "check PGSSLMODE: hosted databases want require, the embedded one prefer"
    return "start one with `python -m trainer db start`, or point DATABASE_URL or PGHOST and PGPORT at yours"
