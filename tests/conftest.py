"""What tests share: a throw-away Postgres per worker, and databases cloned from ready-made templates.

`database` is a migrated one, `empty_database` has nothing in it, `existing_app` is the app's own database
at each of three dates (tests/existing_app), not migrated, its owner no superuser. Each is for one test
and dropped after it. `MARTELLO_TEST_PG=16` runs everything on Postgres 16.
"""

import os
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from itertools import count
from pathlib import Path

import pytest

from artifacts import programs
from trainer import migrations, server
from trainer.database import Address, Connection, connect
from trainer.statements import split_statements

REPOSITORY = Path(__file__).resolve().parents[1]
EXISTING_APP = Path(__file__).resolve().parent / "existing_app"
APP_DATES = ("seed_a", "month_later", "later_still")  # each file changes what the one before left
OWNER = {"user": "app_owner", "password": "app_owner"}

LEAKY = ("PG", "DATABASE_URL", "SUPABASE_", "MARTELLO_", "DBT_")
KEPT = ("MARTELLO_TEST_PG",)


@dataclass(frozen=True)
class ExistingApp:
    """The app's database at one of APP_DATES: its owner's address, and the superuser's for looking closer."""

    date: str
    owner: Address
    superuser: Address


@pytest.fixture(autouse=True)
def _isolated(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No variable and no .env of the developer's reaches a test; what it writes lands in its own folder."""
    for name in list(os.environ):
        if name.startswith(LEAKY) and name not in KEPT:
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="session")
def repository() -> Path:
    """The checkout, for what has to run from its root."""
    return REPOSITORY


@pytest.fixture(scope="session")
def node_modules(request: pytest.FixtureRequest) -> Path:
    """Deno, PostgREST and onnxruntime-web from npm, kept in pytest's cache between runs."""
    cache = getattr(request.config, "cache", None)
    if cache is None:
        pytest.skip("pytest's cache is off (-p no:cacheprovider): npm's packages have no place to stay")
    try:
        return programs.npm_install(Path(cache.mkdir("npm")))
    except FileNotFoundError as error:
        pytest.skip(str(error))
    except subprocess.CalledProcessError as error:
        pytest.skip(f"npm cannot install: {error.stderr.decode()[-300:]}")


@pytest.fixture(scope="session")
def postgres_version() -> int:
    return int(os.environ.get("MARTELLO_TEST_PG", server.DEFAULT_VERSION))


@pytest.fixture(scope="session")
def server_address(postgres_version: int) -> Iterator[Address]:
    """The throw-away server of this worker, as its superuser, database postgres."""
    with server.throwaway(postgres_version) as address:
        yield address


@pytest.fixture(scope="session")
def new_database(server_address: Address) -> Iterator[Callable[..., Address]]:
    """`new_database(template="template1", owner="postgres")`: a database with a name nobody else has."""
    numbers = count(1)

    def create(template: str = "template1", owner: str = "postgres") -> Address:
        name = f"test_{next(numbers)}"
        with connect(server_address, autocommit=True) as admin:
            admin.execute(
                # a copy of files: three times as fast as the default, which writes the template to the log
                f'create database "{name}" template "{template}" owner "{owner}" strategy file_copy'
            )
        return database_of(server_address, name)

    yield create


@pytest.fixture(scope="session")
def migrated_template(new_database: Callable[..., Address]) -> Address:
    address = new_database()
    migrations.migrate(address)
    return address


@pytest.fixture
def database(
    server_address: Address, migrated_template: Address, new_database: Callable[..., Address]
) -> Iterator[Address]:
    """A fresh migrated database; only copied, so it costs some hundredths of a second."""
    address = new_database(migrated_template.parameters["dbname"])
    yield address
    drop_database(server_address, address)


@pytest.fixture
def empty_database(server_address: Address, new_database: Callable[..., Address]) -> Iterator[Address]:
    """A database with nothing in it, not even pgvector."""
    address = new_database()
    yield address
    drop_database(server_address, address)


@pytest.fixture(scope="session")
def existing_app_template(
    server_address: Address, new_database: Callable[..., Address]
) -> Callable[[str], Address]:
    """`existing_app_template(date)`: the app's database at that date, made once, to be copied."""

    @cache
    def build(date: str) -> Address:
        address = new_database()
        with connect(address, autocommit=True) as admin:
            run_file(admin, EXISTING_APP / "supabase.sql")
            admin.execute(f'alter database "{address.parameters["dbname"]}" owner to app_owner')
        with connect(Address(address.parameters | OWNER), autocommit=True) as owner:
            for step in APP_DATES[: APP_DATES.index(date) + 1]:
                run_file(owner, EXISTING_APP / f"{step}.sql")
        return address

    return build


@pytest.fixture(params=APP_DATES)
def existing_app(
    request: pytest.FixtureRequest,
    server_address: Address,
    existing_app_template: Callable[[str], Address],
    new_database: Callable[..., Address],
) -> Iterator[ExistingApp]:
    """The app's own database, before us; a test that asks for it runs at each of the three dates.

    `@pytest.mark.parametrize("existing_app", ["seed_a"], indirect=True)` chooses.
    """
    template = existing_app_template(request.param)
    address = new_database(template.parameters["dbname"], "app_owner")
    yield ExistingApp(request.param, Address(address.parameters | OWNER), address)
    drop_database(server_address, address)


@pytest.fixture
def connection(database: Address) -> Iterator[Connection]:
    """A connection to `database`, autocommit."""
    with connect(database, autocommit=True) as opened:
        yield opened


def run_file(connection: Connection, path: Path) -> None:
    for statement in split_statements(path.read_text(encoding="utf-8")):
        connection.execute(statement.encode())


def database_of(server_address: Address, name: str, **parameters: str) -> Address:
    return Address(server_address.parameters | {"dbname": name} | parameters)


def drop_database(server_address: Address, address: Address) -> None:
    with connect(server_address, autocommit=True) as admin:
        admin.execute(f'drop database "{address.parameters["dbname"]}" with (force)')
