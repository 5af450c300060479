"""How exactly a table of vectors is kept in a file, so that the file stays under the limit of every reader.

Float32 while it fits; then float16; then one signed byte per coordinate with one scale per row; then the same
on the first R coordinates of a rotation that puts the variance in front (a rotation leaves every cosine as it
is, so what is lost is only what the dropped ones held); then half a byte for each of twice as many.
`model_meta.json` states the form and its cost.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from trainer import half_bytes
from trainer.errors import StorageError

Floats = npt.NDArray[np.float32]

# Supabase's default limit per object is 50 MB, and so is the seed's target; decimal, so that it holds for
# both readings of "MB". A larger limit changes nothing: a browser must still load the file.
LIMIT_BYTES = 50_000_000
# Names, shapes and metadata of a graph around its tables; 6 kB were seen.
GRAPH_BYTES = 20_000
# Bytes for fewer coordinates than this share rank worse than half bytes for twice as many.
# Top 20 kept on movielens-2149u (256): 97 % by 223 bytes, 85 % by 114, 90 % by 256 half bytes, 89 % by 228.
BYTE_SHARE = 5 / 8
# Under 32 coordinates the ranking is another one: such a catalogue is read from Postgres.
MIN_COORDINATES = 32
SCALE_BYTES = 4


@dataclass(frozen=True)
class Table:
    """Rows as stored: `codes` (N, R) float32, float16 or int8, or (N, R/2) uint8 with two coordinates each.

    Integers come with `scales` (N,) float32. `axes` (R, D), when coordinates were dropped, turns rows back:
    vectors = rows @ axes.
    """

    codes: npt.NDArray[np.generic]
    scales: Floats | None = None
    axes: Floats | None = None

    @property
    def is_packed(self) -> bool:
        """Whether a byte holds two coordinates."""
        return self.codes.dtype == np.uint8

    def rows(self) -> Floats:
        """The rows as a graph sees them, (N, R) float32."""
        codes = half_bytes.unpack(self.codes.astype(np.uint8)) if self.is_packed else self.codes
        rows_NR = codes.astype(np.float32)
        return rows_NR if self.scales is None else rows_NR * self.scales[:, None]

    def vectors(self) -> Floats:
        """The rows in their own D dimensions again."""
        return self.rows() if self.axes is None else self.rows() @ self.axes


@dataclass(frozen=True)
class Precision:
    """What was chosen: `form` is float32, float16, int8 or int4; `coordinates` is R, 0 without a table."""

    form: str
    coordinates: int


def fit_tables(
    tables: Sequence[Floats], limit_bytes: int, *, one_rotation: bool = False
) -> tuple[list[Table], Precision]:
    """Tables (N, D) in the most exact form that takes at most `limit_bytes` together.

    With `one_rotation` all of them are turned alike, so that dot products across tables need no turning back.
    Raises StorageError when even `MIN_COORDINATES` half bytes per row do not fit.
    """
    n_rows, dimension = sum(map(len, tables)), tables[0].shape[1]
    room = limit_bytes // max(n_rows, 1)  # bytes per row
    for kind, width in ((np.float32, 4), (np.float16, 2)):
        if dimension * width <= room:
            return [Table(table.astype(kind)) for table in tables], Precision(kind.__name__, dimension)
    if room >= dimension + SCALE_BYTES:
        return [_in_integers(table) for table in tables], Precision("int8", dimension)
    kept, is_packed = _coordinates(tables, limit_bytes, False, one_rotation), False
    if kept < BYTE_SHARE * dimension:
        kept, is_packed = _coordinates(tables, limit_bytes, True, one_rotation), True
    if kept < MIN_COORDINATES:
        raise StorageError(
            f"{n_rows} vectors of {dimension} dimensions do not fit {max(limit_bytes, 0) / 1e6:.1f} MB",
            "serve from Postgres, or train on fewer users and videos",
        )
    turned = [tables] * len(tables) if one_rotation else [[table] for table in tables]
    axes = [_spread(_leading_axes(group, kept)) for group in turned]
    pairs = zip(tables, axes, strict=True)
    shrunk = [_in_integers(table @ own.T, own, is_packed=is_packed) for table, own in pairs]
    return shrunk, Precision("int4" if is_packed else "int8", kept)


def _coordinates(tables: Sequence[Floats], limit_bytes: int, is_packed: bool, one_rotation: bool) -> int:
    """R for which rows, scales and axes fit; even where two coordinates share a byte."""
    n_rows, dimension = sum(map(len, tables)), tables[0].shape[1]
    per_byte = 2 if is_packed else 1
    kept = min(dimension, per_byte * (limit_bytes // max(n_rows, 1) - SCALE_BYTES))
    if kept < dimension or is_packed:
        turning = sum(0 if one_rotation else 4 * dimension * kept for _ in tables)
        kept = min(dimension, per_byte * ((limit_bytes - turning) // n_rows - SCALE_BYTES))
    return int(kept - kept % per_byte)


def _in_integers(rows_NR: Floats, axes: Floats | None = None, *, is_packed: bool = False) -> Table:
    largest = half_bytes.LARGEST if is_packed else 127
    scales_N = np.abs(rows_NR).max(axis=1) / float(largest)
    codes_NR = np.rint(rows_NR / np.where(scales_N > 0, scales_N, 1.0)[:, None]).astype(np.int8)
    codes = half_bytes.pack(codes_NR) if is_packed else codes_NR
    return Table(codes, scales_N.astype(np.float32), axes)


def _leading_axes(tables: Sequence[Floats], kept: int) -> Floats:
    """The (R, D) orthonormal axes that hold most of the tables' variance, each table counting the same."""
    moments_DD = sum(table.T @ table / max(len(table), 1) for table in tables)
    _, axes_DD = np.linalg.eigh(np.asarray(moments_DD, dtype=np.float64))
    return np.ascontiguousarray(axes_DD[:, ::-1][:, :kept].T, dtype=np.float32)


def _spread(axes_RD: Floats) -> Floats:
    """Other axes of the same space, none of which has more variance: one scale then fits all of a row."""
    turn_RR, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(len(axes_RD), len(axes_RD))))
    return np.ascontiguousarray(turn_RR @ axes_RD, dtype=np.float32)
