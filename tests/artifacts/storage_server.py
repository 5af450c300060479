"""A server that speaks the Storage API over HTTP, with the answers the real one (1.11, file backend) gave.

Its odd habits are kept: errors as HTTP 400 with the true status in the body, a wrong key that looks like a
missing bucket on download, plain text and true statuses in resumable uploads. `faults` makes it misbehave.
"""

import base64
import json
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.parser import BytesParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

GOOD_KEY = "sb_secret_this_one_may_write"
READ_ONLY_KEY = "sb_secret_without_rights"
PREFIX = "/storage/v1"

ERRORS = {
    "bucket": ("404", "Bucket not found", "Bucket not found"),
    "object": ("404", "not_found", "Object not found"),
    "duplicate": ("409", "Duplicate", "The resource already exists"),
    "large": ("413", "Payload too large", "The object exceeded the maximum allowed size"),
    "key": ("403", "Unauthorized", "Invalid Compact JWS"),
    "rights": ("403", "Unauthorized", "new row violates row-level security policy"),
}


@dataclass
class Fault:
    """For the next `times` requests whose "METHOD path" contains `where`, `act` stands before the server."""

    where: str
    act: Callable[["Handler"], bool]  # True: the request is answered, False: go on as usual
    times: int = 1_000_000


@dataclass
class World:
    """What the server holds and has seen."""

    buckets: dict[str, int | None] = field(default_factory=lambda: {"models": None})  # name -> size limit
    objects: dict[str, bytes] = field(default_factory=dict)  # "bucket/key" -> bytes
    uploads: dict[str, tuple[str, int, bytearray]] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    url: str = ""

    def sent(self, method: str, part: str = "") -> list[str]:
        """The requests of one method whose path contains `part`."""
        return [r for r in self.requests if r.startswith(f"{method} ") and part in r]

    def keys(self, bucket: str = "models") -> list[str]:
        """The keys of a bucket."""
        return sorted(k.removeprefix(f"{bucket}/") for k in self.objects if k.startswith(f"{bucket}/"))


def status(code: int) -> Callable[["Handler"], bool]:
    """Answer with a server fault."""

    def act(handler: "Handler") -> bool:
        handler.body()
        handler.answer_json(
            code, {"statusCode": str(code), "error": "Internal", "message": "Internal Server Error"}
        )
        return True

    return act


def hang(seconds: float) -> Callable[["Handler"], bool]:
    """Say nothing for a while, then close."""

    def act(handler: "Handler") -> bool:
        time.sleep(seconds)
        handler.close_connection = True
        return True

    return act


def truncate_download(handler: "Handler") -> bool:
    """Promise the whole object, send half of it, close."""
    content = handler.world.objects.get(handler.route.removeprefix("/object/"), b"")
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(content)))
    handler.end_headers()
    handler.wfile.write(content[: len(content) // 2])
    handler.close_connection = True
    return True


def truncate_upload(handler: "Handler") -> bool:
    """Keep half of what was sent, and say that all is well."""
    handler.keep = lambda content: content[: len(content) // 2]
    return False


def break_after_piece(handler: "Handler") -> bool:
    """Take half of a piece of a resumable upload, then drop the connection without an answer."""
    content = handler.body()
    handler.world.uploads[handler.route.rsplit("/", 1)[-1]][2].extend(content[: len(content) // 2])
    handler.close_connection = True
    return True


class Handler(BaseHTTPRequestHandler):
    """One request."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else every answer waits 40 ms for an acknowledgement
    wbufsize = 65_536
    world: World
    route: str
    keep: Callable[[bytes], bytes]

    def log_message(self, *args: object) -> None:
        """Silence."""

    def handle_one(self) -> None:
        self.route = unquote(self.path.split("?")[0]).removeprefix(PREFIX)
        self.keep = lambda content: content
        line = f"{self.command} {self.route}"
        self.world.requests.append(line)
        for fault in self.world.faults:
            if fault.times > 0 and fault.where in line:
                fault.times -= 1
                if fault.act(self):
                    return
        getattr(self, f"on_{self.command.lower()}")()

    do_GET = do_POST = do_DELETE = do_HEAD = do_PATCH = handle_one  # noqa: N815 (the names http.server calls)

    def on_get(self) -> None:
        if self.route.startswith("/bucket/"):
            name = self.route.removeprefix("/bucket/")
            if not self.key_is_known():
                return self.refuse("key")
            if name not in self.world.buckets:
                return self.refuse("bucket")
            limit = self.world.buckets[name]
            return self.answer_json(200, {"id": name, "name": name, "owner": None, "file_size_limit": limit})
        bucket, _, key = self.route.removeprefix("/object/").partition("/")
        if not self.key_is_known() or bucket not in self.world.buckets:
            return self.refuse("bucket")
        content = self.world.objects.get(f"{bucket}/{key}")
        return self.refuse("object") if content is None else self.answer(200, content)

    def on_post(self) -> None:
        if self.route == "/upload/resumable":
            return self.announce()
        if self.route.startswith("/object/list/"):
            return self.list()
        content = self.multipart_file()
        bucket, _, key = self.route.removeprefix("/object/").partition("/")
        wrong = self.why_not(bucket, key, len(content))
        if wrong:
            return self.refuse(wrong)
        self.world.objects[f"{bucket}/{key}"] = self.keep(content)
        return self.answer_json(200, {"Key": f"{bucket}/{key}", "Id": str(uuid.uuid4())})

    def on_delete(self) -> None:
        bucket = self.route.removeprefix("/object/")
        gone = [
            key
            for key in json.loads(self.body())["prefixes"]
            if self.world.objects.pop(f"{bucket}/{key}", None) is not None
        ]
        self.answer_json(200, [{"name": key} for key in gone])

    def on_head(self) -> None:
        _, size, held = self.world.uploads[self.route.rsplit("/", 1)[-1]]
        self.answer(200, b"", {"Upload-Offset": str(len(held)), "Upload-Length": str(size)})

    def on_patch(self) -> None:
        content = self.body()
        upload = self.route.rsplit("/", 1)[-1]
        name, size, held = self.world.uploads[upload]
        if int(self.headers["Upload-Offset"]) != len(held):
            return self.answer(409, b"Upload-Offset conflict")
        held.extend(content)
        if len(held) == size:
            self.world.objects[name] = self.keep(bytes(held))
        return self.answer(204, b"", {"Upload-Offset": str(len(held))})

    def announce(self) -> None:
        pairs = dict(part.split(" ") for part in self.headers["Upload-Metadata"].split(","))
        about = {name: base64.b64decode(value).decode() for name, value in pairs.items()}
        size = int(self.headers["Upload-Length"])
        if not self.key_is_known():
            return self.refuse("key")
        wrong = self.why_not(about["bucketName"], about["objectName"], size)
        if wrong:
            code, _, text = ERRORS[wrong]
            return self.answer(int(code), ("Maximum size exceeded" if wrong == "large" else text).encode())
        upload = uuid.uuid4().hex
        self.world.uploads[upload] = (f"{about['bucketName']}/{about['objectName']}", size, bytearray())
        return self.answer(201, b"", {"Location": f"http://inside:5000/upload/resumable/{upload}"})

    def list(self) -> None:
        bucket, asked = self.route.removeprefix("/object/list/"), json.loads(self.body())
        folder = asked["prefix"].rstrip("/") + "/"
        below = [k.removeprefix(folder) for k in self.world.keys(bucket) if k.startswith(folder)]
        names = sorted({name.split("/")[0] for name in below})
        page = names[asked["offset"] : asked["offset"] + asked["limit"]]
        entries = [{"name": name, "id": "x" if name in below else None, "metadata": None} for name in page]
        self.answer_json(200, entries)

    def why_not(self, bucket: str, key: str, size: int) -> str | None:
        if not self.key_is_known():
            return "key"
        if bucket not in self.world.buckets:
            return "bucket"
        if READ_ONLY_KEY in self.headers["Authorization"]:
            return "rights"
        limit = self.world.buckets[bucket]
        if limit is not None and size > limit:
            return "large"
        if f"{bucket}/{key}" in self.world.objects and self.headers.get("x-upsert") != "true":
            return "duplicate"
        return None

    def key_is_known(self) -> bool:
        return self.headers.get("Authorization") in (f"Bearer {GOOD_KEY}", f"Bearer {READ_ONLY_KEY}")

    def multipart_file(self) -> bytes:
        head = f"Content-Type: {self.headers['Content-Type']}\r\n\r\n".encode()
        parts = BytesParser().parsebytes(head + self.body()).get_payload()
        (content,) = (p.get_payload(decode=True) for p in parts if p.get_filename())
        return content

    def body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def refuse(self, what: str) -> None:
        if self.command == "POST" and not self.rfile.closed and what == "key":
            self.close_connection = True
        code, error, message = ERRORS[what]
        self.answer_json(400, {"statusCode": code, "error": error, "message": message})

    def answer_json(self, code: int, content: object) -> None:
        self.answer(code, json.dumps(content).encode(), {"Content-Type": "application/json; charset=utf-8"})

    def answer(self, code: int, content: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(code)
        for name, value in {"Content-Type": "text/plain;charset=UTF-8", **(headers or {})}.items():
            self.send_header(name, value)
        if code != 204:
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


@contextmanager
def storage_server() -> Iterator[World]:
    """A running server with an empty bucket `models`; its address in `.url`."""
    world = World()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (Handler,), {"world": world}))
    server.daemon_threads = True
    world.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield world
    finally:
        server.shutdown()
        server.server_close()
