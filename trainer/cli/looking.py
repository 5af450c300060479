"""`recommend` and `doctor`: what only looks."""

import json
from datetime import date, datetime
from typing import Any

import click

from trainer import console
from trainer.cli.options import database_option, where
from trainer.database import connect

DAY = click.DateTime(formats=["%Y-%m-%d"])


def _day(context: click.Context, parameter: click.Parameter, moment: datetime | None) -> date | None:
    return moment.date() if moment else None


@click.command()
@database_option
@click.argument("user")
@click.option("-n", "--match-count", default=20, show_default=True, help="Rows of the list.")
@click.option("--with-tags", multiple=True, metavar="TAG", help="Only videos with this tag; may be repeated.")
@click.option("--without-tags", multiple=True, metavar="TAG", help="None with this tag; may be repeated.")
@click.option("--max-per-maker", type=click.IntRange(min=1), help="Rows of one maker at most.")
@click.option(
    "--diversity", type=click.FloatRange(0, 1), default=0.0, show_default=True, help="0 none, 1 all."
)
@click.option("--released-after", type=DAY, callback=_day, help="First day of release, YYYY-MM-DD.")
@click.option("--released-before", type=DAY, callback=_day, help="Last day of release.")
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


@click.command()
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
