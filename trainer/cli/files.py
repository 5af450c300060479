"""`load` and `demo`: what brings data in."""

from pathlib import Path

import click

from trainer import console
from trainer.cli.options import database_option, out_dir_option, where
from trainer.database import connect


@click.group()
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


@click.command()
@database_option
@out_dir_option
def demo(database_url: str | None, out_dir: Path) -> None:
    """From nothing to recommendations on real data: Postgres, bundled sample, dbt, training, a report."""
    from trainer.demo import run_demo

    run_demo(where(database_url), out_dir)
