"""The explorer over plain HTTP and in a real browser: what it shows, and what it must not do."""

import re
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from urllib.parse import urlencode

import psycopg
import pytest

from serving.world import World
from tests.operations.conftest import EVIL_TITLE, REFUSED, SERVED, Background
from tests.operations.test_report import Reader
from trainer.database import Address
from trainer.errors import DatabaseError, ServerError
from trainer.explore import open_server, reading

Ask = Callable[..., tuple[int, str]]


@pytest.fixture(scope="module")
def port(installed_template: Address) -> Iterator[int]:
    with Background(open_server(installed_template, 0)) as running:
        yield running.server_port


@pytest.fixture
def ask(port: int) -> Ask:
    def get(path: str, host: str | None = None, method: str = "GET", **arguments: str) -> tuple[int, str]:
        connection = HTTPConnection("127.0.0.1", port, timeout=30)
        query = f"?{urlencode(arguments)}" if arguments else ""
        connection.request(method, path + query, headers={"Host": host} if host else {})
        answer = connection.getresponse()
        return answer.status, answer.read().decode()

    return get


def test_home(ask: Ask, somebody: str) -> None:
    status, page = ask("/")
    text = Reader(page).text
    assert status == 200
    assert SERVED in text
    assert REFUSED in text
    assert somebody[:24] in text


def test_a_user_with_history_and_list(ask: Ask, somebody: str) -> None:
    status, page = ask("/user", user=somebody, n="5", diversity="0.5", max_per_maker="1")
    assert status == 200
    assert len(re.findall(r"<small>[^<]*, <a href=\"/why", page)) == 5
    assert "like" in Reader(page).text[Reader(page).text.index("What they met") :]


def test_filters_hold(ask: Ask, somebody: str) -> None:
    _, page = ask("/user", user=somebody, n="50", with_tags="rare")
    assert len(re.findall(r'href="/why', page)) <= 3  # every twentieth of 60 videos
    _, page = ask("/user", user=somebody, with_tags="no such tag")
    assert "nothing fits these filters" in page
    _, page = ask("/user", user=somebody, released_after="2999-01-01")
    assert "nothing fits these filters" in page


def test_two_versions_side_by_side(ask: Ask, somebody: str) -> None:
    status, page = ask("/user", user=somebody, version=SERVED, beside=REFUSED)
    assert status == 200
    assert f"Recommended by {SERVED}" in page
    assert f"Recommended by {REFUSED}" in page
    assert "20 videos are in both lists" in page  # two names of the same vectors


def test_why_adds_up(ask: Ask, somebody: str, small_world: World) -> None:
    status, page = ask("/why", user=somebody, video=small_world.video_ids[5])
    parts = [float(part) for part in re.findall(r'class="n (?:good|bad)">([+-]\d\.\d{4})<', page)]
    (score,) = re.findall(r'best">(-?\d\.\d{4})<', page)
    assert status == 200
    assert sum(parts) == pytest.approx(float(score), abs=1e-3)
    assert f"id={small_world.video_ids[5]}" not in page  # a reason leads to what was liked, not back


def test_a_video_and_its_like(ask: Ask, small_world: World) -> None:
    _, found = ask("/video", q="title 12")
    assert f"id={small_world.video_ids[12]}" in found
    status, page = ask("/video", id=small_world.video_ids[12])
    assert status == 200
    assert page.count('href="/video?id=') == 20


def test_experiments_and_funnel(ask: Ask) -> None:
    assert "no experiment at the last dbt build" in ask("/experiments")[1]
    assert "no_content_id" in Reader(ask("/funnel")[1]).text.replace(" ", "_")


def test_titles_and_questions_are_only_words(ask: Ask) -> None:
    _, page = ask("/video", q="script")
    assert "<script" not in page
    assert EVIL_TITLE in Reader(page).words
    _, page = ask("/video", q='"><script>x</script>')
    assert "<script" not in page


@pytest.mark.parametrize("text", ["'; drop table public.videos; --", "%", "_", "\\", "a\0b", "🎬" * 1000])
def test_questions_are_parameters(ask: Ask, text: str) -> None:
    for path, name in (("/video", "q"), ("/user", "user"), ("/user", "with_tags")):
        status, _ = ask(path, **{"user": "x", name: text})
        assert status == 200
    # % and _ are themselves: no title has them
    assert ("no title has these words" in ask("/video", q="%")[1]) and ask("/video", q="Title 1")[0] == 200


@pytest.mark.parametrize(
    ("path", "arguments", "words"),
    [
        ("/user", {}, "no user is named"),
        ("/user", {"user": "x", "n": "5000"}, "write a number from 1 to 100"),
        ("/user", {"user": "x", "diversity": "nan"}, "write a number from 0 to 1"),
        ("/user", {"user": "x", "version": "1'"}, "there is no version"),
        ("/user", {"user": "x", "released_after": "May"}, "write a date as"),
        ("/video", {"id": "1"}, "not the id of a video"),
        ("/why", {"user": "x", "video": ""}, "not the id of a video"),
    ],
)
def test_what_cannot_be_asked_is_said(ask: Ask, path: str, arguments: dict[str, str], words: str) -> None:
    status, page = ask(path, **arguments)
    assert status == 400
    assert words in page


def test_unknown_pages_and_other_methods(ask: Ask) -> None:
    assert ask("/etc/passwd")[0] == 404
    assert ask("/../style.css")[0] == 404
    assert ask("/", method="POST")[0] == 501


def test_only_localhost_by_name(ask: Ask, port: int) -> None:
    assert ask("/", host="evil.example")[0] == 403
    assert ask("/", host=f"localhost:{port}")[0] == 200


def test_it_cannot_write(installed_template: Address) -> None:
    with (
        pytest.raises(psycopg.errors.ReadOnlySqlTransaction),
        reading(installed_template) as connection,
    ):
        connection.execute("select recsys.refresh_popularity()")


def test_before_anything_is_built(empty_database: Address) -> None:
    with Background(open_server(empty_database, 0)) as running:
        connection = HTTPConnection("127.0.0.1", running.server_port, timeout=30)
        for path in ("/", "/experiments", "/funnel"):
            connection.request("GET", path)
            answer = connection.getresponse()
            assert (answer.status, b"no" in answer.read()) == (200, True)
        connection.request("GET", "/user?user=x")
        assert b"db migrate" in connection.getresponse().read()


def test_a_port_that_is_taken(installed_template: Address, port: int) -> None:
    with pytest.raises(ServerError, match=f"port {port} cannot be listened on"):
        open_server(installed_template, port)
    with pytest.raises(DatabaseError, match="no connection"):
        open_server(Address(installed_template.parameters | {"port": "9"}), 0)


def test_in_a_real_browser(port: int, somebody: str, browse: Callable[[str], tuple[str, str]]) -> None:
    page, complaints = browse(f"http://127.0.0.1:{port}/user?{urlencode({'user': somebody})}")
    assert complaints == ""
    assert "Recommended by the active version" in Reader(page).text
