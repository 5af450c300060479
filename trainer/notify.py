"""One message per run, to whatever Apprise can reach: Slack, mail, Discord, Teams, a webhook.

MARTELLO_NOTIFY_URLS names the places (comma separated); empty means nobody is told. A message that cannot be
sent never makes a run fail: the caller gets False and says so.
"""

import logging
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Literal

import apprise

from trainer.database import Connection, DriverError, refusal
from trainer.doctor import OK, data
from trainer.errors import MartelloError
from trainer.report.facts import Facts, read_facts
from trainer.settings import Settings, load_settings

Kind = Literal["success", "refused", "failure", "data"]
APPRISE_TYPES = {
    "success": apprise.NotifyType.SUCCESS,
    "refused": apprise.NotifyType.WARNING,
    "failure": apprise.NotifyType.FAILURE,
    "data": apprise.NotifyType.WARNING,
}
FIGURES = ("recall@20", "ndcg@20", "precision@10", "coverage@20", "dislike@20")
REASONS = 3  # all eleven would push figures and remedy over the edge
# Slack cuts at 40,000 characters, Discord refuses above 2,000; a person on a phone reads less than both.
LONGEST = 1800


@dataclass(frozen=True)
class Message:
    """What is sent: a line that says it all, and the figures."""

    kind: Kind
    title: str
    body: str


def success(connection: Connection, version: str) -> Message:
    """A version was promoted: its figures beside those of the one it replaced."""
    facts = read_facts(connection, version)
    promotions = [(before, forced) for action, before, forced in facts.log if action == "promote"]
    previous, is_forced = promotions[-1] if promotions else ("", False)
    lines = [f"It replaces {previous}." if previous else "It is the first to serve."]
    if is_forced and facts.failed():
        lines += ["It was promoted by force; the gate had refused it:", *_reasons(facts)]
    lines += ["", *_figures(facts, "before")]
    lines += ["", "To go back: python -m trainer rollback"] if previous else []
    return Message("success", f"Martello: version {facts.version} serves now", "\n".join(lines))


def refused(connection: Connection, version: str) -> Message:
    """The gate kept the old version: which rules failed, figures beside the champion's, what can be done."""
    facts = read_facts(connection, version)
    lines = ["What served before goes on serving.", *_reasons(facts)]
    lines += ["", *_figures(facts, "serving"), ""]
    lines.append(f"To serve it all the same: python -m trainer promote {facts.version} --force")
    return Message("refused", f"Martello: the gate refused version {facts.version}", "\n".join(lines))


def failure(stage: str, error: BaseException | str, remedy: str = "") -> Message:
    """A run broke off: in which stage, why, and what to do."""
    if isinstance(error, DriverError):
        error = refusal(error)
    if isinstance(error, MartelloError):
        fact, remedy = error.fact, error.remedy or remedy
    else:
        said = error if isinstance(error, str) else f"{type(error).__name__}: {error}"
        fact = " ".join(said.split())
    lines = [fact, f"What to do: {remedy or '`python -m trainer doctor` looks for the cause'}."]
    lines.append("What served before goes on serving.")
    return Message("failure", f"Martello: the run failed at {stage}", "\n".join(lines))


def data_problems(connection: Connection, *, with_losses: bool = True) -> list[str]:
    """What is wrong with the data, one line each: stale, or lines lost outside the band of the funnel.

    with_losses: also each outcome of the funnel that loses many lines, which may stay so for good.
    """
    checks = [data.marts, data.freshness, data.newest_decision, data.band]
    checks += [data.losses] if with_losses else []
    found = [finding for check in checks for finding in check(connection)]
    return [f"{f.check}: {f.fact} -> {f.remedy}" for f in found if f.status != OK]


def with_problems(message: Message, problems: Sequence[str]) -> Message:
    """The same message with the data's problems under it: one message per run."""
    if not problems:
        return message
    return replace(message, body="\n".join([message.body, "", "The data:", *(f"- {p}" for p in problems)]))


def data_message(problems: Sequence[str]) -> Message:
    """A message about the data alone, for a run that trains nothing (the sync)."""
    n = f"{len(problems)} problem{'s' if len(problems) != 1 else ''}"
    return Message("data", f"Martello: {n} with the data", "\n".join(f"- {p}" for p in problems))


def notify(message: Message, settings: Settings | None = None) -> bool | None:
    """Send a message everywhere. True: all took it; False: one did not; None: nobody is to be told."""
    settings = settings or load_settings()
    if settings.martello_notify_urls is None:
        return None
    urls = split_urls(settings.martello_notify_urls.get_secret_value())
    if not urls:
        return None
    body = without_secrets(message.body, settings)
    if len(body) > LONGEST:
        body = body[:LONGEST].rsplit("\n", 1)[0] + "\n… the report has the rest."
    if page := _page_of_run():
        body += f"\n\nLog and report: {page}"
    with _silent():
        sender = apprise.Apprise()
        is_well = all(list(map(sender.add, urls)))  # a list: every one is tried
        sent = sender.notify(
            title=without_secrets(message.title, settings), body=body, notify_type=APPRISE_TYPES[message.kind]
        )
    return bool(is_well and sent)


def _page_of_run() -> str:
    """The page of this run on GitHub, where it runs there: its log, and the report among its artifacts."""
    server, repository, run = (
        os.environ.get(f"GITHUB_{name}") for name in ("SERVER_URL", "REPOSITORY", "RUN_ID")
    )
    return f"{server}/{repository}/actions/runs/{run}" if server and repository and run else ""


def split_urls(text: str) -> list[str]:
    """The places in MARTELLO_NOTIFY_URLS; a comma inside a URL (two recipients of a mail) is part of it."""
    parts = re.split(r"[,\s]+(?=[A-Za-z][A-Za-z0-9+.-]*://)", text.strip().strip(","))
    return [part.strip().rstrip(",") for part in parts if part.strip()]


def without_secrets(text: str, settings: Settings) -> str:
    """The text without any password, key or token this process knows, nor a password inside any URL."""
    parameters = settings.libpq_parameters()
    known = [settings.supabase_secret_key, settings.supabase_service_role_key]
    secrets = [parameters.get("password", ""), *(s.get_secret_value() for s in known if s is not None)]
    if settings.martello_notify_urls is not None:
        secrets += split_urls(settings.martello_notify_urls.get_secret_value())
    # the default password is also a user's, a database's and a project's name
    for secret in sorted(
        {s for s in secrets if len(s) > 3 and s != parameters.get("user")}, key=len, reverse=True
    ):
        text = text.replace(secret, "***")
    return re.sub(r"(://[^\s:/@]*):[^\s/@]+@", r"\1:***@", text)


def _reasons(facts: Facts) -> Iterator[str]:
    failed = facts.failed()
    yield from (f"- {verdict.rule}: {verdict.reason}" for verdict in failed[:REASONS])
    if failed[REASONS:]:
        yield f"- and {len(failed) - REASONS} more, in the report"


def _figures(facts: Facts, champion_is: str) -> Iterator[str]:
    """A line per metric; the champion's on the same holdout beside it, with the change."""
    own, champion = facts.own(), facts.champion()
    for metric in FIGURES:
        if metric in own:
            line = f"{metric} {own[metric].value:.4f}"
            if metric in champion:
                line += f" ({champion_is}: {champion[metric].value:.4f}"
                line += _change(own[metric].value, champion[metric].value) + ")"
            yield line
    popularity = facts.figures.get("all", {}).get("popularity", {})
    if "ndcg@20" in popularity:
        yield f"the most liked videos alone: ndcg@20 {popularity['ndcg@20'].value:.4f}"


def _change(now: float, before: float) -> str:
    return f", {100 * (now / before - 1):+.1f} %" if before else ""


@contextmanager
def _silent() -> Iterator[None]:
    """Apprise logs a URL it cannot read, and masks only what it takes for a token."""
    logger = logging.getLogger("apprise")
    before, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = before
