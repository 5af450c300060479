"""The targets of the design documents (seed B), as rules: reached or not, on the data at hand.

They are wishes, not a gate: the gate is recsys.gate_rules, which compares with what serves.
"""

import math
from collections.abc import Mapping
from typing import NamedTuple

from trainer.report.pace import Pace

# What the largest of the files a client loads may weigh; Supabase Storage takes 50 MB per object by default.
MODEL_LIMIT_MB = 50.0
# Seed B, section on performance: what an edge function may take for one answer, and how many a second.
LATENCY_LIMIT_MS = 200.0
PER_SECOND_WANTED = 100.0


class Target(NamedTuple):
    """A figure, what is asked of it, and whether it is reached; `is_reached` None: nobody measured it."""

    name: str
    asked: str
    value: str
    is_reached: bool | None


def judge_targets(
    metrics: Mapping[str, float],
    n_videos: int,
    model_mb: float | None,
    waited_ms: float | None,
    pace: Pace | None,
) -> list[Target]:
    """The targets in the order of the document. `metrics` are the version's own on its holdout.

    Coverage is that of the longest lists measured (50): the document names no length. Entropy has no figure
    there; it is shown beside its highest value, every video equally often. Latency is what the app waited
    where it says so, else what the writer of the report did; one client alone asks for the lists a second.
    """
    p95_ms = waited_ms if waited_ms is not None or pace is None else pace.p95_ms
    asker = "the app" if waited_ms is not None else "this run"
    return [
        _at_least("Precision@10", metrics.get("precision@10"), 0.15),
        _at_least("Recall@50", metrics.get("recall@50"), 0.30),
        _at_least("NDCG@10", metrics.get("ndcg@10"), 0.20),
        _at_least("Coverage, lists of 50", metrics.get("coverage@50"), 0.70),
        _entropy(metrics.get("entropy@20"), n_videos),
        _below("Largest model file", model_mb, MODEL_LIMIT_MB, "MB"),
        _below(f"Latency, p95, by {asker}", p95_ms, LATENCY_LIMIT_MS, "ms"),
        _per_second(pace),
    ]


def _at_least(name: str, value: float | None, wanted: float) -> Target:
    if value is None:
        return Target(name, f"> {wanted:g}", "not measured", None)
    return Target(name, f"> {wanted:g}", f"{value:.4f}", value > wanted)


def _below(name: str, value: float | None, limit: float, unit: str) -> Target:
    if value is None:
        return Target(name, f"<= {limit:g} {unit}", "not measured", None)
    return Target(name, f"<= {limit:g} {unit}", f"{value:.1f} {unit}", value <= limit)


def _per_second(pace: Pace | None) -> Target:
    name, asked = "Lists a second, one client", f">= {PER_SECOND_WANTED:g}"
    if pace is None:
        return Target(name, asked, "not measured", None)
    return Target(name, asked, f"{pace.per_second:.0f}", pace.per_second >= PER_SECOND_WANTED)


def _entropy(value: float | None, n_videos: int) -> Target:
    shown = f"{value:.2f} of {math.log2(max(n_videos, 1)):.1f} bits" if value is not None else "not measured"
    return Target("Diversity (entropy@20)", "no figure", shown, None)
