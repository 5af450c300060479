"""One message per run, to a real receiver; nothing secret in it, and no run fails because of it."""

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import psycopg
import pytest
from pydantic import SecretStr

from tests.operations.conftest import REFUSED, SERVED, WORST_URL, Background
from trainer import notify, release
from trainer.database import Address, Connection, connect
from trainer.errors import StorageError
from trainer.settings import Settings, load_settings

PASSWORD = "hunter2-pa55word"
TOKEN = "T0KENT0KEN"


class Receiver(HTTPServer):
    """Keeps what it is sent; answers with `status`."""

    status = 200

    def __init__(self) -> None:
        self.received: list[dict[str, str]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                content = self.rfile.read(int(self.headers["Content-Length"]))
                outer.received.append(json.loads(content))
                self.send_response(outer.status)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"json://somebody:{TOKEN}@127.0.0.1:{self.server_port}/"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Background(Receiver()) as running:
        yield running


@pytest.fixture
def settings(receiver: Receiver) -> Settings:
    return told(receiver.url)


def told(urls: str) -> Settings:
    return load_settings(f"postgresql://me:{PASSWORD}@db.example/x").model_copy(
        update={"martello_notify_urls": SecretStr(urls), "supabase_secret_key": SecretStr("sb_secret_abcdef")}
    )


def test_success(reader: Connection, receiver: Receiver, settings: Settings) -> None:
    assert notify.notify(notify.success(reader, SERVED), settings) is True
    (message,) = receiver.received
    assert message["title"] == f"Martello: version {SERVED} serves now"
    assert message["type"] == "success"
    assert "ndcg@20 0.4000" in message["message"]
    assert "It is the first to serve." in message["message"]


def test_refused_has_reasons_and_the_champions_figures(
    reader: Connection, receiver: Receiver, settings: Settings
) -> None:
    assert notify.notify(notify.refused(reader, REFUSED), settings) is True
    (message,) = receiver.received
    assert message["type"] == "warning"
    assert "beats_popularity_ndcg: ndcg@20 is 0.2000, popularity 0.3000" in message["message"]
    assert "ndcg@20 0.2000 (serving: 0.4000, -50.0 %)" in message["message"]
    assert f"promote {REFUSED} --force" in message["message"]


def test_many_reasons_leave_room_for_the_rest(installed: Address) -> None:
    with connect(installed, autocommit=True) as connection:
        n_failed = connection.execute(
            "update recsys.gate_results set passed = false where model_version = %s", (REFUSED,)
        ).rowcount
        body = notify.refused(connection, REFUSED).body
    assert f"- and {n_failed - notify.REASONS} more, in the report" in body
    assert body.count("\n- ") == notify.REASONS + 1


def test_a_refused_version_that_serves_by_force_says_so(installed: Address) -> None:
    with connect(installed, autocommit=True) as connection:
        release.promote(connection, REFUSED, force=True)
        message = notify.success(connection, REFUSED)
    assert f"It replaces {SERVED}." in message.body
    assert "promoted by force; the gate had refused it:\n- beats_popularity_ndcg" in message.body
    assert "ndcg@20 0.2000 (before: 0.4000, -50.0 %)" in message.body
    assert message.body.endswith("To go back: python -m trainer rollback")


def test_failure_has_stage_and_remedy(receiver: Receiver, settings: Settings) -> None:
    error = StorageError("the bucket models is missing", "create it")
    assert notify.notify(notify.failure("publish", error), settings) is True
    (message,) = receiver.received
    assert message["title"] == "Martello: the run failed at publish"
    assert message["type"] == "failure"
    assert message["message"].splitlines()[:2] == ["the bucket models is missing", "What to do: create it."]


def test_the_datas_problems_come_in_the_same_message(
    reader: Connection, receiver: Receiver, settings: Settings
) -> None:
    problems = notify.data_problems(reader)
    assert any(WORST_URL in problem and "url_patterns.csv" in problem for problem in problems)
    assert notify.notify(notify.with_problems(notify.success(reader, SERVED), problems), settings) is True
    (message,) = receiver.received
    assert WORST_URL in message["message"]
    assert notify.data_message(problems).kind == "data"
    assert notify.with_problems(notify.success(reader, SERVED), []) == notify.success(reader, SERVED)


def test_no_secret_is_sent(receiver: Receiver, settings: Settings) -> None:
    fact = (
        f"no connection to postgresql://me:{PASSWORD}@db.example/x with {PASSWORD}, sb_secret_abcdef,"
        f" {receiver.url}, nor to https://x:other-pass@y.example"
    )
    assert notify.notify(notify.failure("train", RuntimeError(fact)), settings) is True
    (message,) = receiver.received
    for secret in (PASSWORD, "sb_secret_abcdef", TOKEN, "other-pass"):
        assert secret not in json.dumps(message)
    assert "no connection to postgresql://me:***@db.example/x" in message["message"]


def test_a_run_on_github_says_where(
    receiver: Receiver, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"SERVER_URL": "https://github.com", "REPOSITORY": "me/shop", "RUN_ID": "77"}.items():
        monkeypatch.setenv(f"GITHUB_{name}", value)
    long = notify.data_message([f"problem {n} {'x' * 100}" for n in range(100)])
    assert notify.notify(long, settings) is True
    (message,) = receiver.received
    last = message["message"].splitlines()[-1]
    assert last == "Log and report: https://github.com/me/shop/actions/runs/77"
    assert len(message["message"]) < 2000


def test_every_place_is_told(receiver: Receiver) -> None:
    settings = told(f"{receiver.url}a, {receiver.url}b,")
    assert notify.notify(notify.failure("train", "it broke"), settings) is True
    assert len(receiver.received) == 2


def test_a_comma_inside_a_url_stays() -> None:
    assert notify.split_urls("mailto://u:p@h?to=a@b.c,d@e.f, slack://x/y") == [
        "mailto://u:p@h?to=a@b.c,d@e.f",
        "slack://x/y",
    ]


@pytest.mark.parametrize(
    "urls", ["json://127.0.0.1:9/", f"nonsense://{TOKEN[:5]}", f"json://u:{TOKEN}@127.0.0.1:9/"]
)
def test_what_cannot_be_sent_is_no_failure_and_no_leak(
    urls: str, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    assert notify.notify(notify.failure("train", "it broke"), told(urls)) is False
    said = capfd.readouterr()
    assert TOKEN[:5] not in said.out + said.err + caplog.text


def test_a_receiver_that_refuses(receiver: Receiver, settings: Settings) -> None:
    receiver.status = 500
    assert notify.notify(notify.failure("train", "it broke"), settings) is False


def test_nobody_is_to_be_told(monkeypatch: pytest.MonkeyPatch) -> None:
    assert notify.notify(notify.failure("train", "it broke")) is None
    monkeypatch.setenv("MARTELLO_NOTIFY_URLS", " , ")
    assert notify.notify(notify.failure("train", "it broke")) is None


def test_a_long_message_ends_between_lines(receiver: Receiver, settings: Settings) -> None:
    problems = [f"problem {n} {'x' * 100}" for n in range(100)]
    assert notify.notify(notify.data_message(problems), settings) is True
    (message,) = receiver.received
    assert len(message["message"]) < 2000
    assert message["message"].splitlines()[-1] == "… the report has the rest."
    assert message["message"].splitlines()[-2].endswith("x" * 100)


def test_what_the_database_refused_is_one_line(connection: Connection) -> None:
    with pytest.raises(psycopg.Error) as caught:
        connection.execute("do $$ begin raise exception 'no room' using hint = 'make some'; end $$")
    message = notify.failure("publish", caught.value)
    assert message.body.splitlines()[:2] == [
        "the database refused (P0001): no room",
        "What to do: make some.",
    ]
