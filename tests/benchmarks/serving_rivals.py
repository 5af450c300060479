"""What serving_latency.py measures beside SQL over psycopg: SQL over PostgREST, and a service of its own that
holds what everybody has seen and the matrix in a faiss index (HNSW, as many neighbours and as wide as ours).
"""

import http.client
import json
import multiprocessing
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.connection import Connection as Pipe
from pathlib import Path
from subprocess import CalledProcessError
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from artifacts import programs
from rest_server import rest_server
from trainer.database import Address

NEIGHBOURS, BUILD_WIDTH, SEARCH_WIDTH = 32, 256, 120  # faiss counts both directions: our m is 16
Show = Callable[[str, list[np.ndarray]], None]


def ask_http(url: str, users: list[str], seed: int, seconds: float) -> np.ndarray:
    """Milliseconds of each call of one client over one kept connection; the first ten are left out."""
    rng, taken = np.random.default_rng(seed), []
    tokens = {user: programs.token("authenticated", user) for user in users}
    host, _, path = url.removeprefix("http://").partition("/")
    connection = http.client.HTTPConnection(host, timeout=30)
    body, end = json.dumps({"match_count": 20}), time.perf_counter() + seconds
    while time.perf_counter() < end:
        user = users[int(rng.integers(0, len(users)))]
        headers = {
            "Content-Type": "application/json",
            "Authorization": f"Bearer {tokens[user]}",
            "User": user,
        }
        began = time.perf_counter()
        connection.request("POST", f"/{path}", body, headers)
        answer = connection.getresponse()
        rows = json.loads(answer.read())
        taken.append(time.perf_counter() - began)
        if answer.status != 200 or len(rows) != 20:
            raise RuntimeError(f"{url} answered {answer.status}: {str(rows)[:200]}")
    return np.array(taken[10:] or taken) * 1000


def measure_rest(where: Address, users: list[str], seconds: float, show: Show) -> None:
    """recommend_videos for signed-in users over PostgREST; a line that says why where there is none."""
    try:
        node_modules = programs.npm_install(Path(tempfile.gettempdir()) / "martello_benchmark_npm")
    except (FileNotFoundError, CalledProcessError) as error:
        print(f"over PostgREST: not measured, {error}")
        return
    with tempfile.TemporaryDirectory() as logs, rest_server(node_modules, where, Path(logs)) as url:
        _measure("recommend, over PostgREST", f"{url}/rpc/recommend_videos", users, seconds, show)


def measure_faiss(
    items_ND: np.ndarray,
    seen: dict[str, np.ndarray],
    vectors: dict[str, np.ndarray],
    seconds: float,
    show: Show,
) -> None:
    """The rival service; a line that says why where faiss is not installed."""
    try:
        import faiss  # noqa: F401 (only whether it is there)
    except ImportError:
        print("a faiss service: not measured, faiss is not installed (pip install faiss-cpu)")
        return
    with _served(items_ND, seen, vectors) as url:
        _measure("faiss service, over HTTP", url, list(seen), seconds, show)


def _measure(name: str, url: str, users: list[str], seconds: float, show: Show) -> None:
    for n_clients in (1, 8):
        jobs = [(url, users, seed, seconds) for seed in range(n_clients)]
        with multiprocessing.get_context("spawn").Pool(n_clients) as pool:
            show(name, pool.starmap(ask_http, jobs))


@contextmanager
def _served(
    items_ND: np.ndarray, seen: dict[str, np.ndarray], vectors: dict[str, np.ndarray]
) -> Iterator[str]:
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(
        target=_serve, args=(items_ND, seen, vectors, theirs), daemon=True
    )
    process.start()
    port, n_seconds = ours.recv()
    print(f"faiss index of {len(items_ND):,} vectors: {n_seconds:.1f} s, in memory alone")
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.join()


def _serve(
    items_ND: np.ndarray, seen: dict[str, np.ndarray], vectors: dict[str, np.ndarray], pipe: Pipe
) -> None:
    import faiss

    began = time.perf_counter()
    index = faiss.IndexHNSWFlat(items_ND.shape[1], NEIGHBOURS, faiss.METRIC_INNER_PRODUCT)
    index.hnsw.efConstruction = BUILD_WIDTH
    index.add(items_ND)
    index.hnsw.efSearch = SEARCH_WIDTH
    built = time.perf_counter() - began
    faiss.omp_set_num_threads(1)  # a request is one query; the clients bring the parallelism

    class Answer(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *args: object) -> None:
            """Silence."""

        def do_POST(self) -> None:
            user = self.headers["User"]
            n = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["match_count"]
            scores, found = index.search(vectors[user][None], n + len(seen[user]))
            fresh = ~np.isin(found[0], seen[user])
            rows = [
                {"video": int(video), "score": float(score)}
                for video, score in zip(found[0][fresh][:n], scores[0][fresh][:n], strict=True)
            ]
            content = json.dumps(rows).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

    class Server(ThreadingHTTPServer):
        def get_request(self) -> tuple[socket.socket, Any]:
            connection, where = super().get_request()
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # else each answer waits 40 ms
            return connection, where

    server = Server(("127.0.0.1", 0), Answer)
    pipe.send((server.server_address[1], built))
    server.serve_forever()
