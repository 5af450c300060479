"""A second build reads what is new, makes the users that changed, and has the marts of a full refresh.

With `rebuild_share` 1 it goes by users even where most of a small world's have changed.
"""

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


BY_USER = {"rebuild_share": 1}


def line_versions(world: World) -> set[str]:
    rows = world.execute("select distinct xmin::text from martello_intermediate.int_lines")
    return {str(row[0]) for row in rows}


def remade(world: World) -> set[object]:
    """The users the last build made; None among them is everybody."""
    return {row[0] for row in world.execute("select user_key from martello_intermediate.int_changed_users")}


COUNTED = """
    select source, load_id, user_no, count(*), max(happened_at),
        count(*) filter (where has_time and happened_at is null),
        count(*) filter (where has_split and split is null)
    from martello_intermediate.int_lines group by 1, 2, 3
"""


def miscounted(world: World) -> list[tuple[object, ...]]:
    """What int_load_users says of a file and a user beside what their lines say, where the two differ."""
    kept = (
        "select source, load_id, user_no, n_lines, newest_at, n_unreadable_times, n_unreadable_splits"
        " from martello_intermediate.int_load_users"
    )
    return world.execute(f"({COUNTED} except {kept}) union all ({kept} except {COUNTED})")


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
    build(address, vars=BY_USER)
    changed = remade(world)
    assert "review:newcomer" in changed and "review:eve" not in changed and None not in changed
    assert miscounted(world) == []
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
    build(address, vars=BY_USER)
    assert remade(world) == {"review:gone"}
    assert any("review:gone" in row for row in snapshot.marts(address)["fct_interactions"])
    world.execute("delete from raw.reviews where load_id = %s", [extra])
    world.execute("delete from raw.loads where load_id = %s", [extra])
    world.execute("update raw.reviews set stars = '1' where reviewer_id = 'ann' and stars = '4.5'")
    world.execute("delete from raw.decisions where reviewer_id = 'fay'")
    build(address, vars=BY_USER, select=["+int_fresh_outcomes"])  # as if it had failed behind this
    build(address, vars=BY_USER)
    assert miscounted(world) == []
    second = snapshot.marts(address)
    assert not any("review:gone" in row or "review:fay" in row for row in second["dim_users"])
    build(address, full_refresh=True)
    assert snapshot.marts(address) == second


def test_a_forgotten_user_leaves_the_counts(built: tuple[Address, World, set[str]], build: Build) -> None:
    """Known from a file alone: forget_user takes lines and number away, and no line is left to change."""
    address, world, _ = built
    gone = user_uuid("only in a file")
    world.decisions({"user_id": str(gone), "item": "abc00001", "decision": "like"})
    build(address, vars=BY_USER)
    assert f"app:{gone}" in remade(world)
    world.execute("select recsys.forget_user(%s)", [gone])
    world.execute("alter table martello_intermediate.int_states rename user_key to another")
    world.execute("select recsys.forget_user(%s)", [gone])  # as kept by an earlier release: nothing to find
    world.execute("alter table martello_intermediate.int_states rename another to user_key")
    build(address, vars=BY_USER)  # the funnel adds up, or this fails
    second = snapshot.marts(address)
    assert not any(str(gone) in row for rows in second.values() for row in rows)
    build(address, full_refresh=True)
    assert snapshot.marts(address) == second


def test_what_is_not_a_line_changes_users_too(built: tuple[Address, World, set[str]], build: Build) -> None:
    """A price, a tag, a maker, a link; then a var; and a build that failed is made good by the next."""
    address, world, _ = built
    world.execute("update public.videos set price = 5 where external_id = 'abc00006'")
    world.tags("abc00007", "late")
    world.execute("update public.videos set maker = 'Other' where external_id = 'abc00008'")
    build(address, vars=BY_USER)
    assert remade(world) == {"review:ann", "review:fay"}  # nobody else has a line about these
    second = snapshot.marts(address)
    build(address, full_refresh=True)
    assert snapshot.marts(address) == second
    world.execute(
        "insert into raw.user_links (reviewer_id, user_id) values ('bob smith', %s)", [user_uuid("bob")]
    )
    dials = BY_USER | {"min_stars": 5, "window_months": 30, "val_ratio": 0.4, "suspicious_identical_stars": 3}
    build(address, vars=dials, select=["+int_fresh_outcomes"])  # as if it had failed behind this
    build(address, vars=dials)
    second = snapshot.marts(address)
    build(address, vars=dials, full_refresh=True)
    assert snapshot.marts(address) == second


def test_who_only_watches_is_nobody_to_make(built: tuple[Address, World, set[str]], build: Build) -> None:
    """Too many who changed make everybody anew, and viewers who never decided would be counted."""
    address, world, _ = built
    known, viewer = user_uuid("app"), user_uuid("only watches")
    world.execute("create table if not exists public.video_views (user_id uuid, watched_seconds integer)")
    world.execute(
        "insert into public.video_views (user_id, watched_seconds) values (%s, 60), (%s, 60)", [known, viewer]
    )
    build(address, vars=BY_USER)
    assert remade(world) == {f"app:{known}"}


def test_a_video_with_another_id_is_found_by_it(built: tuple[Address, World, set[str]], build: Build) -> None:
    """Keys of videos are made once; of those that changed or came, they are made anew."""
    address, world, _ = built
    versions = "select video_id, xmin::text from martello_intermediate.int_videos"
    before = dict(world.execute(versions))
    world.reviews(review("abc00099", "finder", "5"), review("abc00098", "finder", "5"))
    world.execute("update public.videos set external_id = 'abc00099' where external_id = 'abc00006'")
    world.videos({"external_id": "abc00098"})
    build(address, vars=BY_USER)
    after = dict(world.execute(versions))
    assert {video for video in after if after[video] != before.get(video)} == {
        video_uuid("abc00006"),
        video_uuid("abc00098"),
    }
    second = snapshot.marts(address)
    assert sum("review:finder" in row for row in second["fct_interactions"]) == 2
    build(address, full_refresh=True)
    assert snapshot.marts(address) == second


@pytest.mark.parametrize("split_strategy", ["user_stratified", "temporal"])
def test_every_line_is_in_one_half(
    built: tuple[Address, World, set[str]], build: Build, split_strategy: str
) -> None:
    """The temporal split has one cut for everybody: all are in the first half."""
    address, world, _ = built
    build(address, vars={"split_strategy": split_strategy}, full_refresh=True)
    [(all_lines, lower, upper)] = world.execute(
        "select (select count(*) from martello_intermediate.int_line_outcomes),"
        " (select count(*) from martello_intermediate.int_fresh_outcomes_1),"
        " (select count(*) from martello_intermediate.int_fresh_outcomes_2)"
    )
    assert all_lines == lower + upper
    assert (lower > 0, upper > 0) == (True, split_strategy == "user_stratified")


@pytest.mark.parametrize(
    ("window", "expected"), [(6, {"review:soon", "review:edge"}), (None, {"review:soon"})]
)
def test_time_alone_changes_users(
    make_world: Callable[[], tuple[Address, World]], build: Build, window: int | None, expected: set[str]
) -> None:
    """A time that was in the future comes; a row leaves the window. Nobody else is made again."""
    address, world = make_world()
    world.videos(*({"external_id": f"abc{n:05}"} for n in range(4)))
    world.reviews(*(review("abc00001", f"u{n}", "5", "2024-01-01") for n in range(3)))
    dials = BY_USER | {"window_months": window}
    # late enough for the build that must see them on the other side
    ahead = 5 + 2 * build(address, vars=dials).seconds
    [(soon, edge)] = world.execute(
        "select later::text, (later - interval '6 months')::text"
        " from (select now() + %s * interval '1 s' as later) as times",
        [ahead],
    )
    world.reviews(review("abc00001", "soon", "5", str(soon)), review("abc00002", "edge", "5", str(edge)))
    build(address, vars=dials)
    world.execute("select pg_sleep(greatest(0, extract(epoch from %s::timestamptz - now()) + 0.1))", [soon])
    build(address, vars=dials)
    assert remade(world) == expected
    second = snapshot.marts(address)
    build(address, vars=dials, full_refresh=True)
    assert snapshot.marts(address) == second


def test_many_changes_make_everybody_anew(built: tuple[Address, World, set[str]], build: Build) -> None:
    address, world, _ = built
    build(address)
    assert remade(world) == set()
    build(address, vars={"min_stars": 5})
    assert remade(world) == {None}
