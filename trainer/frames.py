"""Marts, evaluations and vectors as pandas frames, for notebooks and for people.

from trainer.frames import read_frame
read_frame("select outcome, n_rows, share from marts.rpt_interaction_funnel")
read_frame("select video_id, embedding from public.video_embeddings limit %(n)s", {"n": 10})
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import pandas as pd
from pgvector import HalfVector, Vector
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from trainer.database import Address, address, engine
from trainer.errors import DatabaseError


def read_frame(
    query: str, parameters: Mapping[str, Any] | None = None, where: Address | None = None
) -> pd.DataFrame:
    """The rows of a query over a pooled connection; a vector or halfvec is a numpy array.

    Parameters are named, `%(name)s`. Raises DatabaseError with the database's own first line.
    """
    try:
        with _pool(where or address()).connect() as connection:
            cursor = connection.exec_driver_sql(query, dict(parameters or {}))
            rows = [tuple(_plain(value) for value in row) for row in cursor.fetchall()]
            return pd.DataFrame.from_records(rows, columns=list(cursor.keys()))
    except DBAPIError as error:
        said = " ".join(str(error.orig).split())
        raise DatabaseError(
            f"the query was refused: {said}", "correct it, or run `dbt build` first"
        ) from None


def _plain(value: Any) -> Any:
    return value.to_numpy() if isinstance(value, Vector | HalfVector) else value


@lru_cache(maxsize=4)
def _pool_of(parameters: frozenset[tuple[str, str]]) -> Engine:
    return engine(Address(dict(parameters)))


def _pool(where: Address) -> Engine:
    return _pool_of(frozenset(where.parameters.items()))
