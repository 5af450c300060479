"""Commands about versions: list, judge, switch, bring up to date, move."""

from pathlib import Path

import click

from trainer import console
from trainer.cli.options import (
    baseline_names,
    baselines_option,
    database_option,
    out_dir_option,
    tune_baselines_option,
    where,
)
from trainer.database import connect
from trainer.errors import StorageError
from trainer.settings import load_settings


@click.command()
@database_option
def versions(database_url: str | None) -> None:
    """The versions of the registry, newest first."""
    from trainer.migrations import require_registry
    from trainer.release import versions as listed

    with connect(where(database_url), autocommit=True) as connection:
        require_registry(connection)
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
    from trainer import switch

    switch.switch(where(database_url), out_dir, version, force=force)


@click.command()
@database_option
@out_dir_option
def rollback(database_url: str | None, out_dir: Path) -> None:
    """Back to the version that served before; again goes further back."""
    from trainer import switch

    switch.switch(where(database_url), out_dir, None)


@click.command()
@database_option
@baselines_option
@tune_baselines_option
@click.option(
    "--through-sql", is_flag=True, help="Ask recommend_videos itself: exact, then index, then filters."
)
def evaluate(database_url: str | None, baselines: str, tune_baselines: bool, through_sql: bool) -> None:
    """Score the version that serves, and baselines, on the marts as they are now."""
    from trainer import judge_served

    if through_sql:
        judge_served.evaluate_sql(where(database_url))
    else:
        judge_served.evaluate_served(where(database_url), baseline_names(baselines), is_tuned=tune_baselines)


@click.command()
@database_option
@out_dir_option
@click.option("--users-only", is_flag=True, help="Users whose history has changed, in SQL alone: seconds.")
def sync(database_url: str | None, out_dir: Path, users_only: bool) -> None:
    """Vectors for new and changed videos and users from the version that serves, without training."""
    from trainer.closing import tell_data
    from trainer.storage import open_storage
    from trainer.sync import sync as synchronise
    from trainer.sync import sync_users

    with connect(where(database_url), autocommit=True) as connection:
        if users_only:
            console.say(f"{sync_users(connection):,} users computed again")
            return
        console.say(str(synchronise(connection, out_dir, open_storage(load_settings()))))
        tell_data(connection)


@click.command()
@out_dir_option
@click.argument("version", required=False)
def fetch(out_dir: Path, version: str | None) -> None:
    """Bring VERSION (the current one) from Storage into the folder, every file verified."""
    from trainer.fetch import fetch as bring
    from trainer.storage import open_storage

    storage = open_storage(load_settings())
    if storage is None:
        raise StorageError("there is no Storage to fetch from", "set SUPABASE_URL and SUPABASE_SECRET_KEY")
    console.say(f"{bring(storage, out_dir, version)} is as it was published")


@click.command()
@database_option
@out_dir_option
@click.argument("version", required=False)
@click.option("--storage-only", is_flag=True, help="Upload the files only; the database is not touched.")
def publish(database_url: str | None, out_dir: Path, version: str | None, storage_only: bool) -> None:
    """Promote VERSION (the folder's current one) in the database and in Storage."""
    from trainer import switch

    if storage_only:
        switch.publish_files(out_dir, version)
    else:
        switch.switch(where(database_url), out_dir, version or switch.current_version(out_dir))
