"""How long a person waits for the two pages: the report to open, the explorer's first list.

    python tests/benchmarks/pages_open.py [REPORT ...]

The explorer is started for the database that DATABASE_URL or libpq's variables name, and asked for the list
of somebody with many likes. A REPORT opens in headless Chromium, whose own start is measured and taken off.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from urllib.parse import quote
from urllib.request import urlopen

from trainer.database import Address, address, connect

TIMES = 3  # the fastest counts: the first one warms the caches of the disk


def explorer(where: Address) -> str:
    """Seconds from the command to the first list, and of a list after that."""
    with connect(where) as connection:
        row = connection.execute(
            "select user_key from marts.dim_users order by n_likes desc, user_key limit 1"
        ).fetchone()
    if row is None:
        return "the explorer has nobody to show"
    environment = {**os.environ, "DATABASE_URL": where.url(with_password=True)}
    began = time.perf_counter()
    with subprocess.Popen(
        [sys.executable, "-u", "-m", "trainer", "explore", "--port", "0"],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None  # it is a pipe
        page = f"{process.stdout.readline().split()[0]}user?user={quote(row[0])}"
        taken = [_ask(page) for _ in range(TIMES + 1)]
        first = time.perf_counter() - began - sum(taken[1:])
        process.terminate()
    return f"explorer: first list {first:.2f} s after the command, the next {min(taken[1:]):.3f} s"


def _ask(page: str) -> float:
    began = time.perf_counter()
    with urlopen(page) as answer:  # the explorer's own address
        answer.read()
    return time.perf_counter() - began


def opened(report: Path) -> str:
    """Size, and seconds until Chromium has laid the report out."""
    size = f"{report.name}: {report.stat().st_size / 1e3:.0f} kB"
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if program is None:
        return f"{size}; no Chromium here to open it with"
    empty, whole = (
        min(_opened(program, url) for _ in range(TIMES)) for url in ("about:blank", report.as_uri())
    )
    return f"{size}, opens in {max(0.0, whole - empty):.2f} s (Chromium itself {empty:.2f} s)"


def _opened(program: str, url: str) -> float:
    with tempfile.TemporaryDirectory() as profile:
        began = time.perf_counter()
        subprocess.run(
            [program, "--headless", "--no-sandbox", f"--user-data-dir={profile}", "--dump-dom", url],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=True,
            timeout=120,
        )
        return time.perf_counter() - began


if __name__ == "__main__":
    print(explorer(address()))
    for path in sys.argv[1:]:
        print(opened(Path(path).resolve()))
