"""A second build reads only what is new, and its marts are those of a full refresh, byte by byte."""

from collections.abc import Callable, Iterator

import pytest

from marts import snapshot
from marts.conftest import Build
from marts.dirty_world import DETAIL, write
from marts.world import World, user_uuid, video_uuid
from trainer.database import Address


@pytest.fixture
def built(
    make_world: Callable[[], tuple[Address, World]], build: Build
) -> Iterator[tuple[Address, World, set[str]]]:
    """The dirty world, built; and the row versions of its lines."""
    address, world = make_world()
    write(world)
    build(address)
    yield address, world, line_versions(world)


def line_versions(world: World) -> set[str]:
    rows = world.execute("select distinct xmin::text from martello_intermediate.int_lines")
    return {str(row[0]) for row in rows}


def review(video: str, user: str, stars: str, time: str | None = None) -> dict[str, object]:
    return {"product_url": DETAIL.format(video), "reviewer_id": user, "stars": stars, "reviewed_at": time}


def test_equal_to_a_full_refresh(built: tuple[Address, World, set[str]], build: Build) -> None:
    address, world, first_versions = built
    # late rows of known users and of new ones, about known, unknown and unheard-of items
    new_load = world.reviews(
        review("sone00864", "cid", "5", "2024-06-01"),
        review("abc00001", "cid", "5", "2020-01-01"),
        review("abc00005", "newcomer", "4"),
        review("zzz00009", "newcomer", "4"),
        review("zzz00010", "newcomer", "4"),
    )
    world.decisions({"reviewer_id": "ann", "item": "abc00001", "decision": "nope"})
    # the app goes on: a decision changes, one goes, a user goes, a video goes, one comes
    app_user = user_uuid("app")
    world.execute(
        "update public.user_video_decisions set decision_type = 'like', created_at = now()"
        " where user_id = %s and video_id = %s",
        [app_user, video_uuid("abc00001")],
    )
    world.execute(
        "delete from public.user_video_decisions where user_id = %s and video_id = %s",
        [app_user, video_uuid("abc00003")],
    )
    world.execute("delete from public.user_video_decisions where user_id = %s", [user_uuid("linked")])
    world.execute("delete from raw.user_links")
    world.execute("delete from public.videos where external_id = 'abc00009'")
    world.videos({"external_id": "zzz00009", "maker": "Late"})
    world.tags("zzz00009", "drama")
    build(address)
    second = snapshot.marts(address)
    read = world.execute(
        "select distinct load_id from martello_intermediate.int_lines where xmin::text != all(%s)",
        [list(first_versions)],
    )
    assert {row[0] for row in read} == {new_load, new_load + 1}  # the old files were not read again
    build(address, full_refresh=True)
    assert snapshot.marts(address) == second
    assert line_versions(world).isdisjoint(first_versions)


def test_lines_that_change_or_go_are_noticed(built: tuple[Address, World, set[str]], build: Build) -> None:
    address, world, _ = built
    extra = world.reviews(review("abc00001", "gone", "5"), review("abc00002", "gone", "5"))
    build(address)
    assert any("review:gone" in row for row in snapshot.marts(address)["fct_interactions"])
    world.execute("delete from raw.reviews where load_id = %s", [extra])
    world.execute("delete from raw.loads where load_id = %s", [extra])
    world.execute("update raw.reviews set stars = '1' where reviewer_id = 'ann' and stars = '4.5'")
    world.execute("delete from raw.decisions where reviewer_id = 'fay'")
    build(address)
    second = snapshot.marts(address)
    assert not any("review:gone" in row or "review:fay" in row for row in second["dim_users"])
    build(address, full_refresh=True)
    assert snapshot.marts(address) == second
