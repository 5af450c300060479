"""What is missing or broken in the data: counts, each with the whole it is a part of."""

from typing import NamedTuple

from trainer.database import Connection, relation_exists


class Count(NamedTuple):
    """One figure about the data: what is counted, how many, of how many (0: a count, not a share)."""

    name: str
    n: int
    of: int


# (what is counted, condition); the fields of a video that the item tower reads
VIDEO_GAPS = (
    ("videos without a maker", "maker is null"),
    ("videos without a tag", "cardinality(tags) = 0"),
    ("videos without a performer", "cardinality(performers) = 0"),
    ("videos without a description", "description is null"),
    ("videos without a price", "price is null"),
    ("videos without a length", "duration_seconds is null"),
    ("videos without a release date", "released_on is null"),
    ("videos nobody liked in training", "n_likes = 0"),
)
ROW_COUNTS = (
    ("interactions: likes", "label = 1"),
    ("interactions: dislikes", "label = 0"),
    ("interactions: only seen", "is_seen_only"),
    ("interactions without a time", "occurred_at is null"),
)

LINE_FAULTS = (
    ("n_rejected", "lines that could not be read"),
    ("n_unreadable_times", "lines with an unreadable time"),
    ("n_future_times", "lines with a time in the future"),
    ("n_unreadable_splits", "lines with an unknown word for the split"),
)


def read_quality(connection: Connection) -> list[Count]:
    """Interactions by kind, gaps of the catalogue, what was left out and what could not be read."""
    counts: list[Count] = []
    for table, rows in (("marts.fct_interactions", ROW_COUNTS), ("marts.dim_videos", VIDEO_GAPS)):
        if relation_exists(connection, table):
            wanted = ", ".join(f"count(*) filter (where {condition})" for _, condition in rows)
            query = f"select count(*), {wanted} from {table}"  # noqa: S608  # our own constants
            row = connection.execute(query.encode()).fetchone()
            whole, *parts = row or (0,) * (len(rows) + 1)
            counts += [Count(name, int(n), int(whole)) for (name, _), n in zip(rows, parts, strict=True)]
    users = "select count(*) from marts.dim_users where is_suspicious"
    counts.append(Count("suspicious users, left out", count(connection, users, "marts.dim_users"), 0))
    for column, name in LINE_FAULTS:
        query = f"select coalesce(sum({column}), 0) from marts.rpt_data_quality"  # noqa: S608  # our own constants
        counts.append(Count(name, count(connection, query, "marts.rpt_data_quality"), 0))
    return counts


def count(connection: Connection, query: str, relation: str) -> int:
    """The one number of a query; 0 where its relation is not there yet."""
    if not relation_exists(connection, relation):
        return 0
    row = connection.execute(query.encode()).fetchone()
    return int(row[0]) if row else 0
