"""The embedded server, for real: started, killed, started twice, met by strangers on its port."""

import contextlib
import multiprocessing
import os
import pwd
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

from trainer import server
from trainer.database import Address, connect
from trainer.errors import ServerError
from trainer.ports import free_port


@pytest.fixture
def scratch() -> Iterator[Path]:
    """Not pytest's own folder: the next pytest of the same user closes that to Postgres's account."""
    with server.scratch_folder() as folder:
        yield folder


@pytest.fixture
def data(scratch: Path) -> Iterator[Path]:
    """A place for a data directory; whatever runs from it at the end is stopped."""
    folder = scratch / ".martello" / "postgres"
    yield folder
    with contextlib.suppress(ServerError):
        server.stop(folder)


@pytest.fixture(scope="module")
def running(
    postgres_version: int,
) -> Iterator[tuple[Path, server.Server]]:
    """One durable server that the tests which only look at it share."""
    with server.scratch_folder() as folder:
        yield folder / "postgres", server.start(free_port(), folder / "postgres", postgres_version)
        server.stop(folder / "postgres")


def port_of(address: Address) -> int:
    return int(address.parameters["port"])


def postmaster(data: Path) -> psutil.Process:
    return psutil.Process(int((data / "postmaster.pid").read_text().split()[0]))


def test_started_server_is_ours_and_a_second_start_uses_it(running: tuple[Path, server.Server]) -> None:
    data, first = running
    assert first.is_embedded and not first.was_running
    assert "killed hard" not in str(first)
    again = server.start(port_of(first.address), data)
    assert again.is_embedded and again.was_running
    assert server.status(port_of(first.address), data) == again


def test_it_listens_on_loopback_only_and_wants_the_password(running: tuple[Path, server.Server]) -> None:
    data, started = running
    heard = {
        c.laddr.ip for c in postmaster(data).net_connections() if c.status == psutil.CONN_LISTEN and c.laddr
    }
    assert heard == {"127.0.0.1", *(ip for ip in heard if "PGSQL" in ip)}
    for host in ("127.0.0.1", str(data)):
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(host=host, port=port_of(started.address), user="postgres", password="wrong")
    with connect(started.address) as connection:
        assert connection.execute("show password_encryption").fetchone() == ("scram-sha-256",)
        assert connection.execute("show fsync").fetchone() == ("on",)


@pytest.mark.parametrize("sslmode", ["disable", "allow", "prefer"])
def test_it_is_reached_with_every_sslmode_that_does_not_insist(
    running: tuple[Path, server.Server], sslmode: str
) -> None:
    address = Address(running[1].address.parameters | {"sslmode": sslmode})
    with connect(address) as connection:
        assert connection.execute("select 1").fetchone() == (1,)


def test_other_port_is_refused_while_it_runs(running: tuple[Path, server.Server]) -> None:
    data, started = running
    with pytest.raises(ServerError, match=rf"runs already, on port {port_of(started.address)}"):
        server.start(free_port(), data)


def test_a_postgres_that_is_there_is_used(server_address: Address, data: Path) -> None:
    found = server.start(port_of(server_address), data)
    assert not found.is_embedded and found.was_running
    assert "not started from this folder" in str(found)
    assert not data.exists()


def test_a_postgres_that_refuses_us_is_named(running: tuple[Path, server.Server], data: Path) -> None:
    address = running[1].address
    with connect(address, autocommit=True) as connection:
        connection.execute("alter role postgres password 'something else'")
        try:
            with pytest.raises(ServerError, match="password authentication failed") as refused:
                server.start(port_of(address), data)
        finally:
            connection.execute("alter role postgres password 'postgres'")
    assert "DATABASE_URL" in str(refused.value)


@pytest.mark.parametrize("answer", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b""])
def test_port_taken_by_something_else(data: Path, answer: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as stranger:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    client, _ = stranger.accept()
                    client.sendall(answer)
                    client.close()

        threading.Thread(target=serve, daemon=True).start()
        port = stranger.getsockname()[1]
        with pytest.raises(ServerError, match=f"port {port} .* not Postgres"):
            server.start(port, data)
        with pytest.raises(ServerError, match="not Postgres"):
            server.status(port, data)
    assert not data.exists()


def test_nothing_runs(data: Path) -> None:
    assert server.status(free_port(), data) is None
    with pytest.raises(ServerError, match="no embedded Postgres runs"):
        server.stop(data)
    assert not data.parent.exists()


def test_killed_hard_it_recovers_with_its_data(data: Path, postgres_version: int) -> None:
    port = free_port()
    first = server.start(port, data, postgres_version)
    with connect(first.address) as connection:
        connection.execute("create table kept as select 7 as n")
    victim = postmaster(data)
    victim.kill()
    victim.wait()
    second = server.start(port, data, postgres_version)
    assert not second.was_running
    assert "killed hard" in str(second)
    with connect(second.address) as connection:
        assert connection.execute("select n from kept").fetchone() == (7,)
    assert "has stopped" in server.stop(data)


def test_a_recycled_process_id_does_not_stop_it(data: Path, postgres_version: int) -> None:
    """After a reboot the lock file's process id may be any program's of the same user."""
    port = free_port()
    server.start(port, data, postgres_version)
    lock = (data / "postmaster.pid").read_text().splitlines()
    victim = postmaster(data)
    victim.kill()
    victim.wait()
    with subprocess.Popen(["sleep", "100"], user=data.stat().st_uid) as stranger:
        (data / "postmaster.pid").write_text("\n".join([str(stranger.pid), *lock[1:]]) + "\n")
        with pytest.raises(ServerError, match="no embedded Postgres runs"):
            server.stop(data)
        assert server.start(port, data, postgres_version).is_embedded
        assert stranger.poll() is None
        stranger.kill()


def test_two_starts_at_once_make_one_server(data: Path, postgres_version: int) -> None:
    port = free_port()
    words = [sys.executable, "-c", START, str(port), str(data), str(postgres_version)]
    starts = [subprocess.Popen(words, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    said = sorted(start.communicate()[0].strip() for start in starts)
    assert [start.returncode for start in starts] == [0, 0, 0]
    # their processes have ended, and it is still there
    found = server.status(port, data)
    assert found is not None and found.is_embedded
    assert said == ["False", "True", "True"]


START = """
import sys
from pathlib import Path
from trainer import server
print(server.start(int(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])).was_running)
"""


def test_interrupted_initdb_leaves_nothing_that_looks_like_a_database(
    data: Path, postgres_version: int
) -> None:
    unfinished = data.with_name(data.name + ".unfinished")
    unfinished.mkdir(parents=True)
    (unfinished / "PG_VERSION").write_text("18\n")
    assert server.start(free_port(), data, postgres_version).is_embedded
    assert not unfinished.exists()


@pytest.mark.parametrize(
    ("found", "asked", "remedy"), [("16", 18, "choose 16"), ("15", None, "move that folder away")]
)
def test_data_of_another_major_version(data: Path, found: str, asked: int | None, remedy: str) -> None:
    data.mkdir(parents=True)
    (data / "PG_VERSION").write_text(f"{found}\n")
    with pytest.raises(ServerError, match=f"holds data of Postgres {found}, not 18") as refused:
        server.start(free_port(), data, asked)
    assert remedy in refused.value.remedy


def test_version_comes_from_the_environment(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data.mkdir(parents=True)
    (data / "PG_VERSION").write_text("18\n")
    monkeypatch.setenv("MARTELLO_PG_VERSION", "16")
    with pytest.raises(ServerError, match="holds data of Postgres 18, not 16"):
        server.start(free_port(), data)
    monkeypatch.setenv("MARTELLO_PG_VERSION", "seventeen")
    with pytest.raises(ServerError, match="MARTELLO_PG_VERSION is 'seventeen'"):
        server.start(free_port(), data)


def test_a_start_that_fails_gives_the_logs_reason(data: Path, postgres_version: int) -> None:
    port = free_port()
    server.start(port, data, postgres_version)
    server.stop(data)
    with (data / "postgresql.conf").open("a") as settings:
        settings.write("shared_buffers = lots\n")
    with pytest.raises(ServerError, match=r"did not start .*shared_buffers.*postgres\.log"):
        server.start(port, data, postgres_version)


def test_project_folder_is_found_from_below(tmp_path: Path) -> None:
    (tmp_path / ".martello").mkdir()
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    assert server.project_folder(below) == tmp_path
    (below / "dbt_project").mkdir()
    assert server.project_folder(below) == below


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ServerError, match="cannot be written: File exists"):
        server.start(free_port(), tmp_path / "file" / "postgres")


@pytest.mark.skipif(
    os.geteuid() != 0, reason="only root has to stand in somebody; else every test here is the user's"
)
def test_root_opens_the_way_and_says_so(scratch: Path, postgres_version: int) -> None:
    closed = scratch / "closed"
    closed.mkdir(mode=0o700)
    started = server.start(free_port(), closed / "postgres", postgres_version)
    server.stop(closed / "postgres")
    assert "may now pass through" in str(started) and f"{closed} (chmod o+x)" in str(started)
    assert closed.stat().st_mode & 0o777 == 0o701


@pytest.mark.skipif(
    os.geteuid() != 0, reason="only root can become an ordinary user; else every test here is one"
)
def test_an_ordinary_user_starts_it_and_root_can_stop_it(
    scratch: Path, postgres_version: int, server_address: Address
) -> None:
    account = pwd.getpwnam(server.ACCOUNT)
    scratch.chmod(0o711)
    own = scratch / "own"
    own.mkdir()
    os.chown(own, account.pw_uid, account.pw_gid)
    data = own / "postgres"

    def as_account() -> None:
        os.setgroups([])
        os.setgid(account.pw_gid)
        os.setuid(account.pw_uid)
        os.chdir(own)
        assert server.start(free_port(), data, postgres_version).is_embedded
        server.stop(data)
        server.start(free_port(), data)

    child = multiprocessing.get_context("fork").Process(target=as_account)
    child.start()
    child.join()
    assert child.exitcode == 0
    assert data.owner() == server.ACCOUNT
    assert "has stopped" in server.stop(data)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes accounts")
def test_processes_that_make_the_account_at_the_same_time(scratch: Path) -> None:
    """Two workers of pytest on a new machine do."""
    name = f"martello{os.getpid()}"
    program = (
        "import sys; from trainer import server; server.ACCOUNT = sys.argv[1]; print(flush=True); input();"
        " print(server._account_of(server.Path(sys.argv[2])))"
    )
    words = [sys.executable, "-c", program, name, str(scratch / "data")]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    processes = [subprocess.Popen(words, **pipes) for _ in range(6)]
    try:
        for process in processes:
            process.stdout.readline()
        for process in processes:
            process.stdin.write("\n")
            process.stdin.flush()
        made = {process.communicate()[0].strip() for process in processes}
        account = pwd.getpwnam(name)
        assert made == {str((account.pw_uid, account.pw_gid))}
    finally:
        subprocess.run(["userdel", name], check=True, capture_output=True)


def test_ctrl_c_does_not_reach_it(running: tuple[Path, server.Server]) -> None:
    """A terminal interrupts its whole process group; the server is in one of its own."""
    assert os.getpgid(postmaster(running[0]).pid) != os.getpgid(0)
