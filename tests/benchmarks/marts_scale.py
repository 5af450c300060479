"""How long `dbt build` takes as rows grow, and beside it pandas and Polars doing a part of it outside.

    python tests/benchmarks/marts_scale.py DATA [--copies 5 --copies 44] [--without-pandas]

DATA is a folder with MovieTweetings' interactions.csv.gz and items.csv.gz. 5 copies give 0.67 million
reviews, 44 give 5.9 million. Everything runs on a throw-away Postgres, one after the other. Seconds
depend on the machine; the ratios are of one run. dbt builds all marts, reports and tests; the others only
what fct_interactions holds. Beside it: what Postgres wrote into temporary files, and every model whose plan
pairs more than a hundred rows with more than a hundred others without an index.
"""

import argparse
import re
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import psutil
from marts_outside import with_pandas, with_polars
from marts_rows import review_batches, videos

from trainer import migrations, server
from trainer.database import Address, connect
from trainer.transform import BuildSummary, dbt_build


def fill(where: Address, data: Path, copies: int, load: int = 1, only_every: int = 1) -> int:
    """COPY of the catalogue (first load) and of the reviews, or of every n-th of them; returns the lines."""
    with connect(where) as connection, connection.cursor() as cursor:
        if load == 1:
            frame = videos(data)
            frame.insert(
                0, "id", [str(uuid.uuid5(uuid.NAMESPACE_URL, name)) for name in frame["external_id"]]
            )
            with cursor.copy(
                "copy public.videos (id, external_id, title, maker, product_url) from stdin (format csv)"
            ) as copy:
                copy.write(frame.drop(columns="tags").to_csv(index=False, header=False))
            cursor.execute("create temp table named (video_id uuid, tags text)")
            with cursor.copy("copy named from stdin (format csv)") as copy:
                copy.write(frame[["id", "tags"]].to_csv(index=False, header=False))
            cursor.execute(
                "insert into public.tags (name) select distinct unnest(string_to_array(tags, '|')) from named"
            )
            cursor.execute(
                "insert into public.video_tags select distinct named.video_id, tags.id from named"
                " cross join unnest(string_to_array(named.tags, '|')) as tag"
                " inner join public.tags on tags.name = tag"
            )
        line = 2
        for frame in review_batches(data, copies, seed=load):
            rows = frame.iloc[::only_every].copy()
            rows.insert(0, "line_number", range(line, line + len(rows)))
            rows.insert(0, "load_id", load)
            line += len(rows)
            with cursor.copy(
                "copy raw.reviews (load_id, line_number, product_url, reviewer_id, stars, reviewed_at)"
                " from stdin (format csv)"
            ) as copy:
                copy.write(rows.to_csv(index=False, header=False))
        cursor.execute(
            "insert into raw.loads (kind, file_name, sha256, n_rows) values ('reviews', 'scale.csv', %s, %s)",
            [f"{load:064}", line - 2],
        )
    return line - 2


def timed(job: str, where: Address, target: Path) -> tuple[float, int, float]:
    """Seconds, rows and peak MB of one job in a process of its own."""
    queue = get_context("spawn").SimpleQueue()
    process = get_context("spawn").Process(target=run, args=(job, where, target, queue))
    process.start()
    peak = 0
    watched = psutil.Process(process.pid)
    while process.is_alive():
        try:
            peak = max(peak, watched.memory_info().rss)
        except psutil.NoSuchProcess:
            break
        process.join(0.2)
    if process.exitcode:
        sys.exit(f"{job} failed")
    seconds, rows = queue.get()
    return seconds, rows, peak / 2**20


def run(job: str, where: Address, target: Path, queue: Any) -> None:
    if job == "dbt":
        queue.put(report(dbt_build(where, target=target), where))
    else:
        queue.put({"pandas": with_pandas, "polars": with_polars}[job](where))


def report(built: BuildSummary, where: Address) -> tuple[float, int]:
    slowest = sorted(built.model_seconds.items(), key=lambda item: -item[1])[:6]
    print("   slowest:", ", ".join(f"{name} {seconds:.1f} s" for name, seconds in slowest), flush=True)
    with connect(where) as connection:
        row = connection.execute("select count(*) from marts.fct_interactions").fetchone()
    return built.seconds, int(row[0]) if row else 0


def spilled(where: Address) -> float:
    """MB in temporary files so far; the statistics are a second late."""
    time.sleep(1.5)
    with connect(where) as connection:
        row = connection.execute(
            "select temp_bytes / 1e6 from pg_stat_database where datname = current_database()"
        ).fetchone()
    return float(row[0]) if row else 0.0


def quadratic_plans(where: Address, target: Path) -> list[str]:
    """Models whose plan, on the data as it is now, pairs rows with rows in a nested loop without an index."""
    found = []
    with connect(where, autocommit=True) as connection:
        for path in sorted((target / "target" / "compiled" / "martello" / "models").rglob("*.sql")):
            statement = path.read_text(encoding="utf-8").strip()
            if not re.match(r"(--|with|select|\()", statement):
                continue
            [(plan,)] = connection.execute(f"explain (format json) {statement}".encode()).fetchall()
            if any(pairs_rows(node) for node in nodes(plan[0]["Plan"])):
                found.append(path.stem)
    return found


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for part in plan.get("Plans", []):
        yield from nodes(part)


def pairs_rows(node: dict[str, Any]) -> bool:
    """A nested loop that reads all of its inner side for every outer row, where both are more than a few."""
    if node["Node Type"] != "Nested Loop":
        return False
    outer, inner = node["Plans"][:2]
    is_looked_up = any("Index" in part["Node Type"] for part in nodes(inner))
    return not is_looked_up and min(outer["Plan Rows"], inner["Plan Rows"]) > 100


def measure(where: Address, data: Path, copies: int, jobs: list[str], target: Path) -> float:
    migrations.migrate(where)
    began = time.monotonic()
    lines = fill(where, data, copies)
    print(f"{lines:,} reviews: generated and loaded in {time.monotonic() - began:.1f} s", flush=True)
    seconds = {}
    for job in jobs:
        before = spilled(where)
        seconds[job], rows, peak = timed(job, where, target)
        ratio = f", {seconds[job] / seconds['dbt']:.2f} x dbt" if job != "dbt" else ""
        rate = lines / seconds[job]
        print(
            f"   {job:7} {seconds[job]:7.1f} s{ratio}; {rows:,} rows, {rate:,.0f} lines/s, {peak:.0f} MB,"
            f" {spilled(where) - before:,.0f} MB in temporary files",
            flush=True,
        )
        if job == "dbt":
            print(
                f"   plans that pair rows with rows: {quadratic_plans(where, target) or 'none'}", flush=True
            )
    more = fill(where, data, copies, load=2, only_every=100)
    again, _, _ = timed("dbt", where, target)
    print(
        f"   again   {again:7.1f} s after {more:,} more lines: {again / seconds['dbt']:.2f} of the first",
        flush=True,
    )
    return seconds["dbt"] / lines


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--copies", type=int, action="append")
    parser.add_argument("--without-pandas", action="store_true")
    options = parser.parse_args()
    jobs = ["dbt", "polars"] + ([] if options.without_pandas else ["pandas"])
    with server.throwaway() as admin, tempfile.TemporaryDirectory() as folder:
        for copies in options.copies or [5, 44]:
            name = f"scale_{copies}"
            with connect(admin, autocommit=True) as connection:
                connection.execute(f"create database {name}".encode())
            where = Address(admin.parameters | {"dbname": name})
            per_line = measure(where, options.data, copies, jobs, Path(folder))
            print(f"   dbt: {per_line * 1e6:.1f} microseconds per line", flush=True)


if __name__ == "__main__":
    main()
