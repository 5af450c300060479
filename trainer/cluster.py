"""One Postgres data directory of ours: made, started, stopped, recovered, by an account Postgres accepts."""

import os
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from trainer.errors import ServerError
from trainer.ports import LOOPBACK

START_TIMEOUT_S = 120  # a crash recovery replays the log first; minutes only after a very large load
ORPHANS_TIMEOUT_S = 20  # the children of a killed server notice its death within seconds
SOCKET_PATH_BYTES = 85  # sockets' paths end at 103 bytes on macOS, 107 on Linux; ".s.PGSQL.54322.lock" is 19

# C.UTF-8: text sorts by code point, the same on every machine. From 17 on Postgres brings that order itself.
LOCALE = {
    16: ["--locale=C.UTF-8"],
    18: ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"],
}

# Written into postgresql.conf when the directory is made, so that a person may edit them there. They are for
# a developer's machine of 2 cores and 4 GB or more that also trains on it.
SETTINGS = {
    "shared_buffers": "256MB",  # 100,000 vectors of 256 floats are 100 MB: they and the marts fit
    "maintenance_work_mem": "512MB",  # an HNSW graph of 300,000 vectors (3 times as slow in 16 MB)
    "work_mem": "32MB",  # windows over 10 million rows spill little; few clients and 2 workers multiply it
    "effective_cache_size": "2GB",  # only tells the planner that the file cache is not tiny
    "max_wal_size": "4GB",  # a bulk load makes a checkpoint per 4 GB instead of per 1 GB
    "wal_level": "minimal",  # a new table is synced at its commit, not logged row by row
    "max_wal_senders": "0",  # asked for by wal_level: nobody follows this server
    "max_connections": "50",  # dbt's threads, the trainer, an app and some psql
    "max_parallel_workers_per_gather": "1",  # of two cores one is the query's own
    "random_page_cost": "1.1",  # solid-state disks
    "jit": "off",  # compiling costs more than our short queries take
    "timezone": "UTC",  # what a timestamp without a zone means in this project
    "log_timezone": "UTC",
    "password_encryption": "scram-sha-256",
}

# For servers that are thrown away: nothing has to survive a power cut, and several run at once.
THROWAWAY_SETTINGS = SETTINGS | {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "shared_buffers": "64MB",
    "maintenance_work_mem": "64MB",
    "autovacuum": "off",  # a plan must not depend on when a background worker came by
}


@dataclass(frozen=True)
class Cluster:
    """A data directory and the binaries of its major version; `account` (uid, gid): whom to be when root."""

    data: Path
    binaries: Path
    major: int
    account: tuple[int, int] | None = None

    @property
    def log(self) -> Path:
        return self.data.with_name(self.data.name + ".log")

    def exists(self) -> bool:
        return (self.data / "PG_VERSION").exists()

    def create(self, password: str, settings: dict[str, str], *, is_durable: bool = True) -> list[str]:
        """initdb, where there is nothing yet: superuser postgres, scram passwords on every way in.

        It is made beside its place and moved there when complete, so that an interrupted one is never taken
        for a database. Returns what had to be put right; raises ServerError when it cannot be made.
        """
        if self.exists():
            return []
        unfinished = self.data.with_name(self.data.name + ".unfinished")
        try:
            shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.mkdir(parents=True, mode=0o700)
            self._hand_over(unfinished)
            self.log.touch()
            self._hand_over(self.log)
        except OSError as error:
            raise ServerError(
                f"{self.data} cannot be made: {error.strerror}", "start it in a folder of yours"
            ) from None
        notes = self.open_way()
        with tempfile.NamedTemporaryFile("w", dir=self.data.parent, prefix=".password-") as secret:
            secret.write(password)
            secret.flush()
            self._hand_over(Path(secret.name))
            words = ["-D", str(unfinished), "-U", "postgres", f"--pwfile={secret.name}"]
            words += ["--auth=scram-sha-256", "--encoding=UTF8", "--lc-messages=C", *LOCALE[self.major]]
            words += [] if is_durable else ["--no-sync"]
            words += [word for name, value in settings.items() for word in ("--set", f"{name}={value}")]
            self._run("initdb", *words)
        unfinished.rename(self.data)
        return notes

    def start(self, port: int) -> list[str]:
        """Starts it on 127.0.0.1:`port` and waits until it accepts connections; it outlives this process.

        Returns what was put right first (usually nothing). Raises ServerError with the reason the log gives.
        """
        notes = [*self._clear_stale_lock(), *self.open_way()]
        options = (
            f"-c listen_addresses={LOOPBACK} -c port={port} -c unix_socket_directories='{self._sockets()}'"
        )
        words = ["-D", str(self.data), "-l", str(self.log), "-w", "-t", str(START_TIMEOUT_S), "-o", options]
        deadline = time.monotonic() + ORPHANS_TIMEOUT_S
        while True:
            position = self.log.stat().st_size if self.log.exists() else 0
            try:
                self._run("pg_ctl", "start", *words)
                return notes
            except ServerError:
                reason = self._logged_since(position)
                if "shared memory block" in reason and time.monotonic() < deadline:
                    time.sleep(0.3)  # the killed server's children still hold it
                    continue
                raise ServerError(
                    f"Postgres {self.major} did not start on port {port}: {_telling_line(reason)}",
                    f"read {self.log}",
                ) from None

    def stop(self, *, immediately: bool = False) -> None:
        """Stops it: open transactions are rolled back, then a checkpoint; `immediately` does without."""
        mode = "immediate" if immediately else "fast"
        self._run("pg_ctl", "stop", "-D", str(self.data), "-w", "-t", str(START_TIMEOUT_S), "-m", mode)

    def is_running(self) -> bool:
        """Whether a server runs from this very directory; a recycled process id does not fool it."""
        lines = self._lock_lines()
        try:
            process = psutil.Process(int(lines[0]))
            return "postgres" in process.name() and Path(process.cwd()) == self.data
        except (psutil.NoSuchProcess, ValueError, IndexError):
            return False
        except psutil.AccessDenied:
            return True  # somebody else's process by that name: leave it alone

    def port(self) -> int | None:
        """The port in the lock file: the running server's."""
        lines = self._lock_lines()
        return int(lines[3]) if len(lines) > 3 and lines[3].strip().isdigit() else None

    def open_way(self) -> list[str]:
        """As root: lets the account pass through (not list) the folders above its data and binaries."""
        if self.account is None:
            return []
        closed = [
            folder
            for folder in sorted({*self.data.parents, *self.binaries.parents})
            if not folder.stat().st_mode & 0o001
        ]
        for folder in closed:
            folder.chmod(folder.stat().st_mode | 0o001)
        names = ", ".join(str(folder) for folder in closed)
        return [
            f"other users may now pass through {names} (chmod o+x): Postgres does not run as root"
        ] * bool(closed)

    def _lock_lines(self) -> list[str]:
        try:
            return (self.data / "postmaster.pid").read_text().splitlines()
        except OSError:
            return []

    def _clear_stale_lock(self) -> list[str]:
        if not self._lock_lines() or self.is_running():
            return []
        (self.data / "postmaster.pid").unlink()
        return ["it was killed hard the last time and has recovered"]

    def _sockets(self) -> Path:
        if len(str(self.data).encode()) <= SOCKET_PATH_BYTES:
            return self.data
        folder = Path(tempfile.gettempdir()) / f"martello-{self.data.stat().st_ino}"
        folder.mkdir(mode=0o700, exist_ok=True)
        self._hand_over(folder)
        return folder

    def _hand_over(self, path: Path) -> None:
        if self.account is not None:
            os.chown(path, *self.account)

    def _run(self, program: str, *words: str) -> None:
        uid, gid = self.account or (None, None)
        # a file, not a pipe: the server inherits it, and reading a pipe would wait for the server's end
        with tempfile.TemporaryFile("w+") as said:
            try:
                subprocess.run(
                    [str(self.binaries / program), *words],
                    check=True,
                    stdin=subprocess.DEVNULL,
                    stdout=said,
                    stderr=said,
                    cwd=self.data.parent,
                    user=uid,
                    group=gid,  # not root's: folders would judge it by the rights of their group
                    extra_groups=None if gid is None else [],
                    env={k: v for k, v in os.environ.items() if not k.startswith(("PG", "LC_", "LANG"))},
                )
            except OSError as error:
                raise ServerError(
                    f"{program} cannot be run: {error.strerror}",
                    f"make {self.binaries.parent} readable for the user that runs it (chmod -R o+rX)",
                ) from None
            except subprocess.CalledProcessError:
                said.seek(0)
                raise ServerError(
                    f"{program} failed: {_telling_line(said.read())}", f"read {self.log}"
                ) from None

    def _logged_since(self, position: int) -> str:
        if not self.log.exists():
            return ""
        with self.log.open("rb") as lines:
            lines.seek(position)
            return lines.read().decode(errors="replace")


def _telling_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    signs = ("FATAL", "error:", "could not", "invalid value", "unrecognized")
    telling = [line for line in lines if any(sign in line for sign in signs)]
    return (telling or lines or ["it said nothing"])[0]
