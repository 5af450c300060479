"""How exactly a table of vectors is kept in a file, so that the file stays under the limit of every reader.

Float32 while it fits; then float16; then one signed byte per coordinate with one scale per row; then the same
on the first R coordinates of a rotation that puts the variance in front. A rotation leaves every cosine as it
is, so what is lost is only what the dropped coordinates held. `model_meta.json` states the form and its cost.

Shapes: N rows of a table, D dimensions, R coordinates kept.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from trainer.errors import StorageError

Floats = npt.NDArray[np.float32]

# Supabase's default limit per object is 50 MB, and so is the seed's target; decimal, so that it holds for
# both readings of "MB". A larger limit changes nothing: a browser must still load the file.
LIMIT_BYTES = 50_000_000
# Names, shapes and metadata of a graph around its tables; 6 kB were seen.
GRAPH_BYTES = 20_000
# Under 32 coordinates of one byte the ranking is another one: such a catalogue is read from Postgres.
MIN_COORDINATES = 32
SCALE_BYTES = 4


@dataclass(frozen=True)
class Table:
    """Rows as stored: `codes` (N, R) float32, float16 or int8; for int8 also `scales` (N,) float32.

    `axes` (R, D), when coordinates were dropped, turns rows back: vectors = rows @ axes.
    """

    codes: npt.NDArray[np.generic]
    scales: Floats | None = None
    axes: Floats | None = None

    def rows(self) -> Floats:
        """The rows as a graph sees them, (N, R) float32."""
        rows_NR = self.codes.astype(np.float32)
        return rows_NR if self.scales is None else rows_NR * self.scales[:, None]

    def vectors(self) -> Floats:
        """The rows in their own D dimensions again."""
        return self.rows() if self.axes is None else self.rows() @ self.axes


@dataclass(frozen=True)
class Precision:
    """What was chosen: `form` is float32, float16 or int8; `coordinates` is R, 0 where there is no table."""

    form: str
    coordinates: int


def fit_tables(
    tables: Sequence[Floats], limit_bytes: int, *, one_rotation: bool = False
) -> tuple[list[Table], Precision]:
    """Tables (N, D) in the most exact form that takes at most `limit_bytes` together.

    With `one_rotation` all of them are turned alike, so that dot products across tables need no turning back.
    Raises StorageError when even `MIN_COORDINATES` bytes per row do not fit.
    """
    n_rows, dimension = sum(map(len, tables)), tables[0].shape[1]
    room = limit_bytes // max(n_rows, 1)  # bytes per row
    for kind, width in ((np.float32, 4), (np.float16, 2)):
        if dimension * width <= room:
            return [Table(table.astype(kind)) for table in tables], Precision(kind.__name__, dimension)
    kept = min(dimension, room - SCALE_BYTES)
    if kept < dimension:
        turning = sum(0 if one_rotation else 4 * dimension * kept for _ in tables)
        kept = min(dimension, (limit_bytes - turning) // n_rows - SCALE_BYTES)
    if kept < MIN_COORDINATES:
        raise StorageError(
            f"{n_rows} vectors of {dimension} dimensions do not fit {max(limit_bytes, 0) / 1e6:.1f} MB",
            "serve from Postgres, or train on fewer users and videos",
        )
    if kept == dimension:
        return [_in_bytes(table) for table in tables], Precision("int8", dimension)
    groups = [tables] * len(tables) if one_rotation else [[table] for table in tables]
    axes = [_leading_axes(group, kept) for group in groups]
    shrunk = [_in_bytes(table @ own.T, own) for table, own in zip(tables, axes, strict=True)]
    return shrunk, Precision("int8", kept)


def _in_bytes(rows_NR: Floats, axes: Floats | None = None) -> Table:
    scales_N = np.abs(rows_NR).max(axis=1) / 127.0
    codes_NR = np.rint(rows_NR / np.where(scales_N > 0, scales_N, 1.0)[:, None])
    return Table(codes_NR.astype(np.int8), scales_N.astype(np.float32), axes)


def _leading_axes(tables: Sequence[Floats], kept: int) -> Floats:
    """The (R, D) orthonormal axes that hold most of the tables' variance, each table counting the same."""
    moments_DD = sum(table.T @ table / max(len(table), 1) for table in tables)
    _, axes_DD = np.linalg.eigh(np.asarray(moments_DD, dtype=np.float64))
    return np.ascontiguousarray(axes_DD[:, ::-1][:, :kept].T, dtype=np.float32)
