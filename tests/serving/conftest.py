"""A served world: made once per worker, copied per test."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from conftest import drop_database
from serving.world import World, fill_catalogue, fill_marts, make_world
from trainer import release
from trainer.database import Address, Connection, connect

FIRST = "202601010000"


@pytest.fixture(scope="session")
def world() -> World:
    return make_world()


@pytest.fixture(scope="session")
def served_template(
    world: World, migrated_template: Address, new_database: Callable[..., Address]
) -> Address:
    address = new_database(migrated_template.parameters["dbname"])
    with connect(address, autocommit=True) as connection:
        fill_catalogue(connection, world)
        fill_marts(connection, world)
        release.write_version(connection, world.bundle(FIRST))
        release.promote(connection, FIRST, force=True)
    return address


@pytest.fixture
def served(
    server_address: Address, served_template: Address, new_database: Callable[..., Address]
) -> Iterator[Address]:
    """A database in which version FIRST of the world serves."""
    address = new_database(served_template.parameters["dbname"])
    yield address
    drop_database(server_address, address)


@pytest.fixture
def serving(served: Address) -> Iterator[Connection]:
    """A connection to `served`, autocommit, as the database owner."""
    with connect(served, autocommit=True) as opened:
        yield opened


@contextmanager
def acting_as(connection: Connection, role: str, user: str | None = None) -> Iterator[Connection]:
    """What PostgREST does for a request: the role, and the claims of the token, for one transaction."""
    with connection.transaction():
        connection.execute(
            "select set_config('request.jwt.claims', %s, true)", (json.dumps({"sub": user} if user else {}),)
        )
        connection.execute(f"set local role {role}".encode())
        yield connection
