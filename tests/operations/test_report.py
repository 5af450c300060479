"""The report: what it says of a promoted and of a refused version, that it stands alone, that it is safe."""

import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from tests.operations.conftest import EVIL_TITLE, REFUSED, SERVED
from trainer.database import Connection
from trainer.errors import ReleaseError
from trainer.manifest import version_folder
from trainer.report import summary_markdown, write_report
from trainer.report.catalogue_map import project
from trainer.report.charts import Series, funnel_flow, line_chart
from trainer.report.facts import Line
from trainer.report.pace import LISTS, Pace, read_pace
from trainer.report.page import Epoch
from trainer.report.targets import judge_targets

LARGEST_BYTES = 5_000_000


class Reader(HTMLParser):
    """Tags, what they point at, and the words between them; complains of tags that are not closed."""

    VOID = ("meta", "br", "input", "link", "img")

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.pointers: list[str] = []
        self.words: list[str] = []
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.pointers += [value or "" for name, value in attrs if name in ("src", "href", "action", "data")]
        self.open += [] if tag in self.VOID else [tag]

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def test_a_promoted_version(reader: Connection, tmp_path: Path) -> None:
    page = write_report(reader, tmp_path, SERVED).read_text()
    text = Reader(page).text
    assert "It serves now: promoted because it passed every rule of the gate" in text
    assert "+33.3% against the most liked" in text  # 0.4 beside 0.3
    for section in ("gate", "metrics", "targets", "curve", "slices", "funnel", "quality", "map", "examples"):
        assert f'<section id="{section}">' in page
    assert page.count("epoch 3: loss 0.6667") == 1  # the curve of its config
    assert text.index("users: 1-2 likes") < text.index("users: 21+ likes")
    assert "train 12.3 s" in text


def test_a_refused_version_says_why_and_what_can_be_done(reader: Connection, tmp_path: Path) -> None:
    text = Reader(write_report(reader, tmp_path, REFUSED).read_text()).text
    assert "The gate refused it: ndcg@20 is 0.2000, popularity 0.3000 on the same holdout" in text
    assert f"python -m trainer promote {REFUSED} --force" in text
    assert "-50.0% against what served before" in text
    assert "history" in text[text.index("Feature importance") :]


def test_it_stands_alone_and_is_small(reader: Connection, tmp_path: Path) -> None:
    path = write_report(reader, tmp_path)
    read = Reader(path.read_text())
    assert path.stat().st_size < LARGEST_BYTES
    assert read.pointers == []
    assert not read.tags & {"script", "link", "img", "iframe", "object"}
    assert "url(" not in path.read_text()
    assert "@import" not in path.read_text()


def test_titles_cannot_break_out(reader: Connection, tmp_path: Path) -> None:
    page = write_report(reader, tmp_path).read_text()
    assert "<script" not in page
    assert "&lt;script&gt;alert(" in page
    assert EVIL_TITLE in Reader(page).text or EVIL_TITLE in Reader(page).words


def test_nobody_is_named(reader: Connection, tmp_path: Path) -> None:
    page = write_report(reader, tmp_path).read_text()
    assert not re.search(r"app:[0-9a-f]{8}-|review:\d", page)


def test_what_was_released_is_never_changed(reader: Connection, tmp_path: Path) -> None:
    folder = tmp_path / version_folder(SERVED)
    folder.mkdir(parents=True)
    first = write_report(reader, tmp_path, SERVED)
    assert first == folder / "report.html"
    first.write_text("as it was released")
    second = write_report(reader, tmp_path, SERVED)
    assert second == tmp_path / f"report_{SERVED}.html"
    assert first.read_text() == "as it was released"


def test_the_newest_is_meant_and_another_must_exist(reader: Connection, tmp_path: Path) -> None:
    assert write_report(reader, tmp_path).name == f"report_{REFUSED}.html"
    with pytest.raises(ReleaseError, match="there is no version 202501010000"):
        write_report(reader, tmp_path, "202501010000")


def test_nothing_trained_yet(connection: Connection, tmp_path: Path) -> None:
    with pytest.raises(ReleaseError, match="there is no version yet"):
        write_report(connection, tmp_path)


def test_the_summary_of_a_workflow(reader: Connection, tmp_path: Path) -> None:
    lines = summary_markdown(reader, tmp_path, REFUSED).splitlines()
    assert lines[0] == f"## Version {REFUSED}: refused"
    assert "| ndcg@20 | 0.2000 | 0.4000 | 0.3000 |" in lines
    assert any(line.startswith("| beats_popularity_ndcg | **no** |") for line in lines)
    assert "| NDCG@10 | > 0.2 | 0.2000 | no |" in lines  # above 0.2 was asked for


def test_targets_are_those_of_the_document() -> None:
    metrics = {
        "precision@10": 0.151,
        "recall@50": 0.30,
        "ndcg@10": 0.3,
        "coverage@50": 0.71,
        "entropy@20": 3.0,
    }
    slow = Pace(100, 150.0, 99.0)
    reached = {target.name: target.is_reached for target in judge_targets(metrics, 1024, 49.9, 201.0, slow)}
    assert reached == {
        "Precision@10": True,
        "Recall@50": False,  # as much as was asked for is not more
        "NDCG@10": True,
        "Coverage, lists of 50": True,
        "Diversity (entropy@20)": None,
        "Largest model file": True,
        "Latency, p95, by the app": False,
        "Lists a second, one client": False,
    }
    assert [t.value for t in judge_targets(metrics, 1024, None, None, None)][4:] == [
        "3.00 of 10.0 bits",
        "not measured",
        "not measured",
        "not measured",
    ]
    by_this_run = judge_targets(metrics, 1024, None, None, slow)[6]
    assert (by_this_run.name, by_this_run.value) == ("Latency, p95, by this run", "150.0 ms")


def test_the_pace_is_measured_on_this_version(reader: Connection) -> None:
    pace = read_pace(reader, SERVED)
    assert pace is not None
    assert 0 < pace.n_lists <= LISTS
    assert pace.p95_ms > 0
    assert pace.per_second > 0


def test_the_map_keeps_the_two_widest_directions() -> None:
    rng = np.random.default_rng(1)
    wide_N2 = rng.normal(size=(500, 2)) * [5.0, 2.0]
    turn_DD = np.linalg.qr(rng.normal(size=(6, 6)))[0]
    vectors = np.hstack([wide_N2, rng.normal(size=(500, 4)) * 0.01]) @ turn_DD
    points, explained = project(vectors.astype(np.float32))
    assert explained > 0.999
    assert points.min() == 0
    assert points.max() == 1
    for axis in range(2):
        assert abs(np.corrcoef(points[:, axis], wide_N2[:, axis])[0, 1]) > 0.99


def test_identical_vectors_have_a_map_too() -> None:
    points, explained = project(np.ones((5, 3), np.float32))
    assert np.isfinite(points).all()
    assert explained == 0


def test_bands_of_the_funnel_are_as_thick_as_their_lines_are_many() -> None:
    lines = [Line("app", "used", 75, 0.75, ""), Line("app", "bad_stars", 25, 0.25, "<b>")]
    drawn = funnel_flow(lines)
    heights = [float(height) for height in re.findall(r'x="122"[^>]*height="([\d.]+)"', drawn)]
    assert heights == [180.0]
    assert re.findall(r'class="node (\w+)"[^>]*height="([\d.]+)"', drawn) == [
        ("good", "135.0"),
        ("bad", "45.0"),
    ]
    assert "app, bad_stars: 25 lines (25.0%), such as &lt;b&gt;" in drawn
    assert funnel_flow([]) == ""


def test_a_line_goes_from_corner_to_corner() -> None:
    drawn = line_chart([Series("x", "own", [(0.0, 1.0, "low"), (10.0, 2.0, "high")])], [(0.0, "a")], "t")
    (low_x, low_y), (high_x, high_y) = re.findall(r'cx="([\d.]+)" cy="([\d.]+)"', drawn)
    assert (float(low_x), float(high_x)) == (60.0, 388.0)
    assert float(low_y) > float(high_y)
    assert line_chart([Series("x", "own", [])], [], "t") == ""


def test_the_epoch_before_training_has_no_loss(reader: Connection, tmp_path: Path) -> None:
    curve = [Epoch(0, float("nan"), 0.1), Epoch(1, 2.0, 0.2)]
    page = write_report(reader, tmp_path, SERVED, curve).read_text()
    assert "nan" not in Reader(page).text.lower()
    assert "epoch 0: loss" not in page
    assert "epoch 0: validation ndcg 0.1000" in page


def test_a_real_browser_has_nothing_to_complain_of(
    reader: Connection, tmp_path: Path, browse: Callable[[str], tuple[str, str]]
) -> None:
    page, complaints = browse(write_report(reader, tmp_path).as_uri())
    assert complaints == ""
    assert "Map of the catalogue" in Reader(page).text
