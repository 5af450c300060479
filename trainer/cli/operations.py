"""`report`, `explore` and `notify`: what a person reads after a run, or between two."""

from pathlib import Path

import click

from trainer import console
from trainer.cli.options import database_option, out_dir_option, where
from trainer.database import connect


@click.command()
@database_option
@out_dir_option
@click.argument("version", required=False)
@click.option("--markdown", is_flag=True, help="A dozen lines of Markdown on standard output instead.")
def report(database_url: str | None, out_dir: Path, version: str | None, markdown: bool) -> None:
    """One self-contained page about VERSION (the newest): what changed, whether it is better, what to do."""
    from trainer.notify import data_problems
    from trainer.report import summary_markdown, write_report

    with connect(where(database_url), autocommit=True) as connection:
        if markdown:
            click.echo(summary_markdown(connection, out_dir, version), nl=False)
            return
        path = write_report(connection, out_dir, version, problems=data_problems(connection))
    console.say(f"{path} ({path.stat().st_size / 1e6:.1f} MB)")


@click.command()
@database_option
@click.option("--port", type=click.IntRange(0, 65535), default=8321, show_default=True, help="0: a free one.")
def explore(database_url: str | None, port: int) -> None:
    """A local read-only page: users, videos, two versions side by side, experiments, the funnel."""
    from trainer.explore import open_server

    server = open_server(where(database_url), port)
    console.say(f"http://127.0.0.1:{server.server_port}/ until Ctrl-C")
    with server:
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            console.say("closed")


@click.command()
@click.option("--stage", required=True, help="Where the run broke off.")
@click.option("--fact", default="see the log of the run", show_default=True, help="What happened.")
@click.option("--remedy", default="", help="What to do about it.")
def notify(stage: str, fact: str, remedy: str) -> None:
    """Tell MARTELLO_NOTIFY_URLS that a run failed outside the trainer, which tells of its own runs."""
    from trainer import notify as notifying

    sent = notifying.notify(notifying.failure(stage, fact, remedy))
    words = {True: "told", False: "could not be sent to every place", None: "nobody is to be told"}
    console.say(words[sent])
    if sent is False:
        raise click.exceptions.Exit(1)
