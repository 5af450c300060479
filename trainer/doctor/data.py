"""What the marts hold, how fresh it is, and what became of every line that was loaded."""

from collections.abc import Iterator

from trainer.database import Connection, relation_exists
from trainer.doctor.finding import FAIL, OK, WARN, Finding, judged, value

MARTS = ("fct_interactions", "fct_user_histories", "dim_videos", "dim_users", "rpt_interaction_funnel")
BUILD = "run `dbt build --project-dir dbt_project`"
# Lowest share of a source's lines that reach the mart, or would if nothing newer said the same: real exports
# of affiliate links join for half of their lines. The dbt variable alert_used_share is the same figure.
KEPT_SHARE = 0.3
KEPT = ("used", "seen_only", "duplicate", "overridden", "skip")
QUIET_DAYS = 14  # since the app's newest decision; the dbt variable alert_newest_interaction_days is the same
LOSES_MANY = 0.05  # a share of a source's lines that is worth a person's look
WORST_URLS = 3

UNMATCHED = "see marts.rpt_unmatched_items"  # it says what to do about each item
# What a person does about an outcome that loses rows.
OUTCOME_REMEDIES = {
    "rejected_line": "look at raw.rejected_lines: number, content and reason of each line",
    "no_user": "the file has lines without a user id; export them again",
    "no_content_id": UNMATCHED,
    "unknown_video": UNMATCHED,
    "ambiguous": UNMATCHED,
    "bad_stars": "stars are numbers above 0 up to the var stars_max",
    "unknown_decision": "add the word to dbt_project/seeds/decision_labels.csv",
    "suspicious_user": "see suspicion_reason in marts.dim_users; thresholds are vars in dbt_project.yml",
    "outside_window": "widen the var window_months",
}


def marts(connection: Connection) -> Iterator[Finding]:
    """There, with likes in them."""
    missing = [name for name in MARTS if not relation_exists(connection, f"marts.{name}")]
    if missing:
        yield Finding("marts", FAIL, f"missing: {', '.join(missing)}", BUILD)
        return
    row = connection.execute(
        "select count(*), count(*) filter (where label = 1), max(occurred_at) from marts.fct_interactions"
    ).fetchone()
    assert row is not None  # an aggregate always has a row
    fact = f"{row[0]:,} interactions, {row[1]:,} likes, the newest {row[2] or 'without a time'}"
    yield judged("marts", bool(row[1]), fact, "load reviews or decisions, then build")


def freshness(connection: Connection) -> Iterator[Finding]:
    """Was anything loaded, or decided in the app, that the marts do not know yet?"""
    if not relation_exists(connection, "marts.fct_interactions"):
        return
    # the build analyses each mart when it has made it
    built_at = value(
        connection,
        "select max(last_analyze) from pg_stat_user_tables"
        " where schemaname = 'marts' and relname = 'fct_interactions'",
    )
    if built_at is None:
        return
    newer = []
    if relation_exists(connection, "raw.loads"):
        query = "select count(*) from raw.loads where loaded_at > %s"
        if n_loads := value(connection, query, built_at):
            newer.append(f"{n_loads:,} loaded files")
    if relation_exists(connection, "public.user_video_decisions"):
        query = "select count(*) from public.user_video_decisions where created_at > %s"
        if n_decisions := value(connection, query, built_at):
            newer.append(f"{n_decisions:,} decisions of the app")
    fact = f"built {built_at:%F %T %Z}"
    fact += f"; since then {' and '.join(newer)}" if newer else ", nothing has come since"
    # decisions come all day; a week of them is what weekly training takes up anyway
    days = value(connection, "select extract(day from now() - %s::timestamptz)::int", built_at)
    is_current = not newer or (days < 7 and not any("files" in part for part in newer))
    yield judged("freshness", is_current, fact, BUILD)


def newest_decision(connection: Connection) -> Iterator[Finding]:
    """Does the app still write?"""
    if not relation_exists(connection, "public.user_video_decisions"):
        return
    row = connection.execute(
        "select max(created_at), extract(day from now() - max(created_at))::int"
        " from public.user_video_decisions"
    ).fetchone()
    if row and row[0]:
        fact = f"the app's newest decision is of {row[0]:%F}, {row[1]:,} days ago"
        remedy = "see whether the app still writes public.user_video_decisions"
        yield judged("decisions", row[1] < QUIET_DAYS, fact, remedy)


def funnel(connection: Connection) -> list[tuple[str, str, int, float, str]]:
    """`marts.rpt_interaction_funnel` as it stands, largest outcome first within each source."""
    rows = connection.execute(
        "select source, outcome, n_rows, share, coalesce(example, '')"
        " from marts.rpt_interaction_funnel where n_rows > 0 order by source, n_rows desc, outcome"
    ).fetchall()
    return [(str(r[0]), str(r[1]), int(r[2]), float(r[3]), str(r[4])) for r in rows]


def band(connection: Connection) -> Iterator[Finding]:
    """Per source, the share of its lines that reaches the mart."""
    if not relation_exists(connection, "marts.rpt_interaction_funnel"):
        return
    kept: dict[str, float] = {}
    for source, outcome, _, share, _ in funnel(connection):
        kept[source] = kept.get(source, 0.0) + (share if outcome in KEPT else 0.0)
    for source, share in kept.items():
        remedy = "see what the lines below say, or the outcomes in marts.rpt_interaction_funnel"
        yield judged(
            "funnel", share >= KEPT_SHARE, f"{source}: {share:.0%} of the lines reach the mart", remedy
        )


def losses(connection: Connection) -> Iterator[Finding]:
    """Per source and outcome that loses many lines: how many, which items lose most, what to do."""
    if not relation_exists(connection, "marts.rpt_interaction_funnel"):
        return
    lost = [row for row in funnel(connection) if row[1] in OUTCOME_REMEDIES and row[3] >= LOSES_MANY]
    for source, outcome, n_rows, share, example in lost:
        items = worst_items(connection, source, outcome, WORST_URLS)
        worst = [f"{item[:80]!r} ({n:,})" for item, n, _ in items] or (
            [f"{example[:80]!r}"] if example else []
        )
        fact = f"{source}: {n_rows:,} rows ({share:.0%}) are {outcome}"
        fact += f", most of all {', '.join(worst)}" if worst else ""
        yield Finding("funnel", WARN, fact, items[0][2] if items else OUTCOME_REMEDIES[outcome])
    if not lost:
        yield Finding("funnel", OK, f"no outcome loses {LOSES_MANY:.0%} or more of a source's lines")


def worst_items(connection: Connection, source: str, outcome: str, most: int) -> list[tuple[str, int, str]]:
    """(item, lines lost, what to do) of `marts.rpt_unmatched_items`, where losing is about the item."""
    if not relation_exists(connection, "marts.rpt_unmatched_items"):
        return []
    rows = connection.execute(
        "select item, n_rows, remedy from marts.rpt_unmatched_items where source = %s and outcome = %s"
        " order by n_rows desc, item limit %s",
        (source, outcome, most),
    ).fetchall()
    return [(str(item), int(n), str(remedy)) for item, n, remedy in rows]
