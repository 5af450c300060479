"""What is lost when vectors are kept in fewer bytes: little, and stated."""

from pathlib import Path

import numpy as np
import pytest

from trainer import half_bytes
from trainer.errors import StorageError
from trainer.export import save
from trainer.onnx_session import Session
from trainer.parity import LINES, Parity, check_scores
from trainer.precision import GRAPH_BYTES, Floats, fit_tables
from trainer.score_graph import score_graph

DIMENSION = 64


@pytest.fixture(scope="module")
def vectors() -> tuple[Floats, Floats]:
    """Unit vectors that fill their space as trained ones do: a few strong directions and a long tail."""
    rng = np.random.default_rng(0)
    strength = 1 / np.arange(1, DIMENSION + 1) ** 0.7
    turn, _ = np.linalg.qr(rng.normal(size=(DIMENSION, DIMENSION)))
    both = [(rng.normal(size=(n, DIMENSION)) * strength @ turn).astype(np.float32) for n in (300, 2000)]
    users, items = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in both)
    return users, items


def _limit(bytes_per_row: int) -> int:
    return 2302 * bytes_per_row + GRAPH_BYTES


@pytest.mark.parametrize(
    ("bytes_per_row", "form", "coordinates"),
    [
        (256, "float32", 64),
        (255, "float16", 64),
        (128, "float16", 64),
        (127, "int8", 64),
        (67, "int8", 63),
        (56, "int8", 52),
        (44, "int8", 40),
        (43, "int4", 64),
        (36, "int4", 64),
        (30, "int4", 52),
    ],
)
def test_the_most_exact_form_that_fits(
    bytes_per_row: int, form: str, coordinates: int, vectors: tuple[Floats, Floats], tmp_path: Path
) -> None:
    path = tmp_path / "score.onnx"
    graph, kept = score_graph(*vectors, _limit(bytes_per_row))
    assert (kept.form, kept.coordinates) == (form, coordinates)
    save(graph, path, {}, _limit(bytes_per_row))
    parity = check_scores(Session(path), *vectors, form).check(path.name)
    assert parity.top_20_overlap > LINES[form][1]


def test_fewer_coordinates_cost_more(vectors: tuple[Floats, Floats], tmp_path: Path) -> None:
    overlaps = []
    for bytes_per_row in (256, 128, 68, 52, 30, 22):
        path = tmp_path / f"{bytes_per_row}.onnx"
        graph, kept = score_graph(*vectors, _limit(bytes_per_row))
        save(graph, path, {})
        overlaps.append(check_scores(Session(path), *vectors, kept.form).top_20_overlap)
    assert overlaps == sorted(overlaps, reverse=True)
    assert overlaps[0] == 1
    assert overlaps[-1] < 0.95  # the figure is a measurement, not a constant


def test_a_form_under_its_line_is_refused() -> None:
    Parity(1, 1e-6, 1e-5, 1.0, 0.999).check("ok")
    for difference, overlap in ((2e-5, 1.0), (1e-6, 0.9), (float("nan"), 1.0), (1e-6, float("nan"))):
        with pytest.raises(Exception, match="differs from PyTorch"):
            Parity(1, difference, 1e-5, overlap, 0.999).check("not ok")


def test_tables_turned_apart_turn_back(vectors: tuple[Floats, Floats]) -> None:
    tables, kept = fit_tables(list(vectors), 2300 * 60)
    assert kept.coordinates < DIMENSION
    for table, rows in zip(tables, vectors, strict=True):
        assert table.axes is not None
        assert np.abs(table.vectors() - rows).mean() < 0.02
        rough = np.abs(rows - rows[:, :1] * 0).mean()
        assert np.abs(table.vectors() - rows).mean() < rough / 4


def test_half_bytes_come_back() -> None:
    """Every pair of codes, and an odd number of rows."""
    every = np.stack([a.ravel() for a in np.meshgrid(np.arange(-7, 8), np.arange(-7, 8))], axis=1)
    codes = np.hstack([every, every[::-1]]).astype(np.int8)
    packed = half_bytes.pack(codes)
    assert (packed.dtype, packed.shape) == (np.uint8, (225, 2))
    np.testing.assert_array_equal(half_bytes.unpack(packed), codes)


def test_too_many_rows_for_any_form_is_said(vectors: tuple[Floats, Floats]) -> None:
    with pytest.raises(StorageError, match=r"2302 vectors of 64 dimensions do not fit 0\.0 MB"):
        score_graph(*vectors, _limit(19))
