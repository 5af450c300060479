"""The command line: words in, one function called, stated failures as one line. No logic lives here."""

import json
import os
import sys
from collections.abc import Callable
from typing import Any, TypeVar

import click

from trainer import __version__, console
from trainer.database import Address, address
from trainer.errors import MartelloError
from trainer.settings import load_settings

Command = TypeVar("Command", bound=Callable[..., Any])
# Modules that import torch, dbt or arrow are imported inside their command: `--help` answers at once.


def main() -> None:
    """Run the command line; exit 0 done, 1 a stated failure, 2 usage, 3 the gate refused."""
    try:
        sys.exit(trainer.main(prog_name="python -m trainer", standalone_mode=False) or 0)
    except MartelloError as error:
        console.fail(str(error))
        sys.exit(error.exit_status)
    except click.ClickException as error:
        console.fail(f"{error.format_message().rstrip('.')}. See `python -m trainer --help`.")
        sys.exit(2)
    except (KeyboardInterrupt, click.Abort):
        console.fail("stopped by the keyboard; what is served is as it was.")
        sys.exit(130)
    except BrokenPipeError:  # the reader of our output went away, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)


def database_option(command: Command) -> Command:
    """`--database-url`, before or after the command's name."""
    return click.option(
        "--database-url",
        metavar="URL",
        help="Postgres to use; wins over DATABASE_URL, which wins over PGHOST, PGPORT, ...",
    )(command)


def where(database_url: str | None) -> Address:
    """The address this call is about; an option before the command's name counts too."""
    outer = click.get_current_context().find_root().params.get("database_url")
    return address(database_url or outer)


@click.group(
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
@database_option
@click.version_option(__version__, prog_name="martello")
@click.pass_context
def trainer(context: click.Context, database_url: str | None) -> None:
    """Train the two towers from the marts, evaluate, gate, publish. Other jobs are commands."""


@trainer.group()
def db() -> None:
    """The database: an embedded Postgres where none runs, and our tables in it."""


@db.command("start")
@click.option(
    "--postgres-version", type=click.Choice(["18", "16"]), help="For a new data directory. Default 18."
)
def db_start(postgres_version: str | None) -> None:
    """Start the embedded Postgres on 127.0.0.1:54322 and bring our tables up to date.

    A Postgres that listens there already (a local Supabase) is used as it is.
    """
    from trainer import server  # noqa: PLC0415

    port = load_settings().pgport
    version = int(postgres_version) if postgres_version else None
    console.say(str(server.start(port, postgres_version=version)))


@db.command("stop")
def db_stop() -> None:
    """Stop the embedded Postgres; its data stays in .martello/."""
    from trainer import server  # noqa: PLC0415

    console.say(server.stop())


@db.command("status")
def db_status() -> None:
    """Say which Postgres answers, if any; exit 1 when none does."""
    from trainer import server  # noqa: PLC0415

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
    from trainer.migrations import migrate  # noqa: PLC0415

    target = where(database_url)
    applied = migrate(target, on_notice=lambda line: console.say(f"note: {line}"))
    what = ", ".join(applied) if applied else "nothing was missing"
    console.say(f"{target}: {what}; functions and access rules are current")


@trainer.command()
@database_option
@click.option("--json", "as_json", is_flag=True, help="Findings as JSON.")
def doctor(database_url: str | None, as_json: bool) -> None:
    """Check the installation, line by line, with a remedy where something is wrong; exit 1 on a fail."""
    from trainer.doctor import FAIL, examine  # noqa: PLC0415

    findings = examine(where(database_url))
    if as_json:
        click.echo(json.dumps([finding.as_dict() for finding in findings], indent=2, default=str))
    else:
        for finding in findings:
            remedy = f" -> {finding.remedy}" if finding.remedy else ""
            console.say(f"{finding.status:4}  {finding.check}: {finding.fact}{remedy}")
    if any(finding.status == FAIL for finding in findings):
        raise click.exceptions.Exit(1)
