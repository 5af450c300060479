"""report.html: one self-contained page per version, for the person who gets the message on Sunday morning."""

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from trainer.database import Connection
from trainer.manifest import version_folder
from trainer.report.catalogue_map import read_map
from trainer.report.examples import read_examples
from trainer.report.facts import read_facts
from trainer.report.pace import read_pace
from trainer.report.page import Epoch, Extras, render, summary, targets

REPORT_NAME = "report.html"


class CurveLine(Protocol):
    """What is read of trainer.trained.EpochRecord; that module would import torch."""

    @property
    def epoch(self) -> int: ...
    @property
    def loss(self) -> float: ...
    @property
    def val_ndcg(self) -> float | None: ...


def write_report(
    connection: Connection,
    out_dir: Path,
    version: str | None = None,
    curve: Iterable[CurveLine] = (),
    *,
    run: Mapping[str, Any] | None = None,
    problems: Sequence[str] = (),
) -> Path:
    """Write report.html of a version (the newest by default) into its folder under `out_dir`; the path.

    What lies in a version's folder is released as it is and never changed: where there is a report already,
    or no such folder here, the page is `report_<version>.html` in `out_dir`. Without a `curve` that of the
    version's config is taken ("curve": a list of {"epoch", "loss", "val_ndcg"}), and `run` likewise
    ("run": {"seconds": {stage: s}, "peak_memory_mb"}). `problems` are lines about the data. Raises
    ReleaseError where there is no such version.
    """
    facts = read_facts(connection, version)
    folder = out_dir / version_folder(facts.version)
    epochs = [_epoch({"epoch": e.epoch, "loss": e.loss, "val_ndcg": e.val_ndcg}) for e in curve]
    extras = Extras(
        curve=epochs or [_epoch(line) for line in facts.config.get("curve", [])],
        catalogue=read_map(connection, facts.version),
        examples=read_examples(connection, facts.version),
        model_mb=_largest_model_mb(folder),
        pace=read_pace(connection, facts.version),
        run=dict(run or facts.config.get("run") or {}) or None,
        problems=problems,
    )
    page = render(facts, extras)
    path = folder / REPORT_NAME
    if path.exists() or not folder.is_dir():
        path = out_dir / f"report_{facts.version}.html"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page, encoding="utf-8")
    return path


def summary_markdown(connection: Connection, out_dir: Path, version: str | None = None) -> str:
    """The report in a dozen lines of Markdown, for the summary of a workflow's run; files from `out_dir`."""
    facts = read_facts(connection, version)
    own, before = facts.own(), facts.champion()
    popularity = facts.figures.get("all", {}).get("popularity", {})
    lines = [f"## Version {facts.version}: {facts.status}", "", summary(facts), ""]
    lines += ["| metric | this version | served before | the most liked |", "| --- | ---: | ---: | ---: |"]
    for metric in ("recall@20", "ndcg@20", "precision@10", "coverage@20", "dislike@20"):
        cells = [f"{side[metric].value:.4f}" if metric in side else "" for side in (own, before, popularity)]
        lines.append(f"| {metric} | {' | '.join(cells)} |")
    lines += ["", "| rule | passed | why |", "| --- | --- | --- |"]
    lines += [f"| {v.rule} | {'yes' if v.passed else '**no**'} | {v.reason} |" for v in facts.verdicts]
    lines += ["", "| target | asked | measured | reached |", "| --- | --- | --- | --- |"]
    words = {True: "yes", False: "no", None: ""}
    measured = Extras(
        model_mb=_largest_model_mb(out_dir / version_folder(facts.version)),
        pace=read_pace(connection, facts.version),
    )
    lines += [
        f"| {t.name} | {t.asked} | {t.value} | {words[t.is_reached]} |" for t in targets(facts, measured)
    ]
    return "\n".join(lines) + "\n"


def _epoch(line: Mapping[str, Any]) -> Epoch:
    """A line of the curve; a loss nobody has yet (epoch 0, before training) is NaN or null."""
    loss, judged = (
        None if value is None or not math.isfinite(value) else float(value)
        for value in (line.get("loss"), line.get("val_ndcg"))
    )
    return Epoch(int(line["epoch"]), loss, judged)


def _largest_model_mb(folder: Path) -> float | None:
    sizes = [path.stat().st_size for pattern in ("*.onnx", "*.pt") for path in folder.glob(pattern)]
    return max(sizes) / 1e6 if sizes else None
