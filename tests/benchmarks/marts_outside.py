"""The same join, labels, newest opinion and split outside the database: pandas as one writes it, and Polars.

Both take the rows out of Postgres and put the result back with a primary key: a mart is there to be queried.
"""

import io
import time

import pandas as pd
import polars as pl

from trainer.database import Address, connect, engine

REVIEWS = "select product_url, reviewer_id, stars, reviewed_at, line_number from raw.reviews"
VIDEOS = "select id::text as video_id, external_id from public.videos where external_id is not null"
PATTERN = r"/title/(tt[0-9]+)"
COLUMNS = ["user_key", "video_id", "label", "occurred_at", "split"]


def write_back(where: Address, table: str, rows: bytes | memoryview) -> None:
    with connect(where) as connection:
        connection.execute(f"drop table if exists {table}".encode())
        connection.execute(
            f"create table {table} (user_key text not null, video_id uuid not null, label smallint,"
            " occurred_at timestamptz, split text)".encode()
        )
        with connection.cursor().copy(f"copy {table} from stdin (format csv)".encode()) as copy:
            copy.write(rows)
        connection.execute(f"alter table {table} add primary key (user_key, video_id)".encode())


def with_pandas(where: Address) -> tuple[float, int]:
    """Seconds and rows. read_sql as everybody writes it; COPY on the way back, or it would take an hour."""
    began = time.monotonic()
    reviews = pd.read_sql(REVIEWS, engine(where))
    videos = pd.read_sql(VIDEOS, engine(where))
    reviews["external_id"] = reviews["product_url"].str.extract(PATTERN, expand=False).str.lower()
    rows = reviews.merge(videos, on="external_id", how="inner")
    rows["stars"] = pd.to_numeric(rows["stars"], errors="coerce")
    rows = rows[(rows["stars"] > 0) & (rows["stars"] <= 5)]
    rows["occurred_at"] = pd.to_datetime(
        pd.to_numeric(rows["reviewed_at"], errors="coerce"), unit="s", utc=True
    )
    rows["user_key"] = "review:" + rows["reviewer_id"].str.strip()
    rows = rows.sort_values(["user_key", "video_id", "occurred_at", "line_number"], na_position="first")
    rows = rows.drop_duplicates(["user_key", "video_id"], keep="last")
    rows["label"] = pd.Series(pd.NA, index=rows.index, dtype="Int8")
    rows.loc[rows["stars"] >= 4, "label"] = 1
    rows.loc[rows["stars"] <= 2, "label"] = 0
    labelled = rows[rows["label"].notna()].copy()
    labelled["lot"] = pd.util.hash_pandas_object(
        labelled["user_key"] + " " + labelled["external_id"], index=False
    )
    by_user = labelled.groupby("user_key")["lot"]
    place, n_rows = by_user.rank(method="first"), by_user.transform("size")
    n_val = (n_rows * 0.2).astype(int).clip(lower=1).where(n_rows > 1, 0)
    rows["split"] = (place <= n_val).map({True: "val", False: "train"})
    write_back(where, "public.outside_pandas", rows[COLUMNS].to_csv(index=False, header=False).encode())
    return time.monotonic() - began, len(rows)


def read_with_copy(where: Address, query: str) -> pl.DataFrame:
    buffer = io.BytesIO()
    statement = f"copy ({query}) to stdout (format csv, header)".encode()
    with connect(where) as connection, connection.cursor().copy(statement) as copy:
        for block in copy:
            buffer.write(block)
    buffer.seek(0)
    return pl.read_csv(buffer, infer_schema=False)


def with_polars(where: Address) -> tuple[float, int]:
    """Seconds and rows; COPY both ways, lazy in between."""
    began = time.monotonic()
    stars = pl.col("stars").cast(pl.Float64, strict=False)
    rows = (
        read_with_copy(where, REVIEWS)
        .lazy()
        .with_columns(
            external_id=pl.col("product_url").str.extract(PATTERN).str.to_lowercase(),
            user_key="review:" + pl.col("reviewer_id").str.strip_chars(),
            occurred_at=pl.from_epoch(pl.col("reviewed_at").cast(pl.Int64, strict=False)),
            line_number=pl.col("line_number").cast(pl.Int64),
            stars=stars,
        )
        .filter((pl.col("stars") > 0) & (pl.col("stars") <= 5))
        .join(read_with_copy(where, VIDEOS).lazy(), on="external_id", how="inner")
        .sort("occurred_at", "line_number", nulls_last=False)
        .unique(["user_key", "video_id"], keep="last", maintain_order=False)
        .with_columns(
            label=pl.when(pl.col("stars") >= 4).then(1).when(pl.col("stars") <= 2).then(0).cast(pl.Int8),
            lot=(pl.col("user_key") + " " + pl.col("external_id")).hash(),
        )
        .with_columns(
            place=pl.col("lot").rank("ordinal").over("user_key", pl.col("label").is_null()),
            n_rows=pl.len().over("user_key", pl.col("label").is_null()),
        )
        .with_columns(
            n_val=pl.when(pl.col("n_rows") > 1)
            .then((pl.col("n_rows") * 0.2).floor().clip(lower_bound=1))
            .otherwise(0)
        )
        .with_columns(
            split=pl.when(pl.col("label").is_null())
            .then(None)
            .when(pl.col("place") <= pl.col("n_val"))
            .then(pl.lit("val"))
            .otherwise(pl.lit("train"))
        )
        .select(COLUMNS)
        .collect()
    )
    buffer = io.BytesIO()
    rows.write_csv(buffer, include_header=False)
    write_back(where, "public.outside_polars", buffer.getbuffer())
    return time.monotonic() - began, len(rows)
