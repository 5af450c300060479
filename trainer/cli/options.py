"""Options that several commands share, and what they stand for."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from trainer.database import Address, address
from trainer.errors import UsageError

Command = TypeVar("Command", bound=Callable[..., Any])


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


def baselines_option(command: Command) -> Command:
    """`--baselines`."""
    return click.option(
        "--baselines",
        default="all",
        show_default=True,
        help="Models to score beside ours: comma separated, `all` or `none`.",
    )(command)


def tune_baselines_option(command: Command) -> Command:
    """`--tune-baselines`."""
    return click.option(
        "--tune-baselines",
        is_flag=True,
        help="Choose each baseline's settings on held-out training likes: minutes instead of seconds.",
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
