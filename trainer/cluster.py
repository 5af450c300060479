"""One Postgres data directory of ours: made, started, stopped, recovered, by the account Postgres accepts."""

import contextlib
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from trainer.errors import ServerError

START_TIMEOUT_S = 120  # a crash recovery replays the log first; minutes only after a very large load
SOCKET_PATH_BYTES = 90  # Linux ends a socket's path at 107 bytes, macOS at 103; ".s.PGSQL.54322" is 14 of them

# Written into postgresql.conf when the directory is made, so that a person may edit them there. Each is for a
# developer's machine of 2 cores and 4 GB or more that also trains on it.
SETTINGS = {
    "shared_buffers": "256MB",  # 100,000 vectors of 256 floats are 100 MB: they and their marts stay in memory
    "maintenance_work_mem": "512MB",  # an HNSW graph of 300,000 vectors fits; at 16 MB its build took 3 times as long
    "work_mem": "32MB",  # dbt's windows over some 10 million rows spill little; times 2 workers, times few clients
    "effective_cache_size": "2GB",  # only tells the planner that the file cache is not tiny
    "max_wal_size": "4GB",  # one checkpoint per bulk load instead of one per GB
    "max_connections": "50",  # dbt threads, the trainer, an app and some psql
    "max_parallel_workers_per_gather": "1",  # two cores: the second one helps, a third worker would only queue
    "random_page_cost": "1.1",  # solid-state disks
    "jit": "off",  # compiling costs more than our short queries take
    "timezone": "UTC",  # what every timestamp without a zone means in this project
    "log_timezone": "UTC",
    "password_encryption": "scram-sha-256",
}

# For servers that are thrown away: nothing has to survive a power cut, many run at once.
THROWAWAY_SETTINGS = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "shared_buffers": "64MB",
    "maintenance_work_mem": "64MB",  # several of these servers share one machine
    "autovacuum": "off",  # a plan must not depend on when a background worker came by
}


@dataclass(frozen=True)
class Cluster:
    """A data directory and the binaries of its major version; `account` is the system user when we are root."""

    data: Path
    binaries: Path
    major: int
    account: str | None = None

    @property
    def log(self) -> Path:
        return self.data.with_name(self.data.name + ".log")

    def exists(self) -> bool:
        return (self.data / "PG_VERSION").exists()

    def create(self, password: str, settings: dict[str, str]) -> None:
        """initdb: superuser postgres, scram passwords everywhere, C.UTF-8 so that order is the same on all machines.

        Raises ServerError when the directory holds another major version's data or cannot be made.
        """
        found = (self.data / "PG_VERSION").read_text().strip() if self.exists() else str(self.major)
        if found != str(self.major):
            raise ServerError(
                f"{self.data} holds data of Postgres {found}, and Postgres {self.major} was asked for",
                f"set MARTELLO_PG_VERSION={found} to use it, or move that folder away to begin anew",
            )
        if self.exists():
            return
        self._make_folder()
        with tempfile.NamedTemporaryFile("w", dir=self.data.parent, prefix=".pw") as secret:
            secret.write(password)
            secret.flush()
            self._own(Path(secret.name))
            words = ["-D", str(self.data), "-U", "postgres", f"--pwfile={secret.name}", "--auth=scram-sha-256"]
            words += ["--encoding=UTF8", "--locale=C.UTF-8", "--lc-messages=C"]
            words += [word for name, value in settings.items() for word in ("--set", f"{name}={value}")]
            self._run("initdb", *words)

    def start(self, port: int) -> list[str]:
        """Starts it on 127.0.0.1:`port` and waits until it accepts connections; it outlives this process.

        Returns what had to be put right first (nothing in the usual case). Raises ServerError with the log's reason.
        """
        notes = self._clear_stale_lock()
        self._open_path()
        options = f"-c listen_addresses=127.0.0.1 -c port={port} -c unix_socket_directories={self._socket_folder()}"
        words = ["-D", str(self.data), "-l", str(self.log), "-w", "-t", str(START_TIMEOUT_S), "-o", options]
        deadline = time.monotonic() + 20
        while True:
            begin = self.log.stat().st_size if self.log.exists() else 0
            try:
                self._run("pg_ctl", "start", *words)
                return notes
            except ServerError:
                reason = self._log_since(begin)
                # the children of a killed server still hold its shared memory for a moment
                if "shared memory block" not in reason or time.monotonic() > deadline:
                    raise ServerError(
                        f"Postgres {self.major} did not start on port {port}: {_first_fatal(reason)}",
                        f"read {self.log}",
                    ) from None
                time.sleep(0.3)

    def stop(self, *, immediately: bool = False) -> None:
        """Stops it: `fast` ends the clients' transactions cleanly, `immediate` is for servers thrown away."""
        mode = "immediate" if immediately else "fast"
        self._run("pg_ctl", "stop", "-D", str(self.data), "-w", "-t", str(START_TIMEOUT_S), "-m", mode)

    def process(self) -> psutil.Process | None:
        """The server running from this very directory, or None; a recycled process id does not fool it."""
        lines = self._lock_lines()
        try:
            process = psutil.Process(int(lines[0])) if lines else None
            is_ours = process is not None and "postgres" in process.name() and process.cwd() == str(self.data)
        except (psutil.Error, ValueError):
            return None
        return process if is_ours else None

    def port(self) -> int | None:
        """The port of the running server, as its lock file says."""
        lines = self._lock_lines()
        return int(lines[3]) if len(lines) > 3 and lines[3].strip().isdigit() else None

    def _lock_lines(self) -> list[str]:
        try:
            return (self.data / "postmaster.pid").read_text().splitlines()
        except (FileNotFoundError, NotADirectoryError):
            return []

    def _clear_stale_lock(self) -> list[str]:
        if not self._lock_lines() or self.process() is not None:
            return []
        (self.data / "postmaster.pid").unlink(missing_ok=True)
        return ["it was killed hard the last time; Postgres recovered its data from the log"]

    def _socket_folder(self) -> Path:
        if len(str(self.data).encode()) <= SOCKET_PATH_BYTES:
            return self.data
        folder = Path(tempfile.gettempdir()) / f"martello-{self.data.stat().st_ino}"
        folder.mkdir(mode=0o700, exist_ok=True)
        self._own(folder)
        return folder

    def _make_folder(self) -> None:
        try:
            self.data.mkdir(parents=True, exist_ok=True)
            self.data.chmod(0o700)
            self._own(self.data)
        except OSError as error:
            raise ServerError(f"{self.data} cannot be made: {error.strerror}", "start it in a folder of yours") from None
        self._open_path()

    def _own(self, path: Path) -> None:
        if self.account is not None:
            import pwd  # noqa: PLC0415 - not on Windows, and needed by root only

            entry = pwd.getpwnam(self.account)
            os.chown(path, entry.pw_uid, entry.pw_gid)

    def _open_path(self) -> None:
        """As root: lets the account pass through (not list) the folders above the data and the binaries."""
        if self.account is None:
            return
        self.log.touch()
        self._own(self.log)
        for folder in {*self.data.parents, *self.binaries.parents}:
            mode = folder.stat().st_mode
            if not mode & 0o001:
                folder.chmod(mode | 0o001)

    def _run(self, program: str, *words: str) -> None:
        # not a pipe: the server would inherit it, and reading would wait for the server's end
        with tempfile.TemporaryFile("w+") as said:
            try:
                subprocess.run(
                    [str(self.binaries / program), *words],
                    check=True,
                    stdin=subprocess.DEVNULL,
                    stdout=said,
                    stderr=said,
                    cwd=self.data,
                    user=self.account,
                    group=self.account,  # not root's: it would be judged by the group's rights on our folders
                    extra_groups=None if self.account is None else [],
                    env={k: v for k, v in os.environ.items() if not k.startswith(("PG", "LC_", "LANG"))},
                )
            except OSError as error:
                raise ServerError(
                    f"{program} cannot be run as {self.account or 'this user'}: {error.strerror}",
                    f"make {self.binaries.parent} readable for it (chmod -R o+rX)",
                ) from None
            except subprocess.CalledProcessError:
                said.seek(0)
                raise ServerError(f"{program} failed: {_first_fatal(said.read())}", f"read {self.log}") from None

    def _log_since(self, position: int) -> str:
        if not self.log.exists():
            return ""
        with self.log.open("rb") as lines:
            lines.seek(position)
            return lines.read().decode(errors="replace")


def _first_fatal(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    telling = [line for line in lines if "FATAL" in line or "error:" in line or "could not" in line]
    return (telling or lines or ["it said nothing"])[0]


@contextlib.contextmanager
def throwaway_cluster(cluster: Cluster, password: str, port: int) -> Iterator[None]:
    """The cluster made, running for the block, and stopped without ceremony after it."""
    cluster.create(password, SETTINGS | THROWAWAY_SETTINGS)
    cluster.start(port)
    try:
        yield
    finally:
        cluster.stop(immediately=True)
