"""`python -m trainer explore`: a local page to look at users, videos, versions, experiments and the funnel.

The standard library's web server and server-rendered forms: nothing to install, no JavaScript, the first list
as fast as the database gives it. (Streamlit brings some thirty packages and reruns a script per click.) It
listens on this machine only, and every request is one read-only transaction.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from trainer.database import Address, Connection, DriverError, connect, refusal
from trainer.errors import MartelloError, ServerError, UsageError
from trainer.explore.pages import PAGES, render

LOOPBACK = "127.0.0.1"
# A page that takes longer has met a question that no index answers: better said than waited for.
PATIENCE_MS = 20_000
HEADERS = {
    "Content-Type": "text/html; charset=utf-8",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline';"
    " form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


def open_server(where: Address, port: int = 8321) -> ThreadingHTTPServer:
    """A server on 127.0.0.1, not yet answering: call `serve_forever`. Port 0 takes a free one.

    Raises DatabaseError when nobody answers at `where`, ServerError when the port is taken.
    """
    with connect(where):
        pass
    try:
        return ThreadingHTTPServer((LOOPBACK, port), _handler(where))
    except (OSError, OverflowError) as error:
        said = error.strerror if isinstance(error, OSError) else str(error)
        raise ServerError(f"port {port} cannot be listened on: {said}", "name another with --port") from None


@contextmanager
def reading(where: Address) -> Iterator[Connection]:
    """A transaction that cannot write, whatever a page asks for."""
    with connect(where) as connection:
        connection.execute("set transaction read only")
        connection.execute(f"set local statement_timeout = {PATIENCE_MS}")
        yield connection


def _handler(where: Address) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        """One page per path; arguments in the query string."""

        server_version, sys_version = "martello", ""

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            page = PAGES.get(parts.path)
            if not self._is_for_us():
                self._answer(HTTPStatus.FORBIDDEN, _failure("this page answers to localhost only"))
            elif page is None:
                self._answer(HTTPStatus.NOT_FOUND, _failure(f"there is no page {parts.path[:80]}"))
            else:
                self._answer(*_ask(where, page, parts.query))

        def _is_for_us(self) -> bool:
            """A name that an attacker's DNS points here is not ours: their page must not read this one."""
            host = self.headers.get("Host", "").rsplit(":", 1)[0]
            return host in (LOOPBACK, "localhost")

        def _answer(self, status: HTTPStatus, text: str) -> None:
            content = text.encode()
            self.send_response(status)
            for name, value in HEADERS.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            try:
                self.wfile.write(content)
            except (BrokenPipeError, ConnectionResetError, TimeoutError):
                self.close_connection = True  # the reader went to another page

        def log_message(self, format: str, *args: object) -> None:
            """Nothing: the terminal belongs to the person."""

    return Handler


Page = Callable[[Connection, dict[str, str]], str]


def _ask(where: Address, page: Page, query: str) -> tuple[HTTPStatus, str]:
    try:
        # a NUL is not text to Postgres
        arguments = {name: values[-1].strip().replace("\0", "") for name, values in parse_qs(query).items()}
        with reading(where) as connection:
            return HTTPStatus.OK, page(connection, arguments)
    except UsageError as error:
        return HTTPStatus.BAD_REQUEST, _failure(str(error))
    except MartelloError as error:
        return HTTPStatus.SERVICE_UNAVAILABLE, _failure(str(error))
    except DriverError as error:
        return HTTPStatus.SERVICE_UNAVAILABLE, _failure(str(refusal(error)))


def _failure(words: str) -> str:
    return render("failure.html.j2", title="That did not work", words=words)
