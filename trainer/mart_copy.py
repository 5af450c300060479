"""marts.fct_interactions by binary COPY: tuples of one width, read as a numpy structured array."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from trainer.database import Connection
from trainer.mart_columns import Interactions

# A binary COPY tuple of seven non-null columns has a fixed width, so the stream is a numpy structured array:
# int16 number of fields, then int32 length + big-endian value per field.
TUPLE_DTYPE = np.dtype(
    [("n_fields", ">i2")]
    + [
        part
        for name, kind in (
            ("user", ">i4"),
            ("item", ">i4"),
            ("label", ">i2"),
            ("weight", ">f4"),
            ("occurred_at", ">f8"),
            ("split", ">i2"),
            ("is_file_split", "i1"),
        )
        for part in ((f"{name}_length", ">i4"), (name, kind))
    ]
)
COPY_HEADER_BYTES = 19  # signature (11), flags (4), length of the header extension (4), none of it used by us

# Videos in the order of CATALOGUE_SQL (mart.py): by the catalogue's own ids, so that the same files give the
# same model; those of the app are drawn anew in every database.
# label 2 stands for "neither 0 nor 1", so that one row with a wrong label is found here and not in a loss.
INTERACTIONS_SQL = """
copy (
    with users as (
        select user_key, (row_number() over (order by user_key collate "C") - 1)::int as user_index
        from (select distinct user_key from marts.fct_interactions) as distinct_users
    ),
    videos as (
        select
            video_id,
            (row_number() over (order by external_id collate "C", video_id) - 1)::int as item_index
        from marts.dim_videos
    )
    select
        users.user_index,
        videos.item_index,
        (case
            when interactions.label is null then -1
            when interactions.label in (0, 1) then interactions.label
            else 2
        end)::smallint,
        coalesce(interactions.weight, 1)::real,
        coalesce(extract(epoch from interactions.occurred_at)::float8, 'NaN'::float8),
        (case interactions.split
            when 'train' then 0 when 'val' then 1 when 'test' then 2 else -1
        end)::smallint,
        coalesce(interactions.is_split_from_file, false)
    from marts.fct_interactions as interactions
    inner join users on users.user_key = interactions.user_key
    inner join videos on videos.video_id = interactions.video_id
    where users.user_index %% %s = %s
) to stdout (format binary)
"""


def read_interactions(connection: Connection, part: tuple[int, int]) -> Interactions:
    """The rows of the users of `part` (number, of how many), sorted by user, then video."""
    with connection.cursor() as cursor, cursor.copy(INTERACTIONS_SQL, (part[1], part[0])) as stream:
        blocks = [np.frombuffer(block, TUPLE_DTYPE) for block in _whole_tuples(iter(stream))]
    rows = np.concatenate(blocks) if blocks else np.empty(0, TUPLE_DTYPE)
    del blocks
    order = np.lexsort((rows["item"], rows["user"]))
    return Interactions(
        user_index=rows["user"][order].astype(np.int32),
        item_index=rows["item"][order].astype(np.int32),
        label=rows["label"][order].astype(np.int8),
        weight=rows["weight"][order].astype(np.float32),
        occurred_at=rows["occurred_at"][order].astype(np.float64),
        split=rows["split"][order].astype(np.int8),
        is_file_split=rows["is_file_split"][order].astype(np.bool_),
    )


def _whole_tuples(stream: Iterator[Any], block_bytes: int = 1 << 22) -> Iterator[bytes]:
    """The stream cut into blocks of whole tuples, without the header and the two-byte end mark."""
    buffer = bytearray()
    skip, width = COPY_HEADER_BYTES, TUPLE_DTYPE.itemsize
    for part in stream:
        buffer += part
        if skip and len(buffer) >= skip:
            del buffer[:skip]
            skip = 0
        if not skip and len(buffer) >= block_bytes:
            cut = len(buffer) // width * width
            yield bytes(buffer[:cut])
            del buffer[:cut]
    if cut := len(buffer) // width * width:
        yield bytes(buffer[:cut])
