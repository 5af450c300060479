"""Programs from npm that the tests run (Deno, PostgREST, onnxruntime-web), and what stands between them."""

import base64
import fcntl
import hashlib
import hmac
import http.client
import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import urlsplit

HERE = Path(__file__).resolve().parent
FUNCTIONS = HERE.parents[1] / "supabase" / "functions"
JWT_SECRET = "a-secret-of-at-least-thirty-two-characters"
START_TIMEOUT_S = 60


def npm_install(cache: Path) -> Path:
    """node_modules with the packages of package.json, installed once per change of that file.

    Raises FileNotFoundError where there is no npm, CalledProcessError where the registry cannot be reached.
    """
    if shutil.which("npm") is None or shutil.which("node") is None:
        raise FileNotFoundError("node and npm are not installed")
    wanted = (HERE / "package.json").read_text()
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another worker may be at it
        installed = cache / "installed.json"
        if not installed.exists() or installed.read_text() != wanted:
            (cache / "package.json").write_text(wanted)
            command = ["npm", "install", "--no-audit", "--no-fund", "--loglevel", "error"]
            subprocess.run(command, cwd=cache, check=True, capture_output=True, timeout=300)
            installed.write_text(wanted)
    return cache / "node_modules"


def token(role: str, user: str | None = None, secret: str = JWT_SECRET) -> str:
    """An access token as Supabase signs it (HS256)."""
    payload = {"role": role, "exp": 4_102_444_800, **({"sub": user} if user else {})}
    parts = [_encoded(json.dumps(p).encode()) for p in ({"alg": "HS256", "typ": "JWT"}, payload)]
    signature = hmac.new(secret.encode(), ".".join(parts).encode(), hashlib.sha256).digest()
    return ".".join([*parts, _encoded(signature)])


def _encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def free_port() -> int:
    """A port nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(command: list[str], port: int, environment: dict[str, str], log: Path) -> Iterator[str]:
    """A program that listens on `port`, until the block ends; its address."""
    with (
        log.open("wb") as said,
        subprocess.Popen(
            command, env=environment, stdout=said, stderr=subprocess.STDOUT, cwd=log.parent
        ) as process,
    ):
        try:
            _wait_for(port, process, log)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


def _wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise RuntimeError(f"{process.args} does not listen on {port}: {log.read_text()[-2000:]}")


@contextmanager
def gateway(routes: dict[str, str]) -> Iterator[str]:
    """What Kong is for Supabase: `/rest/v1/…` to PostgREST, `/storage/v1/…` to Storage; its address.

    A route whose value ends in a path keeps that path in front of the rest.
    """

    class Forward(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *args: object) -> None:
            """Silence."""

        def forward(self) -> None:
            prefix = next(route for route in routes if self.path.startswith(route))
            target = urlsplit(routes[prefix])
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            connection = http.client.HTTPConnection(target.hostname or "", target.port, timeout=30)
            headers = {k: v for k, v in self.headers.items() if k.lower() not in ("host", "content-length")}
            path = target.path + self.path.removeprefix(prefix)
            connection.request(self.command, path, body, headers)
            answer = connection.getresponse()
            content = answer.read()
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in ("transfer-encoding", "content-length", "connection"):
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)
            connection.close()

        do_GET = do_POST = do_HEAD = forward  # noqa: N815 (the names http.server calls)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Forward)
    server.daemon_threads = True
    Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
