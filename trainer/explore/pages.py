"""The pages: arguments and a read-only connection in, HTML out. What is asked is in questions.py."""

from collections.abc import Callable
from datetime import date
from pathlib import Path
from time import perf_counter
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from trainer.database import Connection
from trainer.errors import UsageError
from trainer.explore import questions
from trainer.recommend import Recommended, Wish, recommend, user_key_of
from trainer.report import charts
from trainer.report.facts import read_funnel

LONGEST_LIST = 100
REASONS_SHOWN = 20  # who liked two hundred videos has two hundred reasons; the rest folds

_environment = Environment(
    loader=PackageLoader("trainer.explore"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
)
_style = Markup(  # our own file
    (Path(__file__).parents[1] / "report" / "style.css").read_text(encoding="utf-8")
)


def render(template: str, **content: Any) -> str:
    """A page in the common frame."""
    return _environment.get_template(template).render(style=_style, link=_link, **content)


def home(connection: Connection, arguments: dict[str, str]) -> str:
    """Where to begin: people with short and long histories, videos by title, versions."""
    return render(
        "home.html.j2",
        title="Martello",
        users=questions.some_users(connection),
        versions=questions.versions(connection),
        health=questions.rows(connection, "marts.rpt_model_health", "is_active", "created_at desc", 1),
    )


def user(connection: Connection, arguments: dict[str, str]) -> str:
    """One user: what they met, what they are recommended, by one version or two side by side."""
    asked = arguments.get("user", "")
    if not asked:
        raise UsageError("no user is named", "go back and name one")
    key = user_key_of(asked)
    versions = questions.versions(connection)
    lists: list[tuple[str, list[Recommended], float]] = []
    for name in dict.fromkeys((arguments.get("version") or None, arguments.get("beside") or None)):
        if name is None and lists:
            continue
        if name is not None and name not in [version["version"] for version in versions]:
            raise UsageError(f"there is no version {name!r}", "choose one of the list")
        began = perf_counter()
        found = recommend(connection, key, _wish(arguments, name))
        lists.append((name or "", found, 1000 * (perf_counter() - began)))
    shared = set.intersection(*({row.video_id for row in found} for _, found, _ in lists))
    return render(
        "user.html.j2",
        title=key,
        key=key,
        arguments=arguments,
        history=questions.history(connection, key),
        lists=lists,
        shared=shared if len(lists) > 1 else set(),
        versions=versions,
    )


def why(connection: Connection, arguments: dict[str, str]) -> str:
    """What the score of one video for one user is made of."""
    key, video = user_key_of(arguments.get("user", "")), _uuid(arguments.get("video", ""))
    version = arguments.get("version") or None
    reasons = questions.reasons(connection, key, video, version)
    return render(
        "why.html.j2",
        title="Why this one",
        key=key,
        video=questions.video(connection, video),
        reasons=reasons,
        most=REASONS_SHOWN,
    )


def video(connection: Connection, arguments: dict[str, str]) -> str:
    """Search by title, or one video with those that are like it."""
    if "id" not in arguments:
        found = questions.search(connection, arguments.get("q", ""))
        return render("videos.html.j2", title="Videos", q=arguments.get("q", ""), found=found)
    chosen = _uuid(arguments["id"])
    one = questions.video(connection, chosen)
    if one is None:
        raise UsageError(f"there is no video {chosen}", "search by title")
    return render(
        "video.html.j2", title=one["title"], video=one, similar=questions.similar(connection, chosen)
    )


def experiments(connection: Connection, arguments: dict[str, str]) -> str:
    """A/B tests and the last month, as dbt last counted them."""
    return render(
        "experiments.html.j2",
        title="Experiments",
        results=questions.rows(connection, "marts.rpt_experiment_results", "true", "experiment, arm", 100),
        days=questions.rows(
            connection, "marts.rpt_online_metrics", "true", "shown_on desc, experiment, arm", 60
        ),
    )


def funnel(connection: Connection, arguments: dict[str, str]) -> str:
    """What became of every line."""
    lines = read_funnel(connection)
    flow = Markup(charts.funnel_flow(lines))  # charts escape what they are given
    return render("funnel.html.j2", title="Funnel", lines=lines, flow=flow)


PAGES: dict[str, Callable[[Connection, dict[str, str]], str]] = {
    "/": home,
    "/user": user,
    "/why": why,
    "/video": video,
    "/experiments": experiments,
    "/funnel": funnel,
}


def _wish(arguments: dict[str, str], version: str | None) -> Wish:
    def number(name: str, default: float, low: float, high: float) -> float:
        text = arguments.get(name, "")
        try:
            value = float(text) if text else default
        except ValueError:
            value = float("nan")
        if not low <= value <= high:
            raise UsageError(f"{name} is {text!r}", f"write a number from {low:g} to {high:g}")
        return value

    makers = int(number("max_per_maker", 0, 0, LONGEST_LIST))
    return Wish(
        match_count=int(number("n", 20, 1, LONGEST_LIST)),
        with_tags=_tags(arguments, "with_tags"),
        without_tags=_tags(arguments, "without_tags"),
        max_per_maker=makers or None,
        diversity=number("diversity", 0, 0, 1),
        released_after=_date(arguments, "released_after"),
        released_before=_date(arguments, "released_before"),
        version=version,
    )


def _tags(arguments: dict[str, str], name: str) -> tuple[str, ...]:
    return tuple(tag.strip() for tag in arguments.get(name, "").split(",") if tag.strip())


def _date(arguments: dict[str, str], name: str) -> date | None:
    text = arguments.get(name, "")
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        raise UsageError(f"{name} is {text[:20]!r}", "write a date as 2026-11-20") from None


def _uuid(text: str) -> str:
    try:
        return str(UUID(text))
    except ValueError:
        raise UsageError(f"{text[:80]!r} is not the id of a video", "search by title") from None


def _link(path: str, **arguments: object) -> str:
    return f"{path}?{urlencode({name: str(value) for name, value in arguments.items()})}"
