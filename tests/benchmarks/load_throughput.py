"""How fast and in how much memory `load reviews` takes a large file, beside COPY of the same bytes alone.

    python tests/benchmarks/load_throughput.py [ROWS, default 5.9 million]

A throw-away server on a free port, without fsync. Each case runs in its own process, so that its peak
memory is its own. `copy alone` is the floor: the same file streamed into the same columns, no line numbers,
no checks.
"""

import gzip
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from trainer import migrations, server
from trainer.database import Address, address, connect
from trainer.load import load_file

HEADER = "product_url,reviewer_id,stars,timestamp\n"
ROWS = 5_900_000


def synthetic_lines(n_rows: int) -> Iterator[str]:
    """Lines like a real file's, 65 bytes on average; numbers from two coprime steps, so no two are alike."""
    for row in range(n_rows):
        video, person = row * 7_919 % 100_003, row * 104_729 % 900_001
        yield f"https://www.imdb.com/title/tt{video:07d}/,u{person},{row % 5 + 1},{1_362_062_307 + row}\n"


def write_files(folder: Path, n_rows: int) -> dict[str, Path]:
    files = {name: folder / f"{name}.csv" for name in ("plain", "quoted", "gzip")}
    with files["plain"].open("w") as plain, files["quoted"].open("w") as quoted:
        plain.write(HEADER)
        quoted.write(HEADER)
        for line in synthetic_lines(n_rows):
            plain.write(line)
            quoted.write('"' + line.rstrip().replace(",", '","') + '"\n')
    with files["plain"].open("rb") as plain_bytes, gzip.open(files["gzip"], "wb", compresslevel=1) as packed:
        while block := plain_bytes.read(1 << 20):
            packed.write(block)
    return files


def copy_alone(where: Address, path: Path) -> int:
    statement = (
        "copy raw.reviews (product_url, reviewer_id, stars, reviewed_at) from stdin (format csv, header)"
    )
    columns = "load_id drop not null, alter column line_number drop not null"
    with connect(where) as connection, path.open("rb") as file:
        connection.execute(f"alter table raw.reviews alter column {columns}")
        with connection.cursor() as cursor:
            with cursor.copy(statement) as copy:
                while block := file.read(1 << 20):
                    copy.write(block)
            return cursor.rowcount


def measure(case: str, path: Path) -> None:
    """One case in this process; prints a table row."""
    where = address()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began, cpu = time.monotonic(), time.process_time()
    if case == "copy alone":
        n_rows = copy_alone(where, path)
    else:
        with connect(where) as connection:
            n_rows = load_file(connection, "reviews", path).n_rows
    seconds, cpu = time.monotonic() - began, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(
        f"{case:12} {n_rows:>11,} rows {seconds:6.1f} s {n_rows / seconds:>11,.0f} rows/s"
        f" python {cpu:5.1f} s cpu, {peak / 1024:4.0f} MB peak ({before / 1024:.0f} before)",
        flush=True,
    )


def main() -> None:
    if len(sys.argv) > 2:
        measure(sys.argv[1], Path(sys.argv[2]))
        return
    n_rows = int(sys.argv[1]) if len(sys.argv) > 1 else ROWS
    with tempfile.TemporaryDirectory() as folder, server.throwaway() as where:
        files = write_files(Path(folder), n_rows)
        for case, path in {"copy alone": files["plain"], **files}.items():
            with connect(where, autocommit=True) as admin:
                admin.execute("drop database if exists bench")
                admin.execute("create database bench")
            target = Address(where.parameters | {"dbname": "bench"})
            migrations.migrate(target)
            subprocess.run([sys.executable, __file__, case, str(path)], check=True, env=target.environ())


if __name__ == "__main__":
    main()
