"""The user tower in SQL: against the formula in numpy, against PyTorch, and with likes of this moment."""

from typing import Any

import numpy as np
import pytest
import torch

from serving.conftest import FIRST
from serving.world import Event, World, app_user, fill_catalogue, fill_marts, make_world
from trainer import release
from trainer.database import Connection
from trainer.towers import UserTower

TOLERANCE = 1e-4


def in_sql(connection: Connection, user_key: str, training_cut: bool = False) -> np.ndarray | None:
    row = connection.execute(
        "select recsys.user_vector(%s, null, %s)::real[]", (user_key, training_cut)
    ).fetchone()
    return None if row is None or row[0] is None else np.array(row[0])


PLAIN = {"half_life_days": None, "recency_power": 0.0, "seen_weight": 0.0, "max_likes": 100}


@pytest.mark.parametrize(
    "dials",
    [
        {"half_life_days": 30.0, "recency_power": 0.5, "seen_weight": 0.3, "max_likes": 6},
        {"half_life_days": None, "recency_power": 0.7, "seen_weight": 0.5, "hidden_units": 0},
        PLAIN | {"hidden_units": 0},
        PLAIN | {"half_life_days": 365.0, "hidden_units": 16},
    ],
)
def test_equals_the_formula_for_a_thousand_users(connection: Connection, dials: dict[str, Any]) -> None:
    world = make_world(n_users=1000, seed=1, **dials)
    fill_catalogue(connection, world)
    fill_marts(connection, world)
    release.write_version(connection, world.bundle(FIRST, users=world.user_keys[:2]))
    rows = connection.execute(
        "select user_key, recsys.user_vector(user_key, %s)::real[] from unnest(%s::text[]) as user_key",
        (FIRST, world.user_keys),
    ).fetchall()
    assert len(rows) == 1000
    errors = [np.abs(np.array(got) - world.user_vector(key)).max() for key, got in rows if got is not None]
    assert len(errors) > 990
    assert np.array(errors).max() < TOLERANCE
    assert all(world.user_vector(key) is None for key, got in rows if got is None)


def test_equals_pytorch(serving: Connection, world: World) -> None:
    weights = {name: (torch.from_numpy(w), torch.from_numpy(b)) for name, (w, b) in world.layers.items()}
    tower = UserTower(world.dim, len(world.config["aggregates"]), world.config["hidden_units"])
    state = {f"{name}.weight": w for name, (w, _) in weights.items()}
    tower.load_state_dict(state | {f"{name}.bias": b for name, (_, b) in weights.items() if name != "output"})
    x = np.random.default_rng(0).normal(size=(50, 2 * world.dim + 5)).astype(np.float32)
    p, q, a = (torch.from_numpy(part) for part in np.split(x, [world.dim, 2 * world.dim], axis=1))
    with torch.no_grad():
        expected = tower(p, q, a).numpy()
    for row, wanted in zip(x, expected, strict=True):
        got = serving.execute(
            "select recsys.tower_output(%s, %s::real[]::vector)::real[]", (FIRST, row.tolist())
        ).fetchone()
        assert got is not None
        assert np.abs(np.array(got[0]) - wanted).max() < TOLERANCE


def test_training_cut_knows_training_rows_only(serving: Connection, world: World) -> None:
    key = world.user_keys[0]
    whole, cut = in_sql(serving, key), in_sql(serving, key, training_cut=True)
    assert np.abs(whole - world.user_vector(key)).max() < TOLERANCE
    assert np.abs(cut - world.user_vector(key, "train")).max() < TOLERANCE
    assert np.abs(whole - cut).max() > 0.001


def test_rows_a_file_called_test_are_not_known(serving: Connection, world: World) -> None:
    key = world.user_keys[1]
    before = in_sql(serving, key)
    unseen = set(range(60)) - {e.video for e in world.events if e.user_key == key}
    for video, split, from_file in ((unseen.pop(), "test", True), (unseen.pop(), "test", False)):
        serving.execute(
            "insert into marts.fct_interactions (user_key, video_id, label, source, split, occurred_at,"
            " is_seen_only, is_split_from_file) values (%s, %s, 1, 'review', %s, now(), false, %s)",
            (key, world.video_ids[video], split, from_file),
        )
        after = in_sql(serving, key)
        assert np.array_equal(before, after) == from_file


def decide(connection: Connection, user: str, video: str, decision: str, ago: str = "0 days") -> None:
    connection.execute(
        "insert into public.user_video_decisions (user_id, video_id, decision_type, created_at)"
        " values (%s, %s, %s, now() - %s::interval) on conflict (user_id, video_id)"
        " do update set decision_type = excluded.decision_type, created_at = excluded.created_at",
        (user, video, decision, ago),
    )


def test_what_was_only_seen_is_not_read_in_place_of_likes(serving: Connection, world: World) -> None:
    """Neither by SQL nor by a client that computes the vector itself."""
    user, key = app_user(0), world.user_keys[0]
    inputs = "select jsonb_array_length(public.user_tower_inputs(%s) -> 'likes')"
    both = len(world.history(key)[1]) + len(world.history(key)[-1])
    assert len(world.history(key)[-1]) > 0
    assert serving.execute(inputs, (user,)).fetchone() == (both,)
    serving.execute("delete from marts.fct_interactions where user_key = %s and label = 1", (key,))
    assert serving.execute(inputs, (user,)).fetchone() == (0,)
    assert in_sql(serving, key) is None


def test_live_decisions_join_what_the_marts_know(serving: Connection, world: World) -> None:
    user, key = app_user(0), world.user_keys[0]
    new = next(v for v in range(60) if v not in {e.video for e in world.events if e.user_key == key})
    decide(serving, user, world.video_ids[new], "like")
    day = serving.execute(
        "select extract(epoch from created_at - timestamptz '2026-01-01') / 86400 + 300"
        " from public.user_video_decisions"
    ).fetchone()
    world_now = World(**{**world.__dict__, "events": [*world.events, Event(key, new, 1, float(day[0]))]})
    assert np.abs(in_sql(serving, key) - world_now.user_vector(key)).max() < TOLERANCE


def test_newest_decision_of_a_pair_wins(serving: Connection, world: World) -> None:
    user, key = app_user(0), world.user_keys[0]
    liked = next(e for e in world.events if e.user_key == key and e.label == 1 and e.day is not None)
    video = world.video_ids[liked.video]

    def label() -> int | None:
        row = serving.execute(
            "select label from recsys.user_videos(%s) where video_id = %s", (key, video)
        ).fetchone()
        return row[0] if row else None

    decide(serving, user, video, "nope", ago="5 years")
    assert label() == 1
    decide(serving, user, video, "SWIPE_NOPE ")
    assert label() == 0
    decide(serving, user, video, "skip")
    assert label() == 1  # a skip overrides nothing


def test_a_live_decision_beats_a_review(serving: Connection, world: World) -> None:
    key = world.user_keys[0]
    serving.execute(
        "update marts.fct_interactions set source = 'review', occurred_at = now() where user_key = %s", (key,)
    )
    liked = next(e for e in world.events if e.user_key == key and e.label == 1)
    decide(serving, app_user(0), world.video_ids[liked.video], "nope", ago="5 years")
    row = serving.execute(
        "select label from recsys.user_videos(%s) where video_id = %s", (key, world.video_ids[liked.video])
    ).fetchone()
    assert row == (0,)


def test_an_app_row_of_the_marts_gives_way_to_the_live_table(serving: Connection, world: World) -> None:
    key = world.user_keys[0]
    serving.execute("update marts.fct_interactions set source = 'app' where user_key = %s", (key,))
    assert in_sql(serving, key) is None  # the app's table has no decision of theirs any more


def test_nothing_to_compute_from(serving: Connection) -> None:
    assert in_sql(serving, "app:not-a-uuid") is None
    assert in_sql(serving, f"app:{app_user(999)}") is None
    assert in_sql(serving, "review:nobody") is None
    assert serving.execute("select recsys.user_vector(null)").fetchone() == (None,)


def test_likes_of_videos_younger_than_the_version_wait(serving: Connection) -> None:
    row = serving.execute(
        "insert into public.videos (title, source) values ('new', 'test') returning id::text"
    ).fetchone()
    assert row is not None
    decide(serving, app_user(999), row[0], "like")
    assert in_sql(serving, f"app:{app_user(999)}") is None


def test_stored_vectors_are_those_sql_would_compute(serving: Connection) -> None:
    stored = serving.execute(
        "select embedding::real[], recsys.user_vector(user_key)::real[] from recsys.user_embeddings"
    ).fetchall()
    assert len(stored) == 12
    assert max(np.abs(np.subtract(*pair)).max() for pair in stored) < TOLERANCE
    assert serving.execute("select count(*) from recsys.changed_users(%s)", (FIRST,)).fetchone() == (0,)


def test_changed_users_are_refreshed_in_one_statement(serving: Connection, world: World) -> None:
    videos = world.video_ids
    decide(serving, app_user(0), videos[0], "like")
    decide(serving, app_user(999), videos[1], "like")
    decide(serving, app_user(998), videos[1], "nope")  # nobody without a like has a vector
    changed = {key for (key,) in serving.execute("select recsys.changed_users(%s)", (FIRST,))}
    assert changed == {f"app:{app_user(0)}", f"app:{app_user(999)}"}
    assert serving.execute("select recsys.refresh_changed_users()").fetchone() == (2,)
    assert serving.execute("select recsys.refresh_changed_users()").fetchone() == (0,)
    stored = serving.execute(
        "select embedding::real[], recsys.user_vector(user_key)::real[] from recsys.user_embeddings"
        " where user_key = any(%s)",
        (list(changed),),
    ).fetchall()
    assert len(stored) == 2
    assert max(np.abs(np.subtract(*pair)).max() for pair in stored) < TOLERANCE


def test_the_trigger_keeps_stored_vectors_up(serving: Connection, world: World) -> None:
    serving.execute("select recsys.follow_decisions()")
    decide(serving, app_user(999), world.video_ids[0], "like")
    count = "select count(*) from public.user_embeddings where user_id = %s"
    assert serving.execute(count, (app_user(999),)).fetchone() == (1,)
    serving.execute("delete from public.user_video_decisions")
    assert serving.execute(count, (app_user(999),)).fetchone() == (0,)
    serving.execute("select recsys.follow_decisions(false)")
    decide(serving, app_user(999), world.video_ids[0], "like")
    assert serving.execute(count, (app_user(999),)).fetchone() == (0,)


def test_an_aggregate_sql_does_not_know_is_said(serving: Connection) -> None:
    serving.execute(
        "update recsys.embedding_model_versions"
        " set config = jsonb_set(config, '{aggregates,0,name}', '\"shoe_size\"')"
    )
    with pytest.raises(Exception, match="does not know the aggregate shoe_size"):
        in_sql(serving, "review:1")
