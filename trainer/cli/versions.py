"""Commands about versions: list, judge, switch, bring up to date, move."""

from pathlib import Path

import click

from trainer import console
from trainer.cli.options import baseline_names, database_option, out_dir_option, where
from trainer.database import connect


@click.command()
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


@click.command()
@database_option
@out_dir_option
@click.argument("version")
@click.option("--force", is_flag=True, help="Also a version that the gate refused; logged.")
def promote(database_url: str | None, out_dir: Path, version: str, force: bool) -> None:
    """Make VERSION the one that serves: vectors, user tower and artifacts together."""
    from trainer import pipeline

    pipeline.switch(where(database_url), out_dir, version, force=force)


@click.command()
@database_option
@out_dir_option
def rollback(database_url: str | None, out_dir: Path) -> None:
    """Back to the version that served before; again goes further back."""
    from trainer import pipeline

    pipeline.switch(where(database_url), out_dir, None)


@click.command()
@database_option
@click.option("--baselines", default="all", show_default=True, help="Comma separated, `all` or `none`.")
def evaluate(database_url: str | None, baselines: str) -> None:
    """Score the version that serves, and baselines, on the marts as they are now."""
    from trainer import pipeline

    pipeline.evaluate_served(where(database_url), baseline_names(baselines))
