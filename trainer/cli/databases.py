"""`db`: the embedded Postgres, and our tables in whichever Postgres is used."""

import click

from trainer import console
from trainer.cli.options import database_option, where
from trainer.settings import load_settings


@click.group()
def db() -> None:
    """The database: an embedded Postgres where none runs, and our tables in it."""


@db.command("start")
@click.option(
    "--postgres-version", type=click.Choice(["18", "16"]), help="For a new data directory. Default 18."
)
def db_start(postgres_version: str | None) -> None:
    """Start the embedded Postgres on 127.0.0.1:54322, or use the Postgres that listens there already."""
    from trainer import server

    port = load_settings().pgport
    version = int(postgres_version) if postgres_version else None
    console.say(str(server.start(port, postgres_version=version)))


@db.command("stop")
def db_stop() -> None:
    """Stop the embedded Postgres; its data stays in .martello/."""
    from trainer import server

    console.say(server.stop())


@db.command("status")
def db_status() -> None:
    """Say which Postgres answers, if any; exit 1 when none does."""
    from trainer import server

    found = server.status(load_settings().pgport)
    console.say(str(found) if found else "no Postgres answers; start one with `python -m trainer db start`")
    if found is None:
        raise click.exceptions.Exit(1)


@db.command("url")
@database_option
@click.option(
    "--with-password", is_flag=True, help="Write the password into it, for another program to read."
)
def db_url(database_url: str | None, with_password: bool) -> None:
    """Print the address in use as a URL, without its password unless asked for."""
    console.say(where(database_url).url(with_password=with_password))


@db.command("migrate")
@database_option
def db_migrate(database_url: str | None) -> None:
    """Apply what is missing of our migrations, then functions and access rules."""
    from trainer.migrations import migrate

    target = where(database_url)
    applied = migrate(target, on_notice=lambda line: console.say(f"note: {line}"))
    what = ", ".join(applied) if applied else "nothing was missing"
    console.say(f"{target}: {what}; functions and access rules are current")
