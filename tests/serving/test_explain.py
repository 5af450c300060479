"""Explanations: exact sums of the served score, not a story told afterwards."""

import numpy as np
import pytest

from serving.conftest import FIRST, acting_as
from serving.world import World, app_user, fill_catalogue, fill_marts, make_world
from trainer import release
from trainer.database import Connection

ME = app_user(0)
Term = tuple[str, str | None, float]


def explain(connection: Connection, video: str, user: str = ME) -> list[Term]:
    rows = connection.execute(
        "select reason, related_video::text, contribution from public.explain_recommendation(%s, %s)",
        (video, user),
    )
    return [tuple(row) for row in rows]


def test_contributions_add_up_to_the_served_score(serving: Connection) -> None:
    served = serving.execute("select video_id::text, score from recommend_videos(48, %s)", (ME,)).fetchall()
    for video, score in served:
        assert sum(term[2] for term in explain(serving, video)) == pytest.approx(score, abs=1e-4)


@pytest.mark.parametrize("hidden_units", [0, 8])
def test_each_term_is_what_taking_the_like_out_of_the_sum_takes(
    connection: Connection, hidden_units: int
) -> None:
    """Without biases and with the relus as they are, the tower is linear: a term is the like's own part."""
    world = make_world(hidden_units=hidden_units)
    for layer in world.layers.values():
        layer[1][:] = 0
    fill_catalogue(connection, world)
    fill_marts(connection, world)
    release.write_version(connection, world.bundle(FIRST))
    release.promote(connection, FIRST, force=True)
    key, target = f"app:{ME}", 7
    history = world.history(key)
    x = world.tower_input(history)
    matrix = world.layers["skip"][0].astype(float)
    if hidden_units:
        hidden = world.layers["hidden"][0].astype(float)
        is_open = hidden @ x > 0
        matrix = matrix + world.layers["output"][0] @ (hidden * is_open[:, None])
    gradient = world.item_vectors[target] @ matrix / np.linalg.norm(matrix @ x)
    shares = {}
    for labels, begin in (((1, -1), 0), ((0,), world.dim)):
        part = gradient[begin : begin + world.dim]
        weighed = world.weighed(history, *labels)
        total = sum(weight for weight, _ in weighed)
        for weight, place in weighed:
            own = weight / total**0.5 * float(part @ world.history_vectors[place])
            shares[world.video_ids[place]] = own
    terms = explain(connection, world.video_ids[target])
    watched = {video for reason, video, _ in terms if reason.startswith("you watched")}
    assert watched == {video for _, video, _ in history[-1]} != set()
    tags: dict[str, float] = {}
    for _, video, place in history[1]:  # a like's part is told by the video and the tags in common, equally
        common = set(world.tags[place]) & set(world.tags[target])
        shares[video] /= 1 + len(common)
        for tag in common:
            tags[tag] = tags.get(tag, 0) + shares[video]
    assert {video: value for _, video, value in terms if video} == pytest.approx(shares, abs=1e-5)
    told = {reason.split('"')[1]: value for reason, _, value in terms if reason.startswith("tagged")}
    assert told == pytest.approx(tags, abs=1e-5)
    assert f'tagged "all", as {len(history[1])} of the videos you liked' in {reason for reason, *_ in terms}
    rest = next(value for reason, _, value in terms if reason.startswith("what everybody"))
    assert rest == pytest.approx(0, abs=1e-5)  # there is no bias to start from


def test_without_a_vector_popularity_explains(serving: Connection, world: World) -> None:
    (reason, related, contribution), *more = explain(serving, world.video_ids[0], app_user(999))
    assert "popular" in reason
    assert related is None
    assert 0 <= contribution <= 1
    assert more == []
    with acting_as(serving, "authenticated"):
        assert (
            len(serving.execute("select explain_recommendation(%s)", (world.video_ids[0],)).fetchall()) == 1
        )


def test_without_tags_of_the_app_there_are_the_likes(serving: Connection, world: World) -> None:
    serving.execute("drop table public.video_tags")
    ((video, score),) = serving.execute("select video_id::text, score from recommend_videos(1, %s)", (ME,))
    terms = explain(serving, video)
    assert not any(reason.startswith("tagged") for reason, *_ in terms)
    assert sum(term[2] for term in terms) == pytest.approx(score, abs=1e-4)


def test_of_a_video_that_is_not_there(serving: Connection) -> None:
    assert explain(serving, "00000000-0000-0000-0000-000000000001") == []
