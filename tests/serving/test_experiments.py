"""A/B: two versions served at once, the same user always in the same arm, and what was shown to them."""

import json

import psycopg
import pytest

from serving.conftest import FIRST, acting_as
from serving.test_release import SECOND, THIRD, turned
from serving.world import World, app_user
from trainer import release
from trainer.database import Connection

ARMS = [
    {"arm": "control", "version": None, "share": 0.5},
    {"arm": "challenger", "version": SECOND, "share": 0.3},
]


@pytest.fixture
def experiment(serving: Connection, world: World) -> Connection:
    release.write_version(serving, turned(world, SECOND))
    serving.execute("select recsys.start_experiment('colder', %s::jsonb)", (json.dumps(ARMS),))
    return serving


def arm_of(connection: Connection, user: str) -> tuple[str, str | None] | None:
    return connection.execute(
        "select arm, model_version from recsys.assigned_arm(%s)", (f"app:{user}",)
    ).fetchone()


def test_shares_hold_and_nobody_moves(experiment: Connection) -> None:
    arms = [arm_of(experiment, app_user(k)) for k in range(2000)]
    counts = {arm: arms.count(arm) / 2000 for arm in set(arms)}
    assert counts[("control", None)] == pytest.approx(0.5, abs=0.03)
    assert counts[("challenger", SECOND)] == pytest.approx(0.3, abs=0.03)
    assert counts[None] == pytest.approx(0.2, abs=0.03)
    assert arms[:50] == [arm_of(experiment, app_user(k)) for k in range(50)]


def test_each_arm_gets_its_version(experiment: Connection) -> None:
    for number in range(0, 12, 2):
        arm = arm_of(experiment, app_user(number))
        rows = experiment.execute(
            "select distinct model_version from recommend_videos(5, %s)", (app_user(number),)
        ).fetchall()
        assert rows == [(SECOND if arm and arm[1] else FIRST,)]


def test_stopped_everybody_is_back(experiment: Connection) -> None:
    experiment.execute("select recsys.stop_experiment()")
    rows = experiment.execute(
        "select distinct r.model_version from unnest(%s::uuid[]) u"
        " cross join lateral recommend_videos(3, u) r",
        ([app_user(k) for k in range(0, 12, 2)],),
    ).fetchall()
    assert rows == [(FIRST,)]


def test_retention_keeps_what_an_experiment_serves(experiment: Connection, world: World) -> None:
    for day in range(3, 10):
        release.write_version(experiment, turned(world, f"2026010{day}0000"))
    release.prune(experiment)
    assert SECOND in {v["version"] for v in release.versions(experiment)}


@pytest.mark.parametrize(
    "arms",
    [[], [{"arm": "a", "version": None, "share": 1.5}], [{"arm": "a", "version": THIRD, "share": 0.5}]],
)
def test_arms_that_cannot_be_served(serving: Connection, arms: list[object]) -> None:
    with pytest.raises(psycopg.errors.InvalidParameterValue):
        serving.execute("select recsys.start_experiment('x', %s::jsonb)", (json.dumps(arms),))


def test_impressions_are_logged_as_shown(experiment: Connection) -> None:
    user = next(
        app_user(k) for k in range(0, 12, 2) if arm_of(experiment, app_user(k)) == ("challenger", SECOND)
    )
    with acting_as(experiment, "authenticated", user):
        shown = experiment.execute("select to_jsonb(array_agg(r)) from recommend_videos(5) r").fetchone()
        assert shown is not None
        logged = experiment.execute(
            "select log_impressions(%s::jsonb, 'home')", (json.dumps(shown[0]),)
        ).fetchone()
        assert logged == (5,)
    rows = experiment.execute(
        "select user_id::text, video_id::text, rank, score, model_version, experiment, arm, surface"
        " from recsys.impressions order by rank"
    ).fetchall()
    assert rows == [
        (
            user,
            row["video_id"],
            row["rank"],
            pytest.approx(row["score"]),
            SECOND,
            "colder",
            "challenger",
            "home",
        )
        for row in shown[0]
    ]


def listed(connection: Connection, count: int, key: str, **named: object) -> list[tuple[str, float, float]]:
    arguments = "".join(f", {name} => {value}" for name, value in named.items())
    rows = connection.execute(
        "select video_id::text, score, propensity from recsys.recommend(%s, %s"
        + arguments
        + ") order by rank",
        (key, count),
    )
    return [tuple(row) for row in rows]


def test_exploration_draws_the_last_places(serving: Connection) -> None:
    """48 videos not met: 10 places, 3 of them drawn from the 41 after the best seven."""
    key = f"app:{app_user(0)}"
    best = listed(serving, 48, key)
    drawn = listed(serving, 10, key, explore=0.3)
    assert drawn == listed(serving, 10, key, explore=0.3)  # within the hour the same
    assert drawn[:7] == [(video, score, 1.0) for video, score, _ in best[:7]]
    assert [row[2] for row in drawn[7:]] == pytest.approx([3 / 41] * 3)
    assert [row[1] for row in drawn] == sorted((row[1] for row in drawn), reverse=True)
    assert len({row[0] for row in drawn}) == 10
    everything = listed(serving, 48, key, explore=1.0)
    assert [row[:2] for row in everything] == [row[:2] for row in best]
    assert {row[2] for row in everything} == {1.0}
    reordered = listed(serving, 10, key, explore=0.3, diversity=0.5)
    assert sorted(reordered) == sorted(drawn)


def test_the_draw_is_fair(serving: Connection) -> None:
    """Over two thousand people, each candidate comes as often as its propensity says."""
    row = serving.execute(
        """
        select min(n), max(n), sum(n)
        from (
            select drawn.video_id, count(*) as n
            from (select array_agg(id) as ids, array_fill(0::real, array[count(*)::integer]) as scores
                  from public.videos) as all_videos
            cross join generate_series(1, 2000) as person
            cross join recsys.explored(person::text, all_videos.ids, all_videos.scores, 10, 0.5) as drawn
            where drawn.propensity < 1
            group by drawn.video_id
        ) as counts
        """
    ).fetchone()
    assert row is not None
    expected = 2000 * 5 / 55  # 182, standard deviation 13
    assert expected - 60 < row[0] <= row[1] < expected + 60
    assert row[2] == 2000 * 5


def test_an_arm_explores_and_its_propensities_are_logged(serving: Connection) -> None:
    arms = [{"arm": "curious", "version": None, "share": 1, "explore": 0.4}]
    serving.execute("select recsys.start_experiment('curiosity', %s::jsonb)", (json.dumps(arms),))
    with acting_as(serving, "authenticated", app_user(0)):
        shown = serving.execute("select to_jsonb(array_agg(r)) from recommend_videos(5) r").fetchone()
        assert shown is not None
        serving.execute("select log_impressions(%s::jsonb)", (json.dumps(shown[0]),))
    logged = serving.execute("select propensity from recsys.impressions order by rank").fetchall()
    assert [p for (p,) in logged] == [1, 1, 1, pytest.approx(2 / 45), pytest.approx(2 / 45)]
    serving.execute("select recsys.stop_experiment()")
    serving.execute("delete from recsys.impressions")
    with acting_as(serving, "authenticated", app_user(0)):
        serving.execute("select log_impressions(%s::jsonb)", (json.dumps(shown[0]),))
    rows = serving.execute("select distinct propensity from recsys.impressions").fetchall()
    assert rows == [(None,)]


@pytest.mark.parametrize("shown", ["{}", "null", "7", json.dumps([{}] * 1001)])
def test_impressions_that_are_none(serving: Connection, shown: str) -> None:
    with (
        pytest.raises(psycopg.errors.InvalidParameterValue, match="impressions come as an array"),
        acting_as(serving, "authenticated", app_user(0)),
    ):
        serving.execute("select log_impressions(%s::jsonb)", (shown,))
