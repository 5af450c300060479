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


@pytest.mark.parametrize("shown", ["{}", "null", "7", json.dumps([{}] * 1001)])
def test_impressions_that_are_none(serving: Connection, shown: str) -> None:
    with (
        pytest.raises(psycopg.errors.InvalidParameterValue, match="impressions come as an array"),
        acting_as(serving, "authenticated", app_user(0)),
    ):
        serving.execute("select log_impressions(%s::jsonb)", (shown,))
