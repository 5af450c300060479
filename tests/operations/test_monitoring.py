"""Monitoring on a real registry: what was shown and what came of it, the versions' health, and the alerts."""

import json
from pathlib import Path

import pytest

from serving.world import World
from tests.operations.conftest import REFUSED, SERVED
from trainer.database import Address, Connection, connect
from trainer.transform import BuildSummary, dbt_build

MONITORING = ["path:models/monitoring", "path:tests/monitoring"]
# half of what the world's app users decided was shown to them an hour before, by two arms
SHOWN = """
insert into recsys.impressions (user_id, video_id, rank, model_version, experiment, arm, shown_at)
select d.user_id, d.video_id, 1, %(served)s, 'first', case when right(d.user_id::text, 1) in ('0', '4', '8')
    then 'a' else 'b' end, d.created_at - interval '1 hour'
from public.user_video_decisions as d
"""


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("dbt")


def build(where: Address, target: Path, **vars: object) -> BuildSummary:
    return dbt_build(where, select=MONITORING, target=target, vars=vars or None)


def test_shown_liked_counted_and_forgotten(installed: Address, target: Path, somebody: str) -> None:
    with connect(installed, autocommit=True) as connection:
        arms = [{"arm": "a", "share": 0.5}, {"arm": "b", "version": REFUSED, "share": 0.5}]
        connection.execute("select recsys.start_experiment('first', %s::jsonb)", (json.dumps(arms),))
        connection.execute(SHOWN, {"served": SERVED})
    assert "alert_experiment_is_dealt_wrongly" not in build(installed, target).warnings
    with connect(installed) as connection:
        row = connection.execute(
            "select count(*), count(*) filter (where f.is_liked), bool_and(f.has_response),"
            " (select count(*) from public.user_video_decisions where decision_type = 'like')"
            " from marts.fct_impressions as f"
        ).fetchone()
        assert row is not None
        assert row[1] == row[3] > 0
        assert row[2]
        results = connection.execute(
            "select arm, n_users, is_control, like_rate between like_rate_low and like_rate_high,"
            " difference is null from marts.rpt_experiment_results order by arm"
        ).fetchall()
        assert results == [("a", 3, True, True, True), ("b", 3, False, True, False)]
        total = connection.execute("select sum(n_impressions) from marts.rpt_online_metrics").fetchone()
        assert total == (row[0],)
        forgotten = "from marts.fct_impressions where user_key = %s"
        assert connection.execute(f"select count(*) > 0 {forgotten}".encode(), (somebody,)).fetchone() == (
            True,
        )
        connection.execute("select recsys.forget_user(%s)", (somebody.removeprefix("app:"),))
        assert connection.execute(f"select count(*) > 0 {forgotten}".encode(), (somebody,)).fetchone() == (
            False,
        )


def test_a_forgotten_person_is_in_no_table_of_dbt_either(
    installed: Address, somebody: str, target: Path
) -> None:
    """Neither at once nor after the next build, and nobody else goes with them."""
    with connect(installed, autocommit=True) as connection:
        before = mentions(connection, somebody)
        assert any(table.startswith("martello_") for table in before)
        others = connection.execute("select count(*) from marts.dim_users").fetchone()
        connection.execute("select recsys.forget_user(%s)", (somebody.removeprefix("app:"),))
        assert mentions(connection, somebody) == set()
        dbt_build(installed, target=target)
        assert mentions(connection, somebody) == set()
        left = connection.execute("select count(*) from marts.dim_users").fetchone()
    assert others is not None
    assert left == (others[0] - 1,)


def mentions(connection: Connection, user_key: str) -> set[str]:
    """Every table, whoever it belongs to, with the person's uuid in any column."""
    tables = connection.execute(
        "select format('%I.%I', nspname, relname) from pg_class c join pg_namespace n on n.oid = relnamespace"
        " where relkind = 'r' and nspname !~ '^(pg_|information_schema)'"
    ).fetchall()
    query = "select exists (select from {} as t where position(%s in lower(t::text)) > 0)"
    user = user_key.removeprefix("app:")
    return {
        table
        for (table,) in tables
        if connection.execute(query.format(table).encode(), (user,)).fetchone() == (True,)
    }


def test_health_of_every_version(installed: Address, target: Path, small_world: World, somebody: str) -> None:
    with connect(installed, autocommit=True) as connection:
        connection.execute(
            "delete from recsys.video_embeddings where model_version = %s and video_id in"
            " (select video_id from recsys.video_embeddings where model_version = %s limit 15)",
            (SERVED, SERVED),
        )
        shown = [{"video_id": video, "model_version": SERVED} for video in small_world.video_ids[:2]]
        for waited_ms in range(1, 102):  # a list of two rows each: one time counts once
            connection.execute(
                "select public.log_impressions(%s::jsonb, for_user => %s, waited_ms => %s)",
                (json.dumps(shown), somebody.removeprefix("app:"), waited_ms),
            )
    build(installed, target)
    with connect(installed) as connection:
        rows = connection.execute(
            "select version, is_active, ndcg_at_20, popularity_ndcg_at_20,"
            " round(ndcg_at_20_change::numeric, 6), share_videos_without_vector,"
            " share_users_without_vector, p95_ms, n_timed_lists"
            " from marts.rpt_model_health order by version"
        ).fetchall()
    assert rows[0] == (SERVED, True, 0.4, 0.3, None, 0.25, 0, 96, 101)
    assert rows[1][:4] == (REFUSED, False, 0.2, 0.3)
    assert float(rows[1][4]) == -0.2


REGISTRY = "update recsys.embedding_model_versions set created_at"
ALERTS = {
    "alert_active_version_is_old": f"{REGISTRY} = now() - interval '15 days'",
    "alert_users_or_taste_moved_on": f"{REGISTRY} = '2020-01-01'",
    "alert_vectors_are_missing": "delete from recsys.user_embeddings",
    "alert_active_version_loses_to_popularity": "update recsys.evaluations set value = 0"
    " where model_name = 'two_tower'",
    "alert_index_loses_places": "insert into recsys.evaluations (model_version, model_name, split, metric,"
    f" value) values ('{SERVED}', 'index', 'val', 'ann_recall@20', 0.5)",
    "alert_funnel_leaves_its_band": "update marts.rpt_interaction_funnel set share = 0.1"
    " where source = 'decision'",
}


def test_alerts_warn_and_do_not_stop_the_build(installed: Address, target: Path) -> None:
    before = set(build(installed, target).warnings)
    assert before == {"alert_app_went_quiet"}  # the world ends with the year 2025
    with connect(installed, autocommit=True) as connection:
        for statement in ALERTS.values():
            connection.execute(statement.encode())
    assert set(build(installed, target).warnings) >= set(ALERTS)
    assert not set(build(installed, target, alert_newest_interaction_days=36500).warnings) & before


def test_the_funnels_band_has_an_upper_end(installed: Address, target: Path) -> None:
    """A join that takes more than it ever did is as suspicious as one that loses everything."""
    name = "alert_funnel_leaves_its_band"
    assert name in build(installed, target, alert_used_share_most=0.5).warnings
    assert name not in build(installed, target).warnings
