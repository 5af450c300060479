"""Is this installation well? Each check is a question to the database; its answer, a line with a remedy."""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass

from trainer.database import Address, Connection, connect, relation_exists
from trainer.errors import DatabaseError

OK, WARN, FAIL = "ok", "warn", "fail"
MIGRATE = "run `python -m trainer db migrate`"
# pgvector before 0.8 has no iterative scan (filters starve), before 0.8.4 known index corruption
PGVECTOR_NEEDED, PGVECTOR_ADVISED = (0, 8, 0), (0, 8, 4)
MARTS = ("fct_interactions", "fct_user_histories", "dim_videos", "dim_users", "rpt_interaction_funnel")


@dataclass(frozen=True)
class Finding:
    """One line of the answer: what was looked at, how it is, what to do about it."""

    check: str
    status: str
    fact: str
    remedy: str = ""

    def as_dict(self) -> dict[str, str]:
        return asdict(self)


Check = Callable[[Connection], Iterator[Finding]]


def examine(where: Address) -> list[Finding]:
    """Every check in order; without a connection there is only that one finding."""
    try:
        with connect(where, autocommit=True) as connection:
            found = [Finding("connection", OK, str(where))]
            for check in CHECKS:
                found.extend(check(connection))
            return found
    except DatabaseError as error:
        return [Finding("connection", FAIL, error.fact, error.remedy)]


def funnel(connection: Connection) -> list[tuple[str, str, int, float, str]]:
    """`marts.rpt_interaction_funnel` as it stands, largest outcome first within each source."""
    rows = connection.execute(
        "select source, outcome, n_rows, share, coalesce(example, '')"
        " from marts.rpt_interaction_funnel where n_rows > 0 order by source, n_rows desc, outcome"
    ).fetchall()
    return [(str(r[0]), str(r[1]), int(r[2]), float(r[3]), str(r[4])) for r in rows]


# What a person does about an outcome that loses rows.
OUTCOME_REMEDIES = {
    "rejected_line": "look at raw.rejected_lines: number, content and reason of each line",
    "no_user": "the file has lines without a user id; export them again",
    "no_content_id": "add a line for this URL shape to dbt_project/seeds/url_patterns.csv",
    "unknown_video": "load these videos, or build with --vars '{register_unknown_videos: true}'",
    "ambiguous": "several videos fit; give them distinct external_ids or narrow the var cid_aliases",
    "bad_stars": "stars are numbers above 0 up to the var stars_max",
    "unknown_decision": "add the word to dbt_project/seeds/decision_labels.csv",
    "suspicious_user": "see suspicion_reason in marts.dim_users; thresholds are vars in dbt_project.yml",
    "outside_window": "widen the var window_months",
}


def _server(connection: Connection) -> Iterator[Finding]:
    version = _value(connection, "select current_setting('server_version_num')::int / 10000")
    status = OK if version >= 15 else FAIL
    yield Finding(
        "postgres", status, f"Postgres {version}", "" if status == OK else "use Postgres 15 or newer"
    )
    role = _value(connection, "select current_user")
    is_super = _value(connection, "select rolsuper from pg_roles where rolname = current_user")
    yield Finding("role", OK, f"{role}{', a superuser' if is_super else ''}")
    used = _value(connection, "select pg_size_pretty(pg_database_size(current_database()))")
    yield Finding("size", OK, f"the database takes {used}")


def _extension(connection: Connection) -> Iterator[Finding]:
    row = connection.execute(
        "select extversion, extnamespace::regnamespace::text from pg_extension where extname = 'vector'"
    ).fetchone()
    if row is None:
        yield Finding(
            "pgvector", FAIL, "the extension vector is missing", "run `python -m trainer db migrate`"
        )
        return
    version = tuple(int(part) for part in str(row[0]).split(".")[:3])
    fact = f"pgvector {row[0]} in schema {row[1]}"
    if version < PGVECTOR_NEEDED:
        yield Finding("pgvector", FAIL, fact, "upgrade to 0.8 or newer: iterative scans are needed")
    elif version < PGVECTOR_ADVISED:
        yield Finding("pgvector", WARN, fact, "upgrade to 0.8.4 or newer: index corruption fixes")
    else:
        yield Finding("pgvector", OK, fact)


def _schemas(connection: Connection) -> Iterator[Finding]:
    missing = [
        s for s in ("raw", "recsys") if not _value(connection, "select to_regnamespace(%s) is not null", s)
    ]
    roles = [
        r
        for r in ("anon", "authenticated", "service_role")
        if not _value(connection, "select exists (select from pg_roles where rolname = %s)", r)
    ]
    if missing or roles:
        yield Finding("migrations", FAIL, f"missing: {', '.join(missing + roles)}", MIGRATE)
    elif relation_exists(connection, "supabase_migrations.schema_migrations"):
        applied = _value(connection, "select count(*) from supabase_migrations.schema_migrations")
        yield Finding("migrations", OK, f"{applied} recorded in supabase_migrations.schema_migrations")
    else:
        yield Finding("migrations", WARN, "no ledger of migrations", MIGRATE)


def _row_level_security(connection: Connection) -> Iterator[Finding]:
    rows = connection.execute(
        "select c.oid::regclass::text from pg_class c where c.relkind in ('r', 'p') and not c.relrowsecurity"
        " and c.relnamespace = to_regnamespace('public')"
        " and has_table_privilege('authenticated', c.oid, 'select') and exists (select from pg_attribute a"
        " where a.attrelid = c.oid and a.attname in ('user_id', 'user_key') and not a.attisdropped)"
        " order by 1"
    ).fetchall()
    if rows:
        names = ", ".join(str(row[0]) for row in rows)
        remedy = "alter table … enable row level security, then add policies for its owner"
        yield Finding("row level security", FAIL, f"off on {names}, which names users", remedy)
    else:
        yield Finding("row level security", OK, "on wherever a readable table names a user")


def _marts(connection: Connection) -> Iterator[Finding]:
    missing = [name for name in MARTS if not relation_exists(connection, f"marts.{name}")]
    if missing:
        remedy = "run `dbt build --project-dir dbt_project`"
        yield Finding("marts", FAIL, f"missing: {', '.join(missing)}", remedy)
        return
    row = connection.execute(
        "select count(*), count(*) filter (where label = 1), max(occurred_at) from marts.fct_interactions"
    ).fetchone()
    assert row is not None  # an aggregate always has a row
    status = OK if row[1] else WARN
    remedy = "" if row[1] else "load reviews or decisions, then build"
    fact = f"{row[0]:,} interactions, {row[1]:,} likes, the newest {row[2] or 'without a time'}"
    yield Finding("marts", status, fact, remedy)
    for source, outcome, n_rows, share, example in funnel(connection):
        if outcome in OUTCOME_REMEDIES and share >= 0.05:
            fact = f"{source}: {n_rows:,} rows ({share:.0%}) are {outcome}, such as {example[:80]!r}"
            yield Finding("funnel", WARN, fact, OUTCOME_REMEDIES[outcome])


def _served_version(connection: Connection) -> Iterator[Finding]:
    if not relation_exists(connection, "recsys.embedding_model_versions"):
        return
    row = connection.execute(
        "select version, embedding_dim, extract(day from now() - created_at)::int"
        " from recsys.embedding_model_versions where is_active"
    ).fetchone()
    if row is None:
        yield Finding(
            "version", WARN, "no version is active: everybody gets popularity", "run `python -m trainer`"
        )
        return
    version, dimension, days = row
    status = OK if days <= 14 else WARN  # trained weekly: two missed weeks are worth a look
    remedy = "" if status == OK else "is the weekly run failing? run `python -m trainer`"
    yield Finding("version", status, f"{version} is active, {dimension} dimensions, {days} days old", remedy)
    without = _value(
        connection,
        "select count(*) from public.videos as v where not exists (select from recsys.video_embeddings as e"
        " where e.model_version = %s and e.video_id = v.id)",
        version,
    )
    remedy = "" if not without else "run `python -m trainer sync`"
    yield Finding("vectors", OK if not without else WARN, f"{without:,} videos without a vector", remedy)


def _value(connection: Connection, query: str, *parameters: object) -> int:
    row = connection.execute(query, parameters).fetchone()
    assert row is not None  # every query here returns one row
    return row[0]  # type: ignore[no-any-return]  # a scalar whose type the query decides


CHECKS: tuple[Check, ...] = (_server, _extension, _schemas, _row_level_security, _marts, _served_version)
