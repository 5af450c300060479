"""Who may ask for what, seen as the roles PostgREST takes on."""

import psycopg
import pytest

from serving.conftest import acting_as
from serving.world import World, app_user
from trainer.database import Address, Connection, connect

ME, OTHER = app_user(0), app_user(2)
FOR_OTHER = [
    "select * from public.recommend_videos(for_user => %(other)s)",
    "select * from public.explain_recommendation(%(video)s, %(other)s)",
    "select public.refresh_user_embedding(%(other)s)",
    "select public.log_impressions('[]', null, %(other)s)",
    "select public.user_tower_inputs(%(other)s)",
    "select public.store_user_embedding('[1]', '1', '1', %(other)s)",
]


@pytest.mark.parametrize("call", FOR_OTHER)
def test_nobody_asks_for_somebody_else(serving: Connection, world: World, call: str) -> None:
    names = {"other": OTHER, "video": world.video_ids[0]}
    for role, user in (("authenticated", ME), ("authenticated", None), ("anon", None), ("anon", OTHER)):
        with pytest.raises(psycopg.errors.InsufficientPrivilege), acting_as(serving, role, user):
            serving.execute(call.encode(), names)
    with acting_as(serving, "service_role"):
        serving.execute(call.encode(), names)
    serving.execute(call.encode(), names)  # the database owner
    with acting_as(serving, "authenticated", OTHER):
        serving.execute(call.encode(), names)  # their own


def test_members_of_service_role_may(served: Address, serving: Connection) -> None:
    serving.execute("drop role if exists batch_job")
    serving.execute("create role batch_job login password 'batch_job' in role service_role")
    try:
        with connect(Address(served.parameters | {"user": "batch_job", "password": "batch_job"})) as job:
            assert len(job.execute("select * from public.recommend_videos(5, %s)", (ME,)).fetchall()) == 5
    finally:
        serving.execute("drop role batch_job")


def test_own_list_by_token(serving: Connection) -> None:
    with acting_as(serving, "authenticated", ME):
        own = serving.execute("select video_id, score from public.recommend_videos(5)").fetchall()
        assert (
            serving.execute("select video_id, score from public.recommend_videos(5, %s)", (ME,)).fetchall()
            == own
        )
    assert (
        own == serving.execute("select video_id, score from public.recommend_videos(5, %s)", (ME,)).fetchall()
    )


def test_visitors_get_popularity(serving: Connection) -> None:
    popular = serving.execute("select video_id from public.popular_videos(5)").fetchall()
    for role, user in (("anon", None), ("authenticated", None), ("anon", ME)):
        with acting_as(serving, role, user):
            assert serving.execute("select video_id from public.recommend_videos(5)").fetchall() == popular


@pytest.mark.parametrize("role", ["anon", "authenticated"])
@pytest.mark.parametrize(
    "statement",
    [
        "select * from recsys.user_embeddings",
        "select * from recsys.user_tower",
        "select history_embedding from recsys.video_embeddings",
        "select * from recsys.user_embeddings_202601010000",
        "select * from recsys.impressions",
        "select * from marts.fct_interactions",
        "select * from raw.reviews",
        "select recsys.user_vector('review:1')",
        "select recsys.recommend('review:1')",
        "select recsys.promote('202601010000', true)",
        "select recsys.rollback()",
        "select recsys.forget_user(gen_random_uuid())",
        "select recsys.refresh_user('review:1', '202601010000')",
        "select recsys.live_decisions()",
    ],
)
def test_the_rooms_behind_are_closed(serving: Connection, role: str, statement: str) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege), acting_as(serving, role, ME):
        serving.execute(statement.encode())


def test_a_user_reads_their_own_vector_alone(serving: Connection) -> None:
    with acting_as(serving, "authenticated", ME):
        rows = serving.execute("select user_id::text from public.user_embeddings").fetchall()
        assert rows == [(ME,)]
    with acting_as(serving, "service_role"):
        assert serving.execute("select count(*) from public.user_embeddings").fetchone() == (6,)
    with pytest.raises(psycopg.errors.InsufficientPrivilege), acting_as(serving, "anon"):
        serving.execute("select * from public.user_embeddings")
    with acting_as(serving, "anon"):
        assert serving.execute("select count(*) from public.video_embeddings").fetchone() == (60,)


def test_search_path_tricks_change_nothing(serving: Connection, world: World) -> None:
    """A caller's own objects, first on the search path, are not what the functions use."""
    before = serving.execute("select * from public.recommend_videos(5, %s)", (ME,)).fetchall()
    serving.execute("create schema trap authorization authenticated")
    with acting_as(serving, "authenticated", ME):
        for trap in (
            "create function trap.now() returns timestamptz language plpgsql"
            " as $$begin raise 'trapped'; end$$",
            "create function trap.array_agg(anyelement) returns anyarray language plpgsql"
            " as $$begin raise 'trapped'; end$$",
            "create function trap.trapped(vector, vector) returns float8 language plpgsql"
            " as $$begin raise 'trapped'; end$$",
            "create operator trap.<=> (leftarg = vector, rightarg = vector, function = trap.trapped)",
            "create operator trap.<#> (leftarg = vector, rightarg = vector, function = trap.trapped)",
            "create table trap.videos (id uuid, title text, maker text)",
            "create table trap.user_video_decisions (like public.user_video_decisions)",
        ):
            serving.execute(trap.encode())
        serving.execute("set local search_path = trap, public, pg_catalog")
        assert serving.execute("select * from public.recommend_videos(5)").fetchall() == before
        for call in (
            "similar_videos(%(v)s)", "popular_videos()",
            "explain_recommendation(%(v)s)", "refresh_user_embedding()",
        ):  # fmt: skip
            serving.execute(f"select * from public.{call}".encode(), {"v": world.video_ids[0]})


def test_every_function_pins_its_search_path(serving: Connection) -> None:
    """Supabase's advisor rule 0011."""
    rows = serving.execute(
        "select p.oid::regprocedure::text from pg_proc p where pronamespace in"
        " ('recsys'::regnamespace, 'public'::regnamespace)"
        " and not coalesce(array_to_string(proconfig, ',') like '%search_path=%', false)"
        " and not exists (select from pg_depend where objid = p.oid and deptype = 'e')"
    ).fetchall()
    assert rows == []


def test_no_row_is_asked_about_twice(serving: Connection) -> None:
    """Advisor rule 0006: one permissive policy per table, role and command; service_role's own is for where
    it may not bypass them."""
    rows = serving.execute(
        "select polrelid::regclass::text, role, command, count(*) from pg_policy"
        " cross join unnest(case when polroles = '{0}' then array['anon'::regrole, 'authenticated'::regrole]"
        " else polroles::regrole[] end) as role"
        " cross join unnest(case polcmd when '*' then '{r,a,w,d}' else array[polcmd] end) as command"
        " where polpermissive and polname <> 'service' group by 1, 2, 3 having count(*) > 1"
    )
    assert rows.fetchall() == []


def test_what_runs_as_its_owner_is_known(serving: Connection) -> None:
    """A security definer function more is a decision, not an accident; in public each says who may ask."""
    rows = serving.execute(
        "select proname from pg_proc where prosecdef and pronamespace in"
        " ('recsys'::regnamespace, 'public'::regnamespace) order by 1"
    ).fetchall()
    assert [name for (name,) in rows] == [
        "attach_version_tables", "create_version_tables", "decide", "drop_version", "ensure_app_views",
        "explain_recommendation", "follow_active_dimension", "index_videos", "log_impressions",
        "match_videos", "popular_videos", "promote", "prune_versions", "recommend_videos",
        "refresh_changed_users", "refresh_decided_user", "refresh_user_embedding", "rollback",
        "similar_videos",
        "store_user_embedding", "user_tower_inputs",
    ]  # fmt: skip
    for call in ("similar_videos(gen_random_uuid())", "popular_videos(1)"):
        with acting_as(serving, "anon"):
            serving.execute(f"select * from public.{call}".encode())


def test_lists_are_made_in_one_snapshot(serving: Connection) -> None:
    """Stable: all statements of a call see what its query saw; a volatile one could meet two versions."""
    rows = serving.execute(
        "select proname, provolatile::text from pg_proc where oid = any(%s::regproc[]::oid[])",
        (
            [
                *(
                    "recsys.recommend",
                    "recsys.nearest",
                    "recsys.popular",
                    "recsys.user_videos",
                    "recsys.explain",
                ),
                *("public.recommend_videos", "public.similar_videos", "public.match_videos"),
                *("public.popular_videos", "public.explain_recommendation"),
            ],
        ),
    ).fetchall()
    assert len(rows) == 10
    assert {volatility for _, volatility in rows} == {"s"}


def test_names_and_types_are_those_of_the_contract(serving: Connection) -> None:
    rows = serving.execute(
        "select proname, pg_get_function_arguments(oid), pg_get_function_result(oid) from pg_proc"
        " where pronamespace = 'public'::regnamespace and prosecdef and proname not in"
        " ('log_impressions', 'store_user_embedding', 'user_tower_inputs')"
        " order by 1"
    ).fetchall()
    assert rows == [
        (
            "explain_recommendation",
            "video uuid, for_user uuid DEFAULT NULL::uuid",
            "TABLE(reason text, related_video uuid, contribution real)",
        ),
        (
            "match_videos",
            "query_embedding vector, match_count integer DEFAULT 20, min_similarity real DEFAULT NULL::real",
            "TABLE(video_id uuid, similarity real)",
        ),
        (
            "popular_videos",
            "match_count integer DEFAULT 20, window_days integer DEFAULT 30",
            "TABLE(video_id uuid, score real)",
        ),
        (
            "recommend_videos",
            "match_count integer DEFAULT 20, for_user uuid DEFAULT NULL::uuid,"
            " exclude_ids uuid[] DEFAULT '{}'::uuid[], with_tags text[] DEFAULT NULL::text[],"
            " without_tags text[] DEFAULT NULL::text[], max_per_maker integer DEFAULT NULL::integer,"
            " diversity real DEFAULT 0, released_after date DEFAULT NULL::date,"
            " released_before date DEFAULT NULL::date",
            "TABLE(rank integer, video_id uuid, score real, reason text, model_version text)",
        ),
        ("refresh_user_embedding", "for_user uuid DEFAULT NULL::uuid", "vector"),
        (
            "similar_videos",
            "video uuid, match_count integer DEFAULT 20",
            "TABLE(video_id uuid, similarity real)",
        ),
    ]
