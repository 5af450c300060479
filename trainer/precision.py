"""How exactly the score model keeps its vectors, so that one file stays under the limit of every reader.

Float32 while it fits; then float16; then one signed byte per coordinate with one scale per row; then the same
on the first R coordinates of a rotation that puts the variance in front. A rotation leaves every cosine as it
is, so what is lost is only what the dropped coordinates held. `model_meta.json` states the form and its cost.

Shapes: U users, I items, N rows of one table (the last one stands for whoever is not known), D dimensions,
R coordinates kept.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from trainer.errors import StorageError

Floats = npt.NDArray[np.float32]

# Supabase's default limit per object is 50 MB, and so is the seed's target; decimal, so that it holds for
# both readings of "MB". A larger limit changes nothing: a browser must still load the file.
LIMIT_BYTES = 50_000_000
# Names, shapes and metadata of the graph around the tables; 3 kB were seen.
GRAPH_BYTES = 20_000
# Under 32 coordinates of one byte the ranking is another one: such a catalogue is read from Postgres.
MIN_COORDINATES = 32


@dataclass(frozen=True)
class Table:
    """Rows as stored: `codes` (N, R) float32, float16 or int8; for int8 also `scales` (N,) float32."""

    codes: npt.NDArray[np.generic]
    scales: Floats | None = None

    def vectors(self) -> Floats:
        """The rows as the graph sees them, (N, R) float32."""
        rows_NR = self.codes.astype(np.float32)
        return rows_NR if self.scales is None else rows_NR * self.scales[:, None]


@dataclass(frozen=True)
class Precision:
    """What was chosen: `form` is float32, float16 or int8; `coordinates` is R."""

    form: str
    coordinates: int


def fit_tables(
    users_UD: Floats, items_ID: Floats, limit_bytes: int = LIMIT_BYTES
) -> tuple[Table, Table, Precision]:
    """Two tables with an empty last row, in the most exact form whose file stays within `limit_bytes`.

    Raises StorageError when even `MIN_COORDINATES` bytes per row do not fit.
    """
    n_rows, dimension = len(users_UD) + len(items_ID) + 2, users_UD.shape[1]
    room = (limit_bytes - GRAPH_BYTES) // n_rows  # bytes per row
    if dimension * 4 <= room:
        return _table(users_UD, np.float32), _table(items_ID, np.float32), Precision("float32", dimension)
    if dimension * 2 <= room:
        return _table(users_UD, np.float16), _table(items_ID, np.float16), Precision("float16", dimension)
    kept = min(dimension, room - 4)  # 4 bytes are the row's scale
    if kept < MIN_COORDINATES:
        raise StorageError(
            f"{len(users_UD)} users and {len(items_ID)} videos do not fit a score model of {limit_bytes} B",
            "serve from Postgres, or train on fewer users (window_months)",
        )
    if kept < dimension:
        rotation_DR = _leading_axes(users_UD, items_ID)[:, :kept]
        users_UD, items_ID = users_UD @ rotation_DR, items_ID @ rotation_DR
    return _bytes_table(users_UD), _bytes_table(items_ID), Precision("int8", kept)


def _table(rows_ND: Floats, kind: type[np.floating]) -> Table:
    return Table(np.vstack([rows_ND, np.zeros((1, rows_ND.shape[1]))]).astype(kind))


def _bytes_table(rows_NR: Floats) -> Table:
    rows_NR = np.vstack([rows_NR, np.zeros((1, rows_NR.shape[1]), np.float32)])
    scales_N = np.abs(rows_NR).max(axis=1) / 127.0
    codes_NR = np.rint(rows_NR / np.where(scales_N > 0, scales_N, 1.0)[:, None])
    return Table(codes_NR.astype(np.int8), scales_N.astype(np.float32))


def _leading_axes(users_UD: Floats, items_ID: Floats) -> Floats:
    """An orthogonal (D, D) whose first columns hold most of the variance, each table counting the same."""
    moments_DD = users_UD.T @ users_UD / max(len(users_UD), 1) + items_ID.T @ items_ID / max(len(items_ID), 1)
    _, axes_DD = np.linalg.eigh(moments_DD.astype(np.float64))
    return np.ascontiguousarray(axes_DD[:, ::-1], dtype=np.float32)
