"""An app that was there before us: nothing of it changes, and its owner, who is no superuser, can migrate."""

import pytest

from conftest import ExistingApp
from trainer import migrations
from trainer.database import Address, connect

# Everything the catalog says about what is not ours: what was there must say the same afterwards.
CATALOG = {
    "relations": """
        select c.oid::text, n.nspname, c.relname, c.relkind::text, c.relowner::regrole::text, c.relacl::text,
            c.relrowsecurity, c.relforcerowsecurity, c.reloptions::text, c.relhastriggers, c.relfilenode,
            case when c.relkind in ('v', 'm') then pg_get_viewdef(c.oid) end,
            case when c.relkind = 'i' then pg_get_indexdef(c.oid) end, obj_description(c.oid, 'pg_class')
        from pg_class c join pg_namespace n on n.oid = c.relnamespace
        where n.nspname in ('public', 'auth', 'extensions', 'supabase_migrations')""",
    "columns": """
        select a.attrelid::text, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
            a.attacl::text, pg_get_expr(d.adbin, d.adrelid)
        from pg_attribute a join pg_class c on c.oid = a.attrelid
        join pg_namespace n on n.oid = c.relnamespace
        left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
        where n.nspname in ('public', 'auth', 'extensions', 'supabase_migrations') and a.attnum > 0""",
    "constraints": """
        select conrelid::text, conname, pg_get_constraintdef(c.oid) from pg_constraint c
        join pg_namespace n on n.oid = c.connamespace where n.nspname in ('public', 'auth')""",
    "policies": """
        select polrelid::text, polname, polcmd::text, polroles::text, polpermissive,
            pg_get_expr(polqual, polrelid), pg_get_expr(polwithcheck, polrelid)
        from pg_policy""",
    "indexes": "select indrelid::text, pg_get_indexdef(indexrelid) from pg_index",
    "triggers": "select tgrelid::text, tgname, pg_get_triggerdef(oid) from pg_trigger",
    "functions": """
        select p.oid::regprocedure::text, p.proowner::regrole::text, p.proacl::text, pg_get_functiondef(p.oid)
        from pg_proc p join pg_namespace n on n.oid = p.pronamespace
        where n.nspname in ('public', 'auth') and p.prokind = 'f'""",
    "schemas": "select nspname, nspowner::regrole::text, nspacl::text from pg_namespace",
    "roles": """
        select rolname, rolsuper, rolinherit, rolcreaterole, rolcanlogin, rolbypassrls, rolconfig::text
        from pg_roles""",
    "default privileges": """
        select defaclrole::regrole::text, defaclnamespace::regnamespace::text, defaclobjtype::text,
            defaclacl::text
        from pg_default_acl""",
}


def catalog(address: Address) -> dict[str, set[tuple[object, ...]]]:
    with connect(address) as connection:
        return {what: set(connection.execute(query).fetchall()) for what, query in CATALOG.items()}


def test_nothing_of_the_app_changes(existing_app: ExistingApp) -> None:
    before = catalog(existing_app.superuser)
    assert len(before["relations"]) > 30
    migrations.migrate(existing_app.owner)
    migrations.migrate(existing_app.owner)
    after = catalog(existing_app.superuser)
    assert {what: before[what] - after[what] for what in CATALOG} == {what: set() for what in CATALOG}


def test_nothing_is_added_to_the_apps_tables(existing_app: ExistingApp) -> None:
    before = catalog(existing_app.superuser)
    migrations.migrate(existing_app.owner)
    after = catalog(existing_app.superuser)
    tables = {row[0] for row in before["relations"]}
    for what in ("columns", "constraints", "indexes", "policies", "triggers"):
        assert {row for row in after[what] if row[0] in tables} == {
            row for row in before[what] if row[0] in tables
        }


def test_the_owner_is_no_superuser(existing_app: ExistingApp) -> None:
    with connect(existing_app.owner) as connection:
        assert connection.execute(
            "select rolsuper or rolcreaterole or rolbypassrls from pg_roles where rolname = current_user"
        ).fetchone() == (False,)
        assert connection.execute(
            "select relowner = current_user::regrole from pg_class where oid = 'auth.users'::regclass"
        ).fetchone() == (False,)


def test_app_owns_its_catalogue(existing_app: ExistingApp) -> None:
    migrations.migrate(existing_app.owner)
    with connect(existing_app.owner) as connection:
        assert connection.execute(
            "select value from recsys.settings where key = 'owns_catalogue'"
        ).fetchone() == (True,)
        assert connection.execute("select * from recsys.created_objects()").fetchall() == []


def test_the_apps_own_history_stays(existing_app: ExistingApp) -> None:
    migrations.migrate(existing_app.owner)
    with connect(existing_app.owner) as connection:
        rows = connection.execute(
            "select version, name from supabase_migrations.schema_migrations order by version"
        ).fetchall()
    assert rows[0] == ("20250805000000", "app")
    assert [row[0] for row in rows][-len(migrations.migrations()) :] == [
        m.version for m in migrations.migrations()
    ]


@pytest.mark.parametrize("existing_app", ["seed_a"], indirect=True)
def test_a_missing_table_is_added_beside_the_apps(existing_app: ExistingApp) -> None:
    with connect(existing_app.owner, autocommit=True) as connection:
        connection.execute("drop table public.video_performers, public.performers, public.user_embeddings")
        migrations.migrate(existing_app.owner)
        created = connection.execute(
            "select relation::text from recsys.created_objects() order by 1"
        ).fetchall()
        assert created == [("performers",), ("user_embeddings",), ("video_performers",)]
