"""Migrations: once each, in order, by anybody."""

from trainer import migrations
from trainer.database import Address, Connection, connect


def test_second_run_applies_nothing(empty_database: Address) -> None:
    names = [migration.path.stem for migration in migrations.migrations()]
    assert migrations.migrate(empty_database) == names
    assert migrations.migrate(empty_database) == []
    with connect(empty_database) as connection:
        assert migrations.pending(connection) == []


def test_clone_is_migrated(connection: Connection) -> None:
    assert migrations.pending(connection) == []
