"""The marts as numpy arrays: streamed by COPY, dense integer codes, checked at the door.

Nothing here knows a model; nothing after here knows a database.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from trainer.database import Connection, relation_exists
from trainer.errors import MartError

TRAIN, VAL, TEST, NO_SPLIT = 0, 1, 2, -1
LIKE, DISLIKE, SEEN_ONLY = 1, 0, -1

# Where a mart cannot be trained on, the way out is nearly always one of these two.
BUILD_REMEDY = (
    "run `dbt build --project-dir dbt_project`, and read marts.rpt_interaction_funnel for what was lost"
)


@dataclass(frozen=True)
class Catalogue:
    """Every video of marts.dim_videos, ordered by video_id. Lists and arrays of one length; missing =
    None or nan."""

    video_ids: list[str]
    external_id: list[str | None]
    title: list[str | None]
    description: list[str | None]
    maker: list[str | None]
    label: list[str | None]
    series: list[str | None]
    director: list[str | None]
    genre: list[str | None]
    tags: list[list[str]]
    performers: list[list[str]]
    price: npt.NDArray[np.float64]
    duration_seconds: npt.NDArray[np.float64]
    released_on: npt.NDArray[np.float64]
    """Days since 1970-01-01, nan where unknown."""
    popularity: npt.NDArray[np.float32]
    n_likes: npt.NDArray[np.int32]
    n_dislikes: npt.NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.video_ids)


@dataclass(frozen=True)
class Interactions:
    """marts.fct_interactions as columns, sorted by user, then item; one row per user and video."""

    user_index: npt.NDArray[np.int32]
    item_index: npt.NDArray[np.int32]
    label: npt.NDArray[np.int8]
    """1 like, 0 dislike, -1 seen without a label."""
    weight: npt.NDArray[np.float32]
    occurred_at: npt.NDArray[np.float64]
    """Seconds since 1970-01-01 UTC, nan where unknown."""
    split: npt.NDArray[np.int8]
    """0 train, 1 val, 2 test, -1 none."""
    is_file_split: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.user_index)

    def where(self, mask: npt.NDArray[np.bool_]) -> "Interactions":
        """The rows of a mask, order kept."""
        return Interactions(**{name: column[mask] for name, column in self.__dict__.items()})


@dataclass(frozen=True)
class Mart:
    """All that training may know. `data_hash` names the content: same rows, same hash."""

    catalogue: Catalogue
    user_keys: list[str]
    interactions: Interactions
    data_hash: str


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

USERS_SQL = """
select distinct user_key collate "C" as user_key
from marts.fct_interactions
order by 1
"""

# label 2 stands for "neither 0 nor 1", so that one row with a wrong label is found here and not in a loss
INTERACTIONS_SQL = """
copy (
    with users as (
        select user_key, (row_number() over (order by user_key collate "C") - 1)::int as user_index
        from (select distinct user_key from marts.fct_interactions) as distinct_users
    ),
    videos as (
        select video_id, (row_number() over (order by video_id) - 1)::int as item_index
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

CATALOGUE_SQL = """
select
    video_id::text, external_id, title, description, maker, label, series, director, genre,
    coalesce(tags, '{}'), coalesce(performers, '{}'),
    price::float8, duration_seconds::float8, (released_on - date '1970-01-01')::float8,
    coalesce(popularity, 0)::float8, coalesce(n_likes, 0)::int, coalesce(n_dislikes, 0)::int
from marts.dim_videos
order by video_id
"""


def read_mart(connection: Connection, part: tuple[int, int] = (0, 1)) -> Mart:
    """Everything training needs from `marts`, in one snapshot.

    Of several processes, number `part[0]` of `part[1]` reads the rows of its own users; numbers of users and
    videos are those of the whole. Raises MartError: marts missing, empty, or nothing to learn from (see
    `check_mart`).
    """
    for name in ("marts.fct_interactions", "marts.dim_videos"):
        if not relation_exists(connection, name):
            raise MartError(f"{name} does not exist", "run `dbt build --project-dir dbt_project` first")
    with connection.transaction():
        catalogue = read_catalogue(connection)
        user_keys = [str(row[0]) for row in connection.execute(USERS_SQL)]
        interactions = _read_interactions(connection, part)
    mart = Mart(catalogue, user_keys, interactions, _hash(catalogue, user_keys, interactions))
    if part[1] == 1:  # of a part, process 0 has checked the whole
        check_mart(mart)
    return mart


def check_mart(mart: Mart) -> None:
    """Stop at the door what cannot be trained on: the fact with its value, and the remedy.

    Raises MartError: no rows, a label other than 0/1, a weight that is not a number, fewer than two users or
    videos, no likes in the training split.
    """
    rows = mart.interactions
    if len(rows) == 0:
        raise MartError("marts.fct_interactions is empty", BUILD_REMEDY)
    if bad := int(np.isin(rows.label, (LIKE, DISLIKE, SEEN_ONLY), invert=True).sum()):
        raise MartError(f"{bad} rows of marts.fct_interactions have a label other than 0 and 1", BUILD_REMEDY)
    if bad := int((~np.isfinite(rows.weight) | (rows.weight < 0)).sum()):
        raise MartError(
            f"{bad} rows of marts.fct_interactions have a negative or non-finite weight", BUILD_REMEDY
        )
    likes = (rows.label == LIKE) & (rows.split == TRAIN)
    if not likes.any():
        raise MartError("the training split has no likes", "load reviews with 4 stars or more, or likes")
    if len(np.unique(rows.user_index[likes])) < 2:
        raise MartError("only one user has likes in the training split", "load reviews of more people")
    if len(np.unique(rows.item_index[likes])) < 2:
        raise MartError("only one video has likes in the training split", BUILD_REMEDY)


def make_mart(catalogue: Catalogue, user_keys: list[str], interactions: Interactions) -> Mart:
    """A mart from arrays (tests, benchmarks): sorted, hashed and checked as one that was read."""
    order = np.lexsort((interactions.item_index, interactions.user_index))
    interactions = Interactions(**{name: column[order] for name, column in interactions.__dict__.items()})
    mart = Mart(catalogue, user_keys, interactions, _hash(catalogue, user_keys, interactions))
    check_mart(mart)
    return mart


def read_catalogue(connection: Connection) -> Catalogue:
    """marts.dim_videos, inside the caller's transaction. Raises MartError when it is missing or empty."""
    if not relation_exists(connection, "marts.dim_videos"):
        raise MartError("marts.dim_videos does not exist", "run `dbt build --project-dir dbt_project` first")
    with connection.cursor(name="martello_catalogue") as cursor:
        cursor.itersize = 5000
        cursor.execute(CATALOGUE_SQL)
        columns: list[list[Any]] = [list(column) for column in zip(*cursor, strict=True)]
    if not columns:
        raise MartError(
            "marts.dim_videos is empty", "load a catalogue with `load videos`, then run dbt build"
        )
    (video_ids, external_id, title, description, maker, label, series, director, genre) = columns[:9]
    tags, performers = ([[value for value in row if value] for row in column] for column in columns[9:11])
    price, duration_seconds, released_on = (np.array(column, dtype=np.float64) for column in columns[11:14])
    return Catalogue(
        video_ids=video_ids,
        external_id=external_id,
        title=title,
        description=description,
        maker=maker,
        label=label,
        series=series,
        director=director,
        genre=genre,
        tags=tags,
        performers=performers,
        price=price,
        duration_seconds=duration_seconds,
        released_on=released_on,
        popularity=np.array(columns[14], dtype=np.float32),
        n_likes=np.array(columns[15], dtype=np.int32),
        n_dislikes=np.array(columns[16], dtype=np.int32),
    )


def _read_interactions(connection: Connection, part: tuple[int, int]) -> Interactions:
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


def _hash(catalogue: Catalogue, user_keys: list[str], interactions: Interactions) -> str:
    digest = hashlib.sha256()
    for column in catalogue.__dict__.values():
        digest.update(column.tobytes() if isinstance(column, np.ndarray) else repr(column).encode())
    digest.update("\n".join(user_keys).encode())
    for array in interactions.__dict__.values():
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
