"""How long `dbt build` takes as rows grow, and beside it pandas and Polars doing a part of it outside.

    python tests/benchmarks/marts_scale.py DATA [--copies 5 --copies 44] [--without-pandas]

DATA is a folder with MovieTweetings' interactions.csv.gz and items.csv.gz. 5 copies give 0.67 million
reviews, 44 give 5.9 million. Everything runs on a throw-away Postgres, one after the other. Seconds
depend on the machine; the ratios are of one run. `dbt` builds all marts, reports and tests; `dbt join` what
the others make: fct_interactions and all it needs. Then come 1 % new lines, drawn evenly, and 1 % of some
users; and a full refresh, whose marts must be those of the builds before it, by count and sum of hashes.
Beside it: what Postgres wrote into temporary files, and every model whose plan pairs more than a hundred rows
with more than a hundred others without an index.
"""

import argparse
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
from marts_outside import with_pandas, with_polars
from marts_plans import quadratic_plans
from marts_rows import review_batches, videos

from trainer import migrations, server
from trainer.database import Address, connect
from trainer.transform import BuildSummary, dbt_build

DBT_JOBS: dict[str, dict[str, Any]] = {
    "dbt": {},
    "dbt join": {"select": ["+fct_interactions"]},
    "dbt anew": {"full_refresh": True},
}
MARTS = (
    "fct_interactions",
    "fct_user_histories",
    "dim_videos",
    "dim_users",
    "rpt_interaction_funnel",
    "rpt_data_quality",
)


# 1 % of a frame of reviews, in two ways
PARTS: dict[str, Callable[[pd.DataFrame], pd.DataFrame]] = {
    "drawn evenly": lambda frame: frame.iloc[::100],
    "of one user in a hundred": lambda frame: frame[frame["reviewer_id"].str.endswith("00")],
}


def fill(where: Address, data: Path, copies: int, load: int = 1, part: str | None = None) -> int:
    """COPY of the catalogue (first load) and of the reviews, or of a part of them; returns the lines."""
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
            rows = (PARTS[part](frame) if part else frame).copy()
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
    if job in DBT_JOBS:
        queue.put(report(dbt_build(where, target=target, **DBT_JOBS[job]), where))
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


def contents(where: Address) -> dict[str, tuple[int, int]]:
    """Rows and the sum of their hashes, per mart: equal for equal rows in any order."""
    with connect(where) as connection:
        found = {}
        for name in MARTS:
            statement = f"select count(*), sum(hashtextextended(t::text, 0)) from marts.{name} as t"
            found[name] = connection.execute(statement.encode()).fetchone() or (0, 0)
    return found


def clone(where: Address, name: str) -> Address:
    """The same database once more, as it is now."""
    admin = Address(where.parameters | {"dbname": "postgres"})
    with connect(admin, autocommit=True) as connection:
        source = where.parameters["dbname"]
        connection.execute(f"create database {name} template {source} strategy file_copy".encode())
    return Address(where.parameters | {"dbname": name})


def measure(where: Address, data: Path, copies: int, jobs: list[str], target: Path) -> float:
    migrations.migrate(where)
    began = time.monotonic()
    lines = fill(where, data, copies)
    print(f"{lines:,} reviews: generated and loaded in {time.monotonic() - began:.1f} s", flush=True)
    places = {"dbt join": clone(where, "joined")}
    seconds: dict[str, float] = {}
    for job in jobs:
        place = places.get(job, where)
        before = spilled(place)
        seconds[job], rows, peak = timed(job, place, target)
        ratio = "".join(
            f", {seconds[job] / seconds[name]:.2f} x {name}" for name in DBT_JOBS if name in seconds
        )
        print(
            f"   {job:8} {seconds[job]:7.1f} s{ratio}; {rows:,} rows, {lines / seconds[job]:,.0f} lines/s,"
            f" {peak:.0f} MB, {spilled(place) - before:,.0f} MB in temporary files",
            flush=True,
        )
        if job == "dbt":
            plans = quadratic_plans(where, target)
            print(f"   plans that pair rows with rows: {plans or 'none'}", flush=True)
    with connect(Address(where.parameters | {"dbname": "postgres"}), autocommit=True) as connection:
        connection.execute(b"drop database joined")
    build_again(where, data, copies, seconds["dbt"], target)
    return seconds["dbt"] / lines


def build_again(where: Address, data: Path, copies: int, first_seconds: float, target: Path) -> None:
    """After 1 % more lines, in each of two ways; stops where a full refresh differs."""
    for load, part in enumerate(PARTS, 2):
        more = fill(where, data, copies, load, part)
        again, _, _ = timed("dbt", where, target)
        with connect(where) as connection:
            row = connection.execute(
                "select count(*), count(*) - count(user_no) from martello_intermediate.int_changed_users"
            ).fetchone() or (0, 0)
        users = "everybody" if row[1] else f"{row[0]:,} users"
        print(
            f"   again    {again:7.1f} s after {more:,} more lines {part} ({users}):"
            f" {again / first_seconds:.2f} of the first",
            flush=True,
        )
    kept = contents(where)
    anew, _, _ = timed("dbt anew", where, target)
    different = [name for name, content in contents(where).items() if content != kept[name]]
    if different:
        sys.exit(f"a full refresh has other rows in {', '.join(different)}")
    print(f"   anew     {anew:7.1f} s: the same {len(kept)} marts, row by row", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--copies", type=int, action="append")
    parser.add_argument("--without-pandas", action="store_true")
    options = parser.parse_args()
    jobs = ["dbt", "dbt join", "polars"] + ([] if options.without_pandas else ["pandas"])
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
