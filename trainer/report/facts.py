"""Everything a report says, read from the database once: one dataclass, no HTML, no opinions."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from trainer.database import Connection, relation_exists
from trainer.errors import ReleaseError
from trainer.report.quality import Count, count, read_quality

VERSIONS_SHOWN = 26  # half a year of weekly versions


class Figure(NamedTuple):
    """One metric of one model: value and the ends of its 95 % interval."""

    value: float
    low: float | None
    high: float | None
    n_users: int


class Verdict(NamedTuple):
    """One rule of the gate."""

    rule: str
    passed: bool
    reason: str


class Release(NamedTuple):
    """One version of the registry, for the line over time."""

    version: str
    status: str
    created_at: datetime
    metrics: dict[str, float]


class Line(NamedTuple):
    """One outcome of the funnel."""

    source: str
    outcome: str
    n_rows: int
    share: float
    example: str


@dataclass(frozen=True)
class Facts:
    """What is known of one version. `figures`: slice -> model -> metric -> Figure."""

    version: str
    status: str
    created_at: datetime
    embedding_dim: int
    data_hash: str | None
    git_commit: str | None
    config: dict[str, Any]
    split: str
    figures: dict[str, dict[str, dict[str, Figure]]]
    verdicts: list[Verdict]
    log: list[tuple[str, str, bool]]
    """(action, previous version, forced) of this version, oldest first."""
    releases: list[Release]
    """Oldest first, at most VERSIONS_SHOWN."""
    importance: list[tuple[str, float]]
    funnel: list[Line]
    quality: list[Count]
    n_videos: int
    p95_ms: float | None

    def own(self) -> dict[str, Figure]:
        """The version's own metrics over all users."""
        return self.figures.get("all", {}).get("two_tower", {})

    def champion(self) -> dict[str, Figure]:
        """Those of the version that served before, on the same holdout."""
        return self.figures.get("all", {}).get("champion", {})

    def failed(self) -> list[Verdict]:
        """The rules it did not pass."""
        return [verdict for verdict in self.verdicts if not verdict.passed]


def read_facts(connection: Connection, version: str | None = None) -> Facts:
    """Facts of a version, by default the newest. Raises ReleaseError where there is none of that name."""
    row = _version(connection, version)
    name = str(row["version"])
    split, figures = _figures(connection, name)
    return Facts(
        version=name,
        status=str(row["status"]),
        created_at=row["created_at"],
        embedding_dim=int(row["embedding_dim"]),
        data_hash=row["data_hash"],
        git_commit=row["git_commit"],
        config=dict(row["config"]),
        split=split,
        figures=figures,
        verdicts=[
            Verdict(str(rule), bool(passed), str(reason))
            for rule, passed, reason in connection.execute(
                "select rule, passed, reason from recsys.gate_results where model_version = %s"
                " order by passed, rule",
                (name,),
            )
        ],
        log=[
            (str(action), str(previous or ""), bool(forced))
            for action, previous, forced in connection.execute(
                "select action, previous_version, is_forced from recsys.release_log"
                " where model_version = %s order by id",
                (name,),
            )
        ],
        releases=_releases(connection),
        importance=[
            (str(feature), float(score))
            for feature, score in connection.execute(
                "select feature_name, importance_score from recsys.feature_importance"
                " inner join recsys.embedding_model_versions as v on v.id = model_version_id"
                " where v.version = %s order by importance_score desc, feature_name",
                (name,),
            )
        ],
        funnel=read_funnel(connection),
        quality=read_quality(connection),
        n_videos=count(connection, "select count(*) from marts.dim_videos", "marts.dim_videos"),
        p95_ms=_p95(connection, name),
    )


def _version(connection: Connection, version: str | None) -> Mapping[str, Any]:
    if not relation_exists(connection, "recsys.embedding_model_versions"):
        raise ReleaseError("the schema recsys is not there", "run `python -m trainer db migrate`")
    cursor = connection.execute(
        "select version, status, created_at, embedding_dim, data_hash, git_commit, config"
        " from recsys.embedding_model_versions where %s::text is null or version = %s"
        " order by created_at desc, version desc limit 1",
        (version, version),
    )
    row = cursor.fetchone()
    if row is None:
        fact = f"there is no version {version}" if version else "there is no version yet"
        raise ReleaseError(
            fact, "`python -m trainer versions` lists them" if version else "run `python -m trainer`"
        )
    return dict(zip([column.name for column in cursor.description or ()], row, strict=True))


def _figures(connection: Connection, version: str) -> tuple[str, dict[str, dict[str, dict[str, Figure]]]]:
    """(split, slice -> model -> metric -> Figure) on the holdout: test where there is one, else val."""
    figures: dict[str, dict[str, dict[str, Figure]]] = defaultdict(lambda: defaultdict(dict))
    split = ""
    # val before test: what is written last stays
    for found, part, model, metric, value, low, high, n_users in connection.execute(
        "select split, slice, model_name, metric, value, low, high, n_users from recsys.evaluations"
        " where model_version = %s and value is not null order by split = 'test', split",
        (version,),
    ):
        if found != split:
            figures.clear()
        split = str(found)
        figures[str(part)][str(model)][str(metric)] = Figure(float(value), low, high, int(n_users or 0))
    return split, {part: dict(models) for part, models in figures.items()}


def _releases(connection: Connection) -> list[Release]:
    rows: dict[str, Release] = {}
    for version, status, created_at, metric, value in connection.execute(
        "select v.version, v.status, v.created_at, e.metric, e.value"
        " from (select * from recsys.embedding_model_versions order by created_at desc limit %s) as v"
        " left join recsys.evaluations as e on e.model_version = v.version and e.model_name = 'two_tower'"
        " and e.slice = 'all' order by v.created_at, v.version",
        (VERSIONS_SHOWN,),
    ):
        release = rows.setdefault(str(version), Release(str(version), str(status), created_at, {}))
        if metric is not None and value is not None:
            release.metrics[str(metric)] = float(value)
    return list(rows.values())


def read_funnel(connection: Connection) -> list[Line]:
    """What became of every line, per source the largest outcome first; none before the first build."""
    if not relation_exists(connection, "marts.rpt_interaction_funnel"):
        return []
    rows = connection.execute(
        "select source, outcome, n_rows, share, coalesce(example, '') from marts.rpt_interaction_funnel"
        " where n_rows > 0 order by source, n_rows desc, outcome"
    )
    return [Line(str(s), str(o), int(n), float(share), str(example)) for s, o, n, share, example in rows]


def _p95(connection: Connection, version: str) -> float | None:
    if not relation_exists(connection, "marts.rpt_model_health"):
        return None
    row = connection.execute(
        "select p95_ms from marts.rpt_model_health where version = %s", (version,)
    ).fetchone()
    return row[0] if row else None


def models_in_order(figures: Mapping[str, Mapping[str, Figure]], by: str = "ndcg@20") -> Sequence[str]:
    """The version and its champion first, then the baselines, best first."""
    first = [name for name in ("two_tower", "champion") if name in figures]
    others = sorted(
        (name for name in figures if name not in first),
        key=lambda name: -figures[name].get(by, Figure(0.0, None, None, 0)).value,
    )
    return [*first, *others]
