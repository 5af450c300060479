"""The vars: a pass that is a skip, a window, suspicion, unknown videos registered; the app's logs."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest

from marts import snapshot
from marts.conftest import Build
from marts.world import World, user_uuid, video_uuid
from trainer.database import Address, Connection, connect

URL = "https://www.dmm.co.jp/digital/videoa/-/detail/=/cid={}/"
DIALS = {
    "nope_is_skip": True,
    "window_months": 6,
    "register_unknown_videos": True,
    "suspicious_events_per_minute": 5,
    "suspicious_identical_stars": 6,
    "suspicious_maker_likes": 6,
    "cid_aliases": ["alias_prefix"],
}
NOW = datetime.now(UTC)


def write(world: World) -> None:
    world.videos(*({"external_id": f"abc{n:05}", "maker": "AB"[n % 2]} for n in range(30)))
    old, new = (NOW - timedelta(days=300)).isoformat(), (NOW - timedelta(days=30)).isoformat()

    def review(user: str, video: str, stars: str, time: str | None) -> dict[str, object]:
        return {"product_url": URL.format(video), "reviewer_id": user, "stars": stars, "reviewed_at": time}

    world.reviews(
        review("ann", "abc00001", "5", old),
        review("ann", "abc00002", "5", new),
        review("ann", "abc00003", "5", None),
        review("ann", "new00001", "4", new),
        review("bob", "new00001", "x", new),
        review("bob", "abc4", "5", new),  # padding is not among the allowed rules
        review("bob", "9abc00004", "5", new),
        *(review("fast", f"abc{n:05}", str(1 + n % 5), f"2026-10-01T00:00:{n:02}Z") for n in range(8)),
        *(review("import", f"abc{n:05}", str(1 + n % 5), "2026-10-01T00:00:00Z") for n in range(8)),
        *(review("same", f"abc{n:05}", "2", None) for n in range(8)),
        *(review("fan", f"abc{2 * n:05}", str(4 + n % 2), None) for n in range(8)),
    )
    world.decisions({"reviewer_id": "ann", "item": "abc00002", "decision": "nope"})
    world.execute("create table public.video_views (user_id uuid, watched_seconds numeric)")
    world.execute("insert into public.video_views values (%s, 10), (%s, 20)", [user_uuid("app")] * 2)
    world.execute("create table public.user_sessions (user_id uuid, started_at timestamptz)")
    world.execute(
        "insert into public.user_sessions select %s, now() - n * interval '1 week'"
        " from generate_series(0, 2) as n",
        [user_uuid("app")],
    )
    world.execute("create table public.likes (user_id uuid, video_id uuid, created_at timestamptz)")
    world.execute(
        "insert into public.likes values (%s, %s, now())", [user_uuid("app"), video_uuid("abc00007")]
    )


@pytest.fixture(scope="module")
def dialled(
    make_world: Callable[[], tuple[Address, World]], build: Build
) -> Iterator[tuple[Address, Connection]]:
    address, world = make_world()
    write(world)
    build(address, vars=DIALS)
    with connect(address, autocommit=True) as connection:
        yield address, connection


def outcomes(connection: Connection, user: str) -> dict[int, str]:
    rows = connection.execute(
        "select line_number, outcome from martello_intermediate.int_line_outcomes where user_key = %s", [user]
    ).fetchall()
    return dict(rows)


def test_window_aliases_and_registration(dialled: tuple[Address, Connection]) -> None:
    _, connection = dialled
    rows = connection.execute(
        "select line_number, outcome, match_rule from martello_intermediate.int_line_outcomes"
        " where source = 'review' and user_key in ('review:ann', 'review:bob') order by line_number"
    ).fetchall()
    assert rows == [
        (2, "outside_window", "external_id"),
        (3, "used", "external_id"),  # the decision about it is a skip
        (4, "used", "external_id"),  # without a time nothing says it is old
        (5, "used", "registered"),
        (6, "bad_stars", "registered"),
        (7, "used", "registered"),
        (8, "used", "alias_prefix"),
    ]


def test_registered_videos_are_stubs_of_the_catalogue(
    dialled: tuple[Address, Connection], build: Build
) -> None:
    address, connection = dialled
    query = (
        "select id, external_id, title, product_url from public.videos where source = 'registered' order by 2"
    )
    stubs = connection.execute(query).fetchall()
    assert [row[1:] for row in stubs] == [
        ("abc4", "abc4", URL.format("abc4")),
        ("new00001", "new00001", URL.format("new00001")),
    ]
    ids = [row[0] for row in stubs]
    in_mart = connection.execute("select count(*) from marts.dim_videos where video_id = any(%s)", [ids])
    assert in_mart.fetchone() == (2,)
    before = snapshot.marts(address)
    build(address, vars=DIALS)
    assert connection.execute(query).fetchall() == stubs
    assert snapshot.marts(address) == before


def test_suspicious_users_stay_out_and_stay_known(dialled: tuple[Address, Connection]) -> None:
    _, connection = dialled
    reasons = connection.execute(
        "select user_key, suspicion_reason from marts.dim_users where is_suspicious order by user_key"
    ).fetchall()
    assert reasons == [
        ("review:fan", "100 % of 8 likes are for maker A"),
        ("review:fast", "8 events in one minute"),
        ("review:same", "all 8 reviews have 2 stars"),
    ]
    assert set(outcomes(connection, "review:fast").values()) == {"suspicious_user"}
    assert set(outcomes(connection, "review:import").values()) == {"used", "seen_only"}


def test_likes_and_logs_of_the_app_are_read(dialled: tuple[Address, Connection]) -> None:
    _, connection = dialled
    user = f"app:{user_uuid('app')}"
    found = connection.execute(
        "select label, source, match_rule from marts.fct_interactions where user_key = %s", [user]
    ).fetchall()
    assert found == [(1, "app", "app")]
    usage = connection.execute(
        "select view_time_avg, session_frequency from marts.dim_users where user_key = %s", [user]
    ).fetchone()
    assert usage == (15.0, 1.5)


def test_the_seed_says_skip_to_everyone_who_reads_it(dialled: tuple[Address, Connection]) -> None:
    _, connection = dialled
    labels = dict(connection.execute("select decision, label from marts.decision_labels").fetchall())
    assert labels["nope"] is labels["swipe_nope"] is labels["skip"] is None
    assert (labels["like"], labels["dislike"]) == (1, 0)
