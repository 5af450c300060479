"""The rules of Supabase's advisor (its linter "splinter") that a database like ours can break, as queries.

0006 (several policies for one thing) and 0011 (a mutable search_path) are in test_api_access.py. Each rule is
asked twice: of what we install, where nothing may break it, and after something that does.
"""

import pytest

from trainer.database import Connection

OURS = "('public'::regnamespace, 'recsys'::regnamespace, 'raw'::regnamespace)"
RULES = {
    "0001 a foreign key without an index": (
        "select conrelid::regclass, conname from pg_constraint where contype = 'f' and conparentid = 0"
        f" and connamespace in {OURS} and not exists (select from pg_index where indrelid = conrelid"
        " and (indkey::int2[])[0:cardinality(conkey) - 1] @> conkey)",
        "create table public.later (video_id uuid references public.videos)",
    ),
    "0003 auth.uid() asked again for every row": (
        "select polrelid::regclass, polname from pg_policy where replace(lower(concat("
        "pg_get_expr(polqual, polrelid), pg_get_expr(polwithcheck, polrelid))), 'select auth.uid()', '')"
        " like '%auth.uid()%'",
        "create policy slow on public.videos using (auth.uid() = id)",
    ),
    "0004 a table without a primary key": (
        "select oid::regclass from pg_class where relkind in ('r', 'p') and relnamespace in"
        " ('public'::regnamespace, 'recsys'::regnamespace) and not exists (select from pg_index"
        " where indrelid = pg_class.oid and indisprimary)",
        "create table public.later (video_id uuid)",
    ),
    "0007 policies on a table without row level security": (
        "select polrelid::regclass from pg_policy join pg_class on pg_class.oid = polrelid"
        " where not relrowsecurity",
        "alter table public.videos disable row level security",
    ),
    "0009 two indexes for one thing": (
        "select indrelid::regclass, count(*) from pg_index join pg_class on pg_class.oid = indexrelid"
        f" where relnamespace in {OURS} group by indrelid, indkey::text, indclass::text,"
        " pg_get_expr(indexprs, indrelid), pg_get_expr(indpred, indrelid), relam having count(*) > 1",
        "create index on public.user_video_decisions (created_at)",
    ),
    "0010 a view with its owner's rights": (
        "select oid::regclass from pg_class where relkind = 'v' and relnamespace = 'public'::regnamespace"
        " and not coalesce(reloptions @> array['security_invoker=true'], false)",
        "create view public.later as select * from recsys.user_embeddings",
    ),
    "0013 an exposed table without row level security": (
        "select oid::regclass from pg_class where relkind in ('r', 'p') and not relrowsecurity"
        " and relnamespace = 'public'::regnamespace",
        "alter table public.videos disable row level security",
    ),
    "0016 an exposed materialised view": (
        "select oid::regclass from pg_class where relkind = 'm' and relnamespace = 'public'::regnamespace",
        "create materialized view public.later as select 1",
    ),
}


@pytest.mark.parametrize("rule", RULES)
def test_advisor(serving: Connection, rule: str) -> None:
    broken, breaks = RULES[rule]
    assert serving.execute(broken.encode()).fetchall() == []
    serving.execute(breaks.encode())
    assert serving.execute(broken.encode()).fetchall() != []
