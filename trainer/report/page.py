"""Facts into words, tables and drawings: what the template shows, in the order a person asks."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from trainer.report import charts
from trainer.report.catalogue_map import CatalogueMap
from trainer.report.charts import Series
from trainer.report.examples import Example
from trainer.report.facts import Facts, Figure, models_in_order
from trainer.report.pace import Pace
from trainer.report.targets import Target, judge_targets

TILES = ("recall@20", "ndcg@20", "precision@10", "coverage@20")
DOTS = ("ndcg@20", "recall@20")
BIAS = ("coverage@20", "entropy@20", "gini@20", "novelty@20", "largest_maker_share@20", "dislike@20")
LESS_IS_BETTER = ("gini", "largest_maker_share", "dislike")
MODEL_NAMES = {"two_tower": "this version", "champion": "served before"}
STATUS_WORDS = {
    "active": "serves now",
    "retired": "served before",
    "candidate": "candidate",
    "refused": "refused",
    "building": "not finished",
    "failed": "failed",
}


class Epoch(NamedTuple):
    """One line of the learning curve."""

    epoch: int
    loss: float | None
    val_ndcg: float | None


class Bar(NamedTuple):
    """A value on a track from 0 to 100 percent, with its interval; `style` is a class of the style sheet."""

    name: str
    style: str
    figure: Figure
    at: float
    low: float
    high: float


@dataclass(frozen=True)
class Extras:
    """What is not in the registry's rows: curve, drawing material, files, and figures of the run."""

    curve: Sequence[Epoch] = ()
    catalogue: CatalogueMap | None = None
    examples: Sequence[Example] = ()
    model_mb: float | None = None
    pace: Pace | None = None
    run: dict[str, Any] | None = None
    """E.g. {"seconds": {"read": 1.2, ...}, "peak_memory_mb": 900}."""
    problems: Sequence[str] = ()


def render(facts: Facts, extras: Extras) -> str:
    """The page as one HTML text; nothing in it points outside."""
    environment = Environment(
        loader=PackageLoader("trainer.report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    figures = facts.figures.get("all", {})
    models = models_in_order(figures)
    content = {
        "facts": facts,
        "extras": extras,
        "style": Markup((Path(__file__).parent / "style.css").read_text(encoding="utf-8")),  # our own file
        "status": STATUS_WORDS[facts.status],
        "summary": summary(facts),
        "remedy": remedy(facts),
        "tiles": [tile for name in TILES if (tile := _tile(facts, name))],
        "dots": [(name, _bars(figures, models, name)) for name in DOTS],
        "targets": targets(facts, extras),
        "metrics": _metric_rows(figures, models),
        "bias": _metric_rows(figures, models, BIAS),
        "models": [MODEL_NAMES.get(name, name) for name in models],
        "slices": _slices(facts, models),
        "curve": Markup(_curve(extras.curve)),  # charts escape what they are given
        "history": Markup(_history(facts)),
        "flow": Markup(charts.funnel_flow(facts.funnel)),
        "map": Markup(charts.scatter(extras.catalogue)) if extras.catalogue else "",
        "importance": _importance(facts),
        "status_words": STATUS_WORDS,
    }
    return environment.get_template("page.html.j2").render(content)


def summary(facts: Facts) -> str:
    """Promoted or refused and why, in a sentence or two."""
    promoted = [entry for entry in facts.log if entry[0] == "promote"]
    if facts.status == "refused":
        failed = facts.failed()
        more = f"; {len(failed) - 1} more of its {len(facts.verdicts)} rules failed" if failed[1:] else ""
        reason = failed[0].reason if failed else "its rules have changed since"
        return f"The gate refused it: {reason}{more}. What served before goes on serving."
    if promoted:
        _, previous, is_forced = promoted[-1]
        how = "by force, past the gate" if is_forced else "because it passed every rule of the gate"
        after = f", in the place of {previous}" if previous else ", the first to serve"
        now = "It serves now" if facts.status == "active" else "It served for a time"
        return f"{now}: promoted {how}{after}."
    return "It was written and judged, and not promoted."


def remedy(facts: Facts) -> str:
    """The command a person may want next."""
    if facts.status == "refused":
        return f"python -m trainer promote {facts.version} --force"
    if facts.status == "candidate":
        return f"python -m trainer promote {facts.version}"
    return "python -m trainer rollback" if facts.status == "active" and len(facts.releases) > 1 else ""


def targets(facts: Facts, extras: Extras) -> list[Target]:
    """Seed B's targets on this version's figures."""
    own = {name: figure.value for name, figure in facts.own().items()}
    return judge_targets(own, facts.n_videos, extras.model_mb, facts.p95_ms, extras.pace)


def _tile(facts: Facts, name: str) -> dict[str, str] | None:
    own = facts.own().get(name)
    if own is None:
        return None
    before = facts.champion().get(name)
    against = before or facts.figures["all"].get("popularity", {}).get(name)
    tile = {"name": name, "value": f"{own.value:.4f}", "against": "", "style": ""}
    if against is not None and against.value:
        change = own.value / against.value - 1
        tile["against"] = f"{change:+.1%} against {'what served before' if before else 'the most liked'}"
        tile["style"] = "good" if change >= 0 else "bad"
    return tile


def _bars(figures: dict[str, dict[str, Figure]], models: Sequence[str], metric: str) -> list[Bar]:
    """One per model, on a common scale from 0 to the largest upper end."""
    found = [(name, figures[name][metric]) for name in models if metric in figures[name]]
    top = max((figure.high or figure.value for _, figure in found), default=0.0) * 1.02 or 1.0
    styles = {"two_tower": "own", "champion": "champion"}
    return [
        Bar(
            MODEL_NAMES.get(name, name),
            styles.get(name, "baseline"),
            figure,
            100 * figure.value / top,
            100 * (figure.value if figure.low is None else figure.low) / top,
            100 * (figure.value if figure.high is None else figure.high) / top,
        )
        for name, figure in found
    ]


def _metric_rows(
    figures: dict[str, dict[str, Figure]], models: Sequence[str], wanted: Sequence[str] | None = None
) -> list[tuple[str, list[tuple[str, bool]]]]:
    """(metric, per model (value, is the best of them))."""
    names = dict.fromkeys(name for model in models for name in figures[model])
    rows = []
    for metric in names if wanted is None else [name for name in wanted if name in names]:
        values = [figures[model].get(metric) for model in models]
        known = [figure.value for figure in values if figure is not None]
        best = min(known) if metric.startswith(LESS_IS_BETTER) else max(known)
        cells = [("" if f is None else f"{f.value:.4f}", f is not None and f.value == best) for f in values]
        rows.append((metric, cells))
    return rows


def _slices(
    facts: Facts, models: Sequence[str], metric: str = "recall@20"
) -> list[tuple[str, int, list[Bar]]]:
    """(slice, users in it, a bar for this version, the champion and popularity)."""
    shown = [name for name in ("two_tower", "champion", "popularity") if name in models]
    rows = []
    for name, figures in sorted(facts.figures.items(), key=lambda part: _slice_place(part[0])):
        if name != "all" and metric in figures.get("two_tower", {}):
            there = [model for model in shown if model in figures]
            rows.append((name, figures["two_tower"][metric].n_users, _bars(figures, there, metric)))
    return rows


def _slice_place(name: str) -> tuple[str, int, str]:
    """`users: 6-20 likes` comes before `users: 21+ likes`; users first, makers last."""
    kind, _, rest = name.partition(": ")
    digits = re.match(r"\d+", rest)
    return (
        {"users": "0", "items": "1"}.get(kind, "2"),
        int(digits[0]) if digits and kind == "users" else 0,
        rest,
    )


def _importance(facts: Facts) -> list[tuple[str, float, float]]:
    """(feature, score, percent of the track)."""
    top = max((abs(score) for _, score in facts.importance), default=0.0) or 1.0
    return [(name, score, max(0.0, 100 * score / top)) for name, score in facts.importance]


def _curve(curve: Sequence[Epoch]) -> str:
    if not curve:
        return ""
    labels = [(float(e.epoch), str(e.epoch)) for e in curve if len(curve) <= 12 or e.epoch % 5 == 0]
    loss = [
        (float(e.epoch), e.loss, f"epoch {e.epoch}: loss {e.loss:.4f}") for e in curve if e.loss is not None
    ]
    judged = [
        (float(e.epoch), e.val_ndcg, f"epoch {e.epoch}: validation ndcg {e.val_ndcg:.4f}")
        for e in curve
        if e.val_ndcg is not None
    ]
    drawn = [
        (charts.line_chart([Series("loss", "own", loss)], labels, "Training loss per epoch"), "loss"),
        (
            charts.line_chart([Series("ndcg", "champion", judged)], labels, "Validation NDCG per epoch"),
            "ndcg on validation rows",
        ),
    ]
    return "".join(
        f"<figure>{svg}<figcaption>{words} per epoch</figcaption></figure>" for svg, words in drawn if svg
    )


def _history(facts: Facts) -> str:
    """ndcg@20 and recall@20 over the versions, each on its own holdout."""
    known = [release for release in facts.releases if release.metrics]
    if len(known) < 2:
        return ""
    series = [
        Series(
            metric,
            style,
            [
                (float(k), r.metrics[metric], f"{r.version} ({r.status}): {metric} {r.metrics[metric]:.4f}")
                for k, r in enumerate(known)
                if metric in r.metrics
            ],
        )
        for metric, style in (("ndcg@20", "own"), ("recall@20", "champion"))
    ]
    ends = (0, len(known) - 1)
    return charts.line_chart(
        series, [(float(k), f"{known[k].created_at:%d %b}") for k in ends], "Metrics over the versions"
    )
