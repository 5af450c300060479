"""The weekly run, step by step as train.yml has it: seconds and peak memory of each, twice in a row.

    python tests/benchmarks/weekly_run.py [FOLDER]

The steps are the workflow's own commands, each in a shell of its own, against a throw-away server: the first
week finds nothing, the second a champion. EPOCHS and EMBEDDING_DIM are the workflow's inputs, here from the
environment. FOLDER holds `items.csv.gz` and `reviews.csv.gz`; without it the bundled sample is used, a
quarter of its people as users of the app. Memory is that of the command's largest process; the server's is
beside it: the largest sum of what its processes hold for themselves. At the end, how long the pages take.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path

import pages_open
import pandas as pd
import psutil
import yaml

from trainer import demo_data, migrations, server
from trainer.database import Address, connect
from trainer.load import load_files

REPOSITORY = Path(__file__).resolve().parents[2]
NEEDED = ("dbt_project", "profiles.yml")


def main(data: Path | None, weeks: int) -> None:
    with tempfile.TemporaryDirectory() as name, server.throwaway() as address:
        folder = Path(name)
        for item in NEEDED:
            (folder / item).symlink_to(REPOSITORY / item)
        began = time.perf_counter()
        migrations.migrate(address)
        fill(address, data, folder)
        print(f"loaded in {time.perf_counter() - began:.1f} s, the database takes {size_of(address)}")
        for week in range(1, weeks + 1):
            print(f"week {week}")
            total = sum(run(step, address, folder) for step in steps())
            print(f"  {'all':28} {total:6.1f} s", flush=True)
        print(f"the database takes {size_of(address)} with marts and {weeks} versions")
        for report in sorted(folder.rglob("report.html")):
            print(pages_open.opened(report))
        print(pages_open.explorer(address))


def steps() -> list[tuple[str, str]]:
    """(name, shell script) of the workflow, without the installation and what only tells of failures."""
    read = yaml.safe_load((REPOSITORY / ".github/workflows/train.yml").read_text())
    found = [step for step in read["jobs"]["train"]["steps"] if "run" in step]
    return [
        (step["name"], step["run"])
        for step in found
        if step["name"] != "Install" and "failure()" not in str(step.get("if", ""))
    ]


def run(step: tuple[str, str], address: Address, folder: Path) -> float:
    """One step; prints it; its seconds. A refusal (exit status 3) is an outcome, anything else ends here."""
    name, script = step
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "DATABASE_URL": address.url(with_password=True),
        "GITHUB_OUTPUT": str(folder / "output"),
        "GITHUB_STEP_SUMMARY": str(folder / "summary"),
        "DBT_TARGET_PATH": str(folder / "target"),
        "DBT_LOG_PATH": str(folder / "logs"),
    }
    held: list[int] = []
    over = threading.Event()
    watcher = threading.Thread(target=watch, args=(postmaster_of(address), held, over))
    began = time.perf_counter()
    watcher.start()
    process = subprocess.Popen(
        ["bash", "-e", "-c", script], cwd=folder, env=environment, stdout=subprocess.PIPE, text=True
    )
    said = process.stdout.read() if process.stdout else ""
    _, status, used = os.wait4(process.pid, 0)
    taken = time.perf_counter() - began
    over.set()
    watcher.join()
    code = os.waitstatus_to_exitcode(status)
    if code not in (0, 3):
        sys.exit(f"{name} ended with {code}:\n{said[-2000:]}")
    stages = [line.strip() for line in said.splitlines() if line.startswith("read ")]
    print(
        f"  {name:28} {taken:6.1f} s, {used.ru_maxrss / 1e3:6.0f} MB;"
        f" server {max(held, default=0) / 1e6:6.0f} MB"
        + ("" if code == 0 else "; the gate refused")
        + "".join(f"\n    {line}" for line in stages),
        flush=True,
    )
    return taken


def watch(postmaster: psutil.Process, held: list[int], over: threading.Event) -> None:
    """Every half second what the server's processes hold for themselves, shared buffers not counted."""
    while not over.wait(0.5):
        total = 0
        for process in postmaster.children():
            with suppress(psutil.NoSuchProcess):
                memory = process.memory_info()
                total += memory.rss - memory.shared
        held.append(total)


def postmaster_of(address: Address) -> psutil.Process:
    with connect(address) as connection:
        row = connection.execute("show data_directory").fetchone()
    assert row is not None
    return psutil.Process(int(Path(row[0], "postmaster.pid").read_text().split()[0]))


def size_of(address: Address) -> str:
    with connect(address) as connection:
        row = connection.execute("select pg_size_pretty(pg_database_size(current_database()))").fetchone()
    assert row is not None
    return str(row[0])


def fill(address: Address, data: Path | None, folder: Path) -> None:
    videos, reviews = demo_data.VIDEOS_FILE, folder / "reviews.csv"
    if data:
        items = pd.read_csv(data / "items.csv.gz", dtype=str).rename(columns={"item_id": "external_id"})
        videos, reviews = folder / "videos.csv", data / "reviews.csv.gz"
        items[["external_id", "product_url", "title", "maker", "tags", "performers"]].to_csv(
            videos, index=False
        )
    else:
        demo_data.write_reviews(reviews)
    with connect(address) as connection:
        for kind, path in (("videos", videos), ("reviews", reviews)):
            for summary in load_files(connection, kind, [path]):
                print("\n".join(summary.lines()))
        if not data:
            print(f"{demo_data.insert_decisions(connection):,} decisions of app users")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("data", type=Path, nargs="?")
    parser.add_argument("--weeks", type=int, default=2)
    arguments = parser.parse_args()
    main(arguments.data, arguments.weeks)
