"""The command line: words in, one function called, stated failures as one line. No logic lives here."""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from trainer import __version__, console
from trainer.database import Address, DriverError, address, connect, refusal
from trainer.errors import MartelloError, UsageError
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
    except DriverError as error:
        console.fail(str(refusal(error)))
        sys.exit(1)
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


def out_dir_option(command: Command) -> Command:
    """`--out-dir`."""
    return click.option(
        "--out-dir",
        type=click.Path(path_type=Path, file_okay=False),
        default=Path("artifacts"),
        show_default=True,
        help="Folder of the artifacts.",
    )(command)


def baseline_names(text: str) -> tuple[str, ...]:
    """The models to score beside ours. Raises UsageError for a name that is not one."""
    from trainer.baselines import NAMES

    if text in ("all", "none"):
        return NAMES if text == "all" else ()
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    if unknown := [name for name in names if name not in NAMES]:
        raise UsageError(
            f"there is no baseline {unknown[0]!r}", f"choose from {', '.join(NAMES)}, all or none"
        )
    return names


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


@trainer.group()
def load() -> None:
    """Load files into raw (reviews, decisions) or into the catalogue (videos)."""


def load_command(kind: str, help_text: str) -> None:
    """One `load` command: the files' columns differ, the words do not."""

    @load.command(kind, help=help_text)
    @database_option
    @click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
    @click.option(
        "--into-app", is_flag=True, help="Write into the catalogue of an app that owns it (videos)."
    )
    def command(database_url: str | None, files: tuple[Path, ...], into_app: bool) -> None:
        from trainer.load import load_files

        with connect(where(database_url)) as connection:
            for summary in load_files(connection, kind, files, into_app=into_app):
                for line in summary.lines():
                    console.say(line)


load_command(
    "reviews", "CSV or Parquet with product_url, reviewer_id, stars, optionally reviewed_at and split."
)
load_command(
    "decisions", "CSV or Parquet with a user, an item and a label or decision, optionally decided_at, split."
)
load_command("videos", "CSV or Parquet with external_id, title and what else is known of each video.")


@trainer.command()
@database_option
@out_dir_option
def demo(database_url: str | None, out_dir: Path) -> None:
    """From nothing to recommendations on real data: Postgres, bundled sample, dbt, training, a report."""
    from trainer.demo import run_demo

    run_demo(where(database_url), out_dir)


@trainer.command()
@database_option
@click.argument("user")
@click.option("-n", "--match-count", default=20, show_default=True, help="Rows of the list.")
@click.option("--with-tags", multiple=True, metavar="TAG", help="Only videos with this tag; may be repeated.")
@click.option("--without-tags", multiple=True, metavar="TAG", help="None with this tag; may be repeated.")
@click.option("--max-per-maker", type=click.IntRange(min=1), help="Rows of one maker at most.")
@click.option(
    "--diversity", type=click.FloatRange(0, 1), default=0.0, show_default=True, help="0 none, 1 all."
)
@click.option("--version", help="Another version than the active one.")
def recommend(database_url: str | None, user: str, **wishes: Any) -> None:
    """Recommendations for USER: an app user's uuid, a reviewer's id, or a user_key of the marts."""
    from trainer import recommend as serving

    user_key = serving.user_key_of(user)
    with connect(where(database_url), autocommit=True) as connection:
        rows = serving.recommend(connection, user_key, serving.Wish(**wishes))
        liked = serving.liked_titles(connection, user_key)
    console.say(f"{user_key} liked lately: {'; '.join(liked) if liked else 'nothing that is known here'}")
    cells = [[str(row.rank), f"{row.score:.3f}", row.title, row.reason] for row in rows]
    console.table(f"Recommended to {user_key}", ["rank", "score", "title", "because"], cells, numeric_from=9)


@trainer.command()
@database_option
def versions(database_url: str | None) -> None:
    """The versions of the registry, newest first."""
    from trainer.release import versions as listed

    with connect(where(database_url), autocommit=True) as connection:
        rows = listed(connection)
    cells = []
    for row in rows:
        own = row["metrics"].get("two_tower", {})
        figures = [f"{own[name]:.4f}" if name in own else "" for name in ("recall@20", "ndcg@20")]
        cells.append(
            [row["version"], row["status"], str(row["embedding_dim"]), *figures, f"{row['created_at']:%F %T}"]
        )
    console.table("Versions", ["version", "status", "dimensions", "recall@20", "ndcg@20", "written"], cells)


@trainer.command()
@database_option
@out_dir_option
@click.argument("version")
@click.option("--force", is_flag=True, help="Also a version that the gate refused; logged.")
def promote(database_url: str | None, out_dir: Path, version: str, force: bool) -> None:
    """Make VERSION the one that serves: vectors, user tower and artifacts together."""
    from trainer import pipeline

    pipeline.switch(where(database_url), out_dir, version, force=force)


@trainer.command()
@database_option
@out_dir_option
def rollback(database_url: str | None, out_dir: Path) -> None:
    """Back to the version that served before; again goes further back."""
    from trainer import pipeline

    pipeline.switch(where(database_url), out_dir, None)


@trainer.command()
@database_option
@click.option("--baselines", default="all", show_default=True, help="Comma separated, `all` or `none`.")
def evaluate(database_url: str | None, baselines: str) -> None:
    """Score the version that serves, and baselines, on the marts as they are now."""
    from trainer import pipeline

    pipeline.evaluate_served(where(database_url), baseline_names(baselines))


@trainer.command()
@database_option
@click.option("--json", "as_json", is_flag=True, help="Findings as JSON.")
def doctor(database_url: str | None, as_json: bool) -> None:
    """Check the installation, line by line, with a remedy where something is wrong; exit 1 on a fail."""
    from trainer.doctor import FAIL, examine

    findings = examine(where(database_url))
    if as_json:
        click.echo(json.dumps([finding.as_dict() for finding in findings], indent=2, default=str))
    else:
        for finding in findings:
            remedy = f" -> {finding.remedy}" if finding.remedy else ""
            console.say(f"{finding.status:4}  {finding.check}: {finding.fact}{remedy}")
    if any(finding.status == FAIL for finding in findings):
        raise click.exceptions.Exit(1)
