"""Frames hold what the database holds, vectors as arrays, wherever pgvector lives."""

import numpy as np
import pytest

from trainer.database import Address, connect
from trainer.errors import DatabaseError
from trainer.frames import read_frame


@pytest.mark.parametrize("schema", ["public", "extensions"])
def test_vectors_are_arrays(empty_database: Address, schema: str) -> None:
    with connect(empty_database, autocommit=True) as connection:
        connection.execute("create schema if not exists extensions")
        connection.execute(f"create extension vector schema {schema}")
    frame = read_frame(
        f"select %(name)s as name, '[1,2.5]'::{schema}.vector as embedding", {"name": "a"}, empty_database
    )
    assert frame.columns.tolist() == ["name", "embedding"]
    assert frame.name.tolist() == ["a"]
    np.testing.assert_array_equal(frame.embedding[0], np.array([1, 2.5], np.float32))


def test_a_database_without_pgvector_gives_frames_too(empty_database: Address) -> None:
    assert read_frame("select 1 as one", where=empty_database).one.tolist() == [1]


def test_a_bad_query_is_refused_in_one_line(empty_database: Address) -> None:
    with pytest.raises(DatabaseError, match=r"no_such_table") as refused:
        read_frame("select * from no_such_table", where=empty_database)
    assert "\n" not in str(refused.value)
