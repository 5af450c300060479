"""dbt builds are seconds each: every world is built once per session, and tests only look at it."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from marts.world import World
from trainer.database import Address, Connection, connect
from trainer.transform import BuildSummary, dbt_build

Build = Callable[..., BuildSummary]


@pytest.fixture(scope="session")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """`build(address, **arguments of dbt_build)` in a working folder of this session: parsing is shared."""
    target = tmp_path_factory.mktemp("dbt")

    def run(where: Address, **arguments: Any) -> BuildSummary:
        return dbt_build(where, **({"target": target} | arguments))

    return run


@pytest.fixture(scope="session")
def make_world(
    new_database: Callable[..., Address], migrated_template: Address
) -> Callable[[], tuple[Address, World]]:
    """A migrated database with nothing in it, and the pen to write into it."""

    def make() -> tuple[Address, World]:
        address = new_database(migrated_template.parameters["dbname"])
        return address, World(address)

    return make


@pytest.fixture(scope="session")
def dirty(make_world: Callable[[], tuple[Address, World]], build: Build) -> Iterator[Connection]:
    """The dirty world of dirty_world.py, built."""
    from marts.dirty_world import write

    address, world = make_world()
    write(world)
    build(address)
    with connect(address, autocommit=True) as connection:
        yield connection


@pytest.fixture(scope="session")
def project_copy(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Path]:
    """A copy of the dbt project that a test may break."""
    import shutil

    def copy() -> Path:
        target = tmp_path_factory.mktemp("project") / "dbt_project"
        shutil.copytree(
            repository / "dbt_project",
            target,
            ignore=shutil.ignore_patterns("target", "logs", "dbt_packages"),
        )
        return target

    return copy
