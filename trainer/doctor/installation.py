"""The server and what our migrations made of it: versions, extension, migrations, roles, access, indexes."""

from collections.abc import Iterator

from trainer.database import Connection, relation_exists
from trainer.doctor.finding import FAIL, MIGRATE, OK, WARN, Finding, judged, value
from trainer.migrations import API_ROLES, pending

# pgvector before 0.8 has no iterative scan (filters starve), before 0.8.4 known index corruption
PGVECTOR_NEEDED, PGVECTOR_ADVISED = (0, 8, 0), (0, 8, 4)
CLOSED_SCHEMAS = ("raw", "marts", "recsys")


def server(connection: Connection) -> Iterator[Finding]:
    """Version, role, size of the database."""
    version = value(connection, "select current_setting('server_version_num')::int / 10000")
    yield judged("postgres", version >= 15, f"Postgres {version}", "use Postgres 15 or newer", FAIL)
    role = value(connection, "select current_user")
    is_super = value(connection, "select rolsuper from pg_roles where rolname = current_user")
    yield Finding("role", OK, f"{role}{', a superuser' if is_super else ''}")
    used = value(connection, "select pg_size_pretty(pg_database_size(current_database()))")
    yield Finding("size", OK, f"the database takes {used}")


def extension(connection: Connection) -> Iterator[Finding]:
    """pgvector: there, and new enough."""
    row = connection.execute(
        "select extversion, extnamespace::regnamespace::text from pg_extension where extname = 'vector'"
    ).fetchone()
    if row is None:
        yield Finding("pgvector", FAIL, "the extension vector is missing", MIGRATE)
        return
    version = tuple(int(part) for part in str(row[0]).split(".")[:3])
    fact = f"pgvector {row[0]} in schema {row[1]}"
    if version < PGVECTOR_NEEDED:
        yield Finding("pgvector", FAIL, fact, "upgrade to 0.8 or newer: iterative scans are needed")
    else:
        advice = "upgrade to 0.8.4 or newer: index corruption fixes"
        yield judged("pgvector", version >= PGVECTOR_ADVISED, fact, advice)


def migrations(connection: Connection) -> Iterator[Finding]:
    """What of sql/migrations is not in the ledger."""
    missing = pending(connection)
    fact = f"missing: {', '.join(missing)}" if missing else "all applied"
    yield judged("migrations", not missing, fact, MIGRATE, FAIL)


def roles(connection: Connection) -> Iterator[Finding]:
    """The API's roles: there, and kept out of what is not theirs."""
    missing = [
        role
        for role in API_ROLES
        if not value(connection, "select exists (select from pg_roles where rolname = %s)", role)
    ]
    if missing:
        remedy = f"let an administrator create them, then {MIGRATE}"
        yield Finding("roles", FAIL, f"missing: {', '.join(missing)}", remedy)
        return
    # a column of recsys may be granted (the app's views need it); whole tables of these schemas never
    rows = connection.execute(
        "select distinct c.oid::regclass::text, r.rolname from pg_class c"
        " cross join (values ('anon'), ('authenticated')) as r (rolname)"
        " where c.relnamespace in (select to_regnamespace(unnest(%s::text[])))"
        " and c.relkind in ('r', 'p', 'v') and has_table_privilege(r.rolname, c.oid, 'select') order by 1, 2",
        (list(CLOSED_SCHEMAS),),
    ).fetchall()
    if rows:
        named = ", ".join(f"{table} for {role}" for table, role in rows[:5])
        remedy = f"revoke it, or {MIGRATE}: access rules are applied again"
        yield Finding("roles", FAIL, f"{len(rows)} tables are open that must not be: {named}", remedy)
    else:
        yield Finding(
            "roles", OK, f"{', '.join(API_ROLES)}; {', '.join(CLOSED_SCHEMAS)} are closed to the app"
        )


def row_level_security(connection: Connection) -> Iterator[Finding]:
    """On for every table the app can read that names a user."""
    rows = connection.execute(
        "select c.oid::regclass::text from pg_class c where c.relkind in ('r', 'p') and not c.relrowsecurity"
        " and c.relnamespace = to_regnamespace('public') and to_regrole('authenticated') is not null"
        " and has_table_privilege(to_regrole('authenticated'), c.oid, 'select')"
        " and exists (select from pg_attribute a where a.attrelid = c.oid"
        " and a.attname in ('user_id', 'user_key') and not a.attisdropped) order by 1"
    ).fetchall()
    names = ", ".join(str(row[0]) for row in rows)
    fact = f"off on {names}, which names users" if rows else "on wherever a readable table names a user"
    remedy = "alter table … enable row level security, then add policies for its owner"
    yield judged("row level security", not rows, fact, remedy, FAIL)


def indexes(connection: Connection) -> Iterator[Finding]:
    """Broken ones, and vectors that are many and have none."""
    broken = connection.execute(
        "select i.indexrelid::regclass::text from pg_index i join pg_class c on c.oid = i.indexrelid"
        " where not i.indisvalid and c.relnamespace in (select to_regnamespace(unnest("
        "array['public', 'raw', 'marts', 'recsys']))) and c.relkind = 'i' order by 1"
    ).fetchall()
    if broken:
        names = ", ".join(str(row[0]) for row in broken)
        yield Finding("indexes", WARN, f"invalid: {names}", "reindex index concurrently …, or drop it")
    if not relation_exists(connection, "recsys.video_embeddings"):
        return
    bare = connection.execute(
        "select c.oid::regclass::text, c.reltuples::bigint"
        " from pg_inherits h join pg_class c on c.oid = h.inhrelid"
        " where h.inhparent = 'recsys.video_embeddings'::regclass and c.reltuples > recsys.index_above()"
        " and not exists (select from pg_index i"
        " join pg_class x on x.oid = i.indexrelid join pg_am on pg_am.oid = x.relam"
        " where i.indrelid = c.oid and pg_am.amname = 'hnsw' and i.indisvalid) order by 1"
    ).fetchall()
    names = ", ".join(f"{name} ({rows:,} rows)" for name, rows in bare)
    fact = f"no HNSW index on {names}" if bare else "every version's vectors have theirs where they need one"
    yield judged("indexes", not bare, fact, "every list scans all of it: train again, which builds one")
