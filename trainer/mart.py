"""The marts as numpy arrays: streamed by COPY, dense integer codes, checked at the door.

Nothing here knows a model; nothing after here knows a database.
"""

import hashlib
from typing import Any

import numpy as np

from trainer.database import Connection, relation_exists
from trainer.errors import MartError
from trainer.mart_columns import (
    DISLIKE,
    LIKE,
    NO_SPLIT,
    SEEN_ONLY,
    TEST,
    TRAIN,
    VAL,
    Catalogue,
    Interactions,
    Mart,
)
from trainer.mart_copy import TUPLE_DTYPE, read_interactions

__all__ = [  # the columns too: who works with a mart imports from here
    "BUILD_REMEDY",
    "CATALOGUE_SQL",
    "DISLIKE",
    "LIKE",
    "NO_SPLIT",
    "SEEN_ONLY",
    "TEST",
    "TRAIN",
    "TUPLE_DTYPE",
    "VAL",
    "Catalogue",
    "Interactions",
    "Mart",
    "check_mart",
    "make_mart",
    "read_catalogue",
    "read_mart",
]

# Where a mart cannot be trained on, the way out is nearly always one of these two.
BUILD_REMEDY = (
    "run `dbt build --project-dir dbt_project`, and read marts.rpt_interaction_funnel for what was lost"
)

USERS_SQL = """
select distinct user_key collate "C" as user_key
from marts.fct_interactions
order by 1
"""

CATALOGUE_SQL = """
select
    video_id::text, external_id, title, description, maker, label, series, director, genre,
    coalesce(tags, '{}'), coalesce(performers, '{}'),
    price::float8, duration_seconds::float8, (released_on - date '1970-01-01')::float8,
    coalesce(popularity, 0)::float8, coalesce(n_likes, 0)::int, coalesce(n_dislikes, 0)::int
from marts.dim_videos
order by external_id collate "C", video_id
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
        interactions = read_interactions(connection, part)
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


def _hash(catalogue: Catalogue, user_keys: list[str], interactions: Interactions) -> str:
    digest = hashlib.sha256()
    for column in catalogue.__dict__.values():
        digest.update(column.tobytes() if isinstance(column, np.ndarray) else repr(column).encode())
    digest.update("\n".join(user_keys).encode())
    for array in interactions.__dict__.values():
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
