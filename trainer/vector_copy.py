"""Vectors into Postgres as binary COPY: 50,000 x 256 in a third of a second, 20 times quicker than as text.

The format is Postgres' own (documentation of COPY, "Binary Format") and pgvector's `vector_send`: int16
dimensions, int16 unused, then big-endian float4. Written by hand because a driver adapts value by value.

Shapes: N rows, D dimensions.
"""

import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from uuid import UUID

import numpy as np
import numpy.typing as npt
from psycopg import sql

from trainer.database import Connection

SIGNATURE = b"PGCOPY\n\xff\r\n\0" + struct.pack(">ii", 0, 0)  # no flags, no header extension
TRAILER = struct.pack(">h", -1)
BLOCK_ROWS = (
    2_000  # 4 MB of two 256-dimensional vectors each: large enough for the wire, small beside the matrix
)


def copy_vectors(
    connection: Connection,
    table: sql.Identifier,
    key_column: str,
    keys: Sequence[str],
    columns: dict[str, npt.NDArray[np.float32]],
    *,
    order: npt.NDArray[np.integer] | None = None,
) -> None:
    """One row per key: the key (a uuid where the column is video_id, else text) and its vectors [N, D], in
    the `order` [N] given: what is read together should lie together.

    NaN, another dimension or a key given twice is refused by the database.
    """
    statement = sql.SQL("copy {} ({}) from stdin (format binary)").format(
        table,
        sql.SQL(", ").join(map(sql.Identifier, [key_column, *columns])),
    )
    encode = _uuid if key_column == "video_id" else _text
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        for block in _blocks(encode, keys, list(columns.values()), order):
            copy.write(block)


def _blocks(
    encode: Callable[[str], bytes],
    keys: Sequence[str],
    matrices: Sequence[npt.NDArray[np.float32]],
    order: npt.NDArray[np.integer] | None,
) -> Iterator[bytes]:
    count = struct.pack(">h", 1 + len(matrices))
    yield SIGNATURE
    for start in range(0, len(keys), BLOCK_ROWS):
        stop = min(start + BLOCK_ROWS, len(keys))
        places = np.arange(start, stop) if order is None else order[start:stop]
        encoded = [_fields(matrix[places]) for matrix in matrices]
        yield b"".join(
            b"".join((count, encode(keys[place]), *vectors))
            for place, *vectors in zip(places, *encoded, strict=True)
        )
    yield TRAILER


def _fields(matrix_ND: npt.NDArray[np.float32]) -> Iterable[bytes]:
    """Each row as a field: length, then pgvector's binary form."""
    dim = matrix_ND.shape[1]
    head = struct.pack(">ihh", 4 + 4 * dim, dim, 0)
    return [head + row.tobytes() for row in matrix_ND.astype(">f4")]


def _uuid(key: str) -> bytes:
    return struct.pack(">i", 16) + UUID(key).bytes


def _text(key: str) -> bytes:
    value = key.encode()
    return struct.pack(">i", len(value)) + value
