"""The end of a run: a report in the version's folder, one message, never a failure."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.operations.conftest import REFUSED, SERVED, WORST_URL, Background
from tests.operations.test_notify import Receiver
from trainer import closing
from trainer.database import Address, Connection, connect
from trainer.errors import TrainingError
from trainer.manifest import version_folder
from trainer.report.page import Epoch


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    receiver = Receiver()
    monkeypatch.setenv("MARTELLO_NOTIFY_URLS", receiver.url)
    with Background(receiver):
        yield receiver


def test_the_report_joins_the_artifacts(reader: Connection, tmp_path: Path) -> None:
    folder = tmp_path / version_folder(REFUSED)
    folder.mkdir(parents=True)
    run = {"seconds": {"read": 1.0}, "peak_memory_mb": 900.0}
    path = closing.report_run(reader, tmp_path, REFUSED, [Epoch(1, 1.25, None)], run)
    assert path == folder / "report.html"
    page = path.read_text()
    assert "epoch 1: loss 1.2500" in page
    assert "900 MB" in page
    assert WORST_URL in page[: page.index("The gate, rule by rule")]


@pytest.mark.parametrize(("version", "words"), [(SERVED, "serves now"), (REFUSED, "the gate refused")])
def test_one_message_about_what_came_of_it(
    reader: Connection, receiver: Receiver, version: str, words: str
) -> None:
    closing.tell_run(reader, version)
    (message,) = receiver.received
    assert words in message["title"]
    assert WORST_URL in message["message"]


def test_a_candidate_is_no_news(reader: Connection, receiver: Receiver) -> None:
    closing.tell_run(reader, "209901010000")
    assert receiver.received == []


def test_a_failure_names_stage_and_remedy(receiver: Receiver) -> None:
    closing.tell_failure("train", TrainingError("the loss is nan at step 3", "lower --lr"))
    (message,) = receiver.received
    assert message["title"].endswith("failed at train")
    assert "What to do: lower --lr." in message["message"]


def test_the_sync_tells_of_the_data_and_only_of_what_is_wrong(installed: Address, receiver: Receiver) -> None:
    with connect(installed, autocommit=True) as connection:
        closing.tell_data(connection)
        (message,) = receiver.received
        assert message["title"] == "Martello: 1 problem with the data"
        assert "the app's newest decision is of 2026-01-01" in message["message"]
        assert WORST_URL not in message["message"]  # lost every day: the weekly message has it
        connection.execute("update public.user_video_decisions set created_at = now() - interval '1 hour'")
        connection.execute("analyze marts.fct_interactions")
        closing.tell_data(connection)
    assert len(receiver.received) == 1


def test_a_deaf_receiver_is_said_and_no_failure(
    receiver: Receiver, reader: Connection, capsys: pytest.CaptureFixture[str]
) -> None:
    receiver.status = 500
    closing.tell_run(reader, SERVED)
    assert "could not be sent" in capsys.readouterr().err
