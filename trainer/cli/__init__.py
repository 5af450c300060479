"""The command line: words in, one function called, stated failures as one line. No logic lives here."""

import os
import sys
from pathlib import Path
from typing import Any

import click

from trainer import __version__, console
from trainer.cli.databases import db
from trainer.cli.files import demo, load
from trainer.cli.looking import doctor, recommend
from trainer.cli.operations import explore, notify, report
from trainer.cli.options import baselines_option, database_option, out_dir_option, tune_baselines_option
from trainer.cli.training import DIALS, train, training_options, tune
from trainer.cli.versions import evaluate, fetch, promote, publish, rollback, sync, versions
from trainer.database import DriverError, address, refusal
from trainer.errors import MartelloError


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


@click.group(
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
@database_option
@training_options
@out_dir_option
@baselines_option
@tune_baselines_option
@click.option("--dry-run", is_flag=True, help="Train and evaluate; write nothing.")
@click.option("--resume", is_flag=True, help="Go on after the last epoch of a training that was killed.")
@click.option("--no-publish", is_flag=True, help="Write the version as a candidate; what serves stays.")
@click.option("--force", is_flag=True, help="Promote also what the gate refuses; logged.")
@click.option(
    "--store-reviewer-vectors", is_flag=True, help="Store vectors of reviewers beside the app's users."
)
@click.version_option(__version__, prog_name="martello")
@click.pass_context
def trainer(  # the names are the options'
    context: click.Context, /, database_url: str | None, out_dir: Path, baselines: str, **rest: Any
) -> None:
    """Train the two towers from the marts, evaluate, gate, publish. Other jobs are commands."""
    if context.invoked_subcommand is not None:
        return
    train(
        address(database_url),
        out_dir,
        baselines,
        {name: rest[name] for name in DIALS},
        tunes_baselines=rest["tune_baselines"],
        is_dry_run=rest["dry_run"],
        is_published=not rest["no_publish"],
        is_forced=rest["force"],
        resumes=rest["resume"],
        stores_reviewers=rest["store_reviewer_vectors"],
    )


for command in (
    db,
    load,
    demo,
    tune,
    evaluate,
    recommend,
    versions,
    promote,
    rollback,
    sync,
    publish,
    fetch,
    report,
    explore,
    notify,
    doctor,
):
    trainer.add_command(command)
