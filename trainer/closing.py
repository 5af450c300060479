"""How a run ends for the people: its report beside the artifacts, and one message.

The pipeline calls `report_run` when the gate has decided and before the manifest is written, so that the
report is released with the version; `tell_run` when everything is where it belongs; `tell_failure` where it
broke off. The daily sync calls `tell_data`.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from trainer import console
from trainer.database import Connection
from trainer.notify import (
    Message,
    data_message,
    data_problems,
    failure,
    notify,
    refused,
    success,
    with_problems,
)
from trainer.report import CurveLine, write_report


def report_run(
    connection: Connection,
    out_dir: Path,
    version: str,
    curve: Iterable[CurveLine] = (),
    run: Mapping[str, Any] | None = None,
) -> Path:
    """Write the version's report; its path. `run`: {"seconds": {stage: s}, "peak_memory_mb": MB}."""
    path = write_report(connection, out_dir, version, curve, run=run, problems=data_problems(connection))
    console.say(f"the report is {path}")
    return path


def tell_run(connection: Connection, version: str) -> None:
    """Promoted or refused, with the data's problems under it; a candidate is no news."""
    row = connection.execute(
        "select status from recsys.embedding_model_versions where version = %s", (version,)
    ).fetchone()
    kinds = {"active": success, "refused": refused}
    if row and row[0] in kinds:
        _tell(with_problems(kinds[row[0]](connection, version), data_problems(connection)))


def tell_failure(stage: str, error: BaseException) -> None:
    """A run that broke off: where, why, what to do."""
    _tell(failure(stage, error))


def tell_data(connection: Connection) -> None:
    """What is wrong with the data, after a run that trains nothing; no problem is no news."""
    if problems := data_problems(connection, with_losses=False):
        _tell(data_message(problems))


def _tell(message: Message) -> None:
    if notify(message) is False:
        console.fail("the message could not be sent to every place in MARTELLO_NOTIFY_URLS")
