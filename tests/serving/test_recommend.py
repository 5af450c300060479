"""recommend_videos against a brute-force twin in numpy, and all its filters, fallbacks and bounds."""

from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import numpy as np
import psycopg
import pytest

from serving.conftest import FIRST
from serving.world import (
    EPOCH,
    World,
    app_user,
    fill_catalogue,
    fill_marts,
    make_world,
    of_lengths,
    with_unequal_lengths,
)
from trainer import release
from trainer.database import Connection
from trainer.settings import resource

LONGEST_FIRST = resource("sql") / "migrations" / "20261120092400_longest_first.sql"
USER = app_user(0)
KEY = f"app:{USER}"
Row = tuple[int, str, float, str, str | None]


def recommend(
    connection: Connection, count: int | None = 20, user: str | None = USER, **named: Any
) -> list[Row]:
    types = {"exclude_ids": "uuid[]", "max_per_maker": "integer", "diversity": "real"}
    types |= {"released_after": "date", "released_before": "date"}
    arguments = "".join(f", {name} => %({name})s::{types.get(name, 'text[]')}" for name in named)
    cursor = connection.execute(
        "select rank, video_id::text, score, reason, model_version"
        f" from public.recommend_videos(%(count)s, %(user)s{arguments})".encode(),
        {"count": count, "user": user} | named,
    )
    return [tuple(row) for row in cursor]


def ids(rows: list[Row]) -> list[str]:
    return [row[1] for row in rows]


def twin(world: World, key: str = KEY, forbidden: set[int] | None = None) -> list[tuple[str, float]]:
    """Every video the user has not met, best first."""
    vector = world.user_vector(key)
    assert vector is not None
    met = {event.video for event in world.events if event.user_key == key} | (forbidden or set())
    scores = world.item_vectors.astype(float) @ vector
    return [(world.video_ids[k], scores[k]) for k in np.argsort(-scores) if k not in met]


def test_equals_brute_force(serving: Connection, world: World) -> None:
    rows, expected = recommend(serving), twin(world)[:20]
    assert ids(rows) == [video for video, _ in expected]
    assert [row[0] for row in rows] == list(range(1, 21))
    assert np.allclose([row[2] for row in rows], [score for _, score in expected], atol=1e-6)
    assert {row[4] for row in rows} == {FIRST}


def test_reasons_name_a_like(serving: Connection, world: World) -> None:
    liked = {f'"Title {e.video}"' for e in world.events if e.user_key == KEY and e.label == 1}
    reasons = {row[3] for row in recommend(serving)}
    assert all(any(title in reason for title in liked) for reason in reasons)


@pytest.mark.parametrize(
    ("count", "expected"), [(None, 20), (0, 0), (-3, 0), (1, 1), (10**9, 48), (2**31 - 1, 48)]
)
def test_match_count(serving: Connection, count: int | None, expected: int) -> None:
    assert len(recommend(serving, count)) == expected  # 60 videos, 12 met


def test_is_deterministic(serving: Connection) -> None:
    assert recommend(serving, 48) == recommend(serving, 48)


@pytest.mark.parametrize("decision", ["like", "nope", "skip", "a word nobody knows"])
def test_what_was_just_decided_is_left_out(serving: Connection, decision: str) -> None:
    first = recommend(serving, 1)[0][1]
    serving.execute(
        "insert into public.user_video_decisions (user_id, video_id, decision_type) values (%s, %s, %s)",
        (USER, first, decision),
    )
    assert first not in ids(recommend(serving, 60))


def test_a_like_is_felt_by_the_next_query(serving: Connection, world: World) -> None:
    before = recommend(serving, 5)
    worst = twin(world)[-1][0]
    serving.execute(
        "insert into public.user_video_decisions (user_id, video_id, decision_type) values (%s, %s, 'like')",
        (USER, worst),
    )
    after = recommend(serving, 5)
    assert [row[2] for row in after] != [row[2] for row in before]


def test_excluded(serving: Connection, world: World) -> None:
    best = [video for video, _ in twin(world)]
    assert ids(recommend(serving, 5, exclude_ids=best[:3])) == best[3:8]
    assert ids(recommend(serving, 5, exclude_ids=None)) == best[:5]
    assert ids(recommend(serving, 5, exclude_ids=[None, best[0]])) == best[1:6]


@pytest.mark.parametrize(
    ("with_tags", "without_tags"),
    [
        (["rare"], None),
        (["all"], ["rare"]),
        (["all", "tag 1"], None),
        (None, ["tag 0", "tag 1"]),
        (["nobody has this"], None),
        (["all", "nobody has this"], None),
        (None, ["nobody has this"]),
        ([], []),
        (["rare"], ["all"]),
        ([None, "all"], [None]),
    ],
)
def test_tags(serving: Connection, world: World, with_tags: list[str], without_tags: list[str]) -> None:
    def passes(video: str) -> bool:
        tags = set(world.tags[world.video_ids.index(video)])
        wanted, unwanted = ({t for t in given or [] if t} for given in (with_tags, without_tags))
        return wanted <= tags and not unwanted & tags

    expected = [video for video, _ in twin(world) if passes(video)]
    assert ids(recommend(serving, 60, with_tags=with_tags, without_tags=without_tags)) == expected


@pytest.mark.parametrize(
    ("after", "before", "days"),
    [
        (date(2025, 12, 2), None, range(31)),  # the day itself is in
        (None, date(2025, 12, 2), range(30, 60)),
        (date(2025, 12, 2), date(2025, 12, 20), range(12, 31)),
        (date(2026, 1, 2), None, range(0)),
        (date(2025, 12, 2), date(2025, 12, 1), range(0)),
        (None, None, range(60)),
    ],
)
def test_released(
    serving: Connection, world: World, after: date | None, before: date | None, days: range
) -> None:
    serving.execute(
        "update public.videos set product_released_at = created_at"
    )  # video k: k days before 2026
    serving.execute(
        "update public.videos set product_released_at = null where id = %s", (world.video_ids[20],)
    )
    asked = {"released_after": after, "released_before": before}
    unknown = set() if after is None and before is None else {world.video_ids[20]}
    wanted = {world.video_ids[k] for k in days} - unknown
    expected = [video for video, _ in twin(world) if video in wanted]
    assert ids(recommend(serving, 60, **asked)) == expected
    assert set(ids(recommend(serving, 60, None, **asked))) == wanted  # popularity takes them too
    tagged = recommend(serving, 60, with_tags=["rare"], **asked)
    assert set(ids(tagged)) == {v for v in expected if world.video_ids.index(v) % 20 == 0}


def test_max_per_maker(serving: Connection, world: World) -> None:
    chosen: list[str] = []
    count: dict[str, int] = {}
    for video, _ in twin(world):
        maker = world.makers[world.video_ids.index(video)]
        if count.setdefault(maker, 0) < 2:
            count[maker] += 1
            chosen.append(video)
    assert ids(recommend(serving, 10, max_per_maker=2)) == chosen[:10]
    assert ids(recommend(serving, 60, max_per_maker=2)) == chosen  # 7 makers: 14 and no more
    assert len(recommend(serving, 60, max_per_maker=0)) == 48  # no limit


def test_videos_without_a_maker_are_nobodys(serving: Connection) -> None:
    serving.execute("update public.videos set maker = null")
    assert len(recommend(serving, 48, max_per_maker=1)) == 48


def test_diversity_is_maximal_marginal_relevance(serving: Connection, world: World) -> None:
    candidates = twin(world)
    vectors = {video: world.item_vectors[world.video_ids.index(video)] for video, _ in candidates}
    chosen: list[tuple[str, float]] = []
    while len(chosen) < 10:
        rest = [c for c in candidates if c not in chosen]
        chosen.append(
            max(
                rest,
                key=lambda c: (
                    0.6 * c[1]
                    - (0.4 * max(float(vectors[c[0]] @ vectors[v]) for v, _ in chosen) if chosen else 0)
                ),
            )
        )
    rows = recommend(serving, 10, diversity=0.4)
    assert ids(rows) == [video for video, _ in chosen]
    assert np.allclose(
        [row[2] for row in rows], [score for _, score in chosen], atol=1e-6
    )  # still the cosine


@pytest.mark.parametrize("diversity", [None, -1, float("nan")])
def test_no_diversity(serving: Connection, diversity: float | None) -> None:
    assert recommend(serving, diversity=diversity) == recommend(serving)


@pytest.mark.parametrize("diversity", [0.5, 1, 7])
def test_diversity_keeps_the_count(serving: Connection, diversity: float) -> None:
    rows = recommend(serving, 48, diversity=diversity)
    assert len(set(ids(rows))) == 48


def test_new_videos_fill_the_end(serving: Connection, world: World) -> None:
    for title in ("new one", "new two"):
        serving.execute("insert into public.videos (title, source) values (%s, 'test')", (title,))
    rows = recommend(serving, 60)
    assert len(rows) == 50
    assert ids(rows)[:48] == [video for video, _ in twin(world)]
    scores = [row[2] for row in rows]
    assert scores == sorted(scores, reverse=True)
    assert [row[0] for row in rows] == list(range(1, 51))


def test_deleted_videos_are_gone_at_once(serving: Connection, world: World) -> None:
    expected = [video for video, _ in twin(world)]
    serving.execute("delete from public.videos where id = any(%s)", (expected[:30],))
    assert ids(recommend(serving, 10)) == expected[30:40]


def test_without_a_history_popularity(serving: Connection, world: World) -> None:
    rows = recommend(serving, 60, user=app_user(999))
    assert len(rows) == 60
    likes = dict.fromkeys(world.video_ids, 0)
    for event in world.events:
        likes[world.video_ids[event.video]] += event.label == 1
    counts = [likes[row[1]] for row in rows]
    assert counts == sorted(counts, reverse=True)
    assert all(0 <= row[2] <= 1 and "popular" in row[3] for row in rows)
    assert rows == recommend(serving, 60, user=None)


def test_popularity_takes_the_same_filters(serving: Connection, world: World) -> None:
    rows = recommend(serving, 60, user=None, with_tags=["rare"], exclude_ids=[world.video_ids[0]])
    assert {world.video_ids.index(row[1]) for row in rows} == {20, 40}
    per_maker = [
        world.makers[world.video_ids.index(v)] for v in ids(recommend(serving, 60, None, max_per_maker=1))
    ]
    assert sorted(per_maker) == sorted(set(world.makers))


@pytest.fixture
def renewed(serving: Connection) -> list[str]:
    """Four videos listed 1 to 4 days ago among sixty old ones; counted."""
    rows = serving.execute(
        "insert into public.videos (title, maker, source, created_at) select 'new ' || n, 'new maker',"
        " 'test', now() - make_interval(days => n) from generate_series(1, 4) as n returning id::text"
    ).fetchall()
    serving.execute("select recsys.refresh_popularity()")
    return [video for (video,) in rows]


def test_what_is_new_gets_every_fifth_place_of_people_without_a_like(
    serving: Connection, renewed: list[str]
) -> None:
    rows = recommend(serving, 20, user=None)
    assert [row[1] for row in rows[4::5]] == renewed
    assert all(row[3].startswith("new: listed on 20") for row in rows[4::5])
    assert [row[2] for row in rows] == sorted((row[2] for row in rows), reverse=True)
    assert [row[0] for row in rows] == list(range(1, 21))
    assert rows == recommend(serving, 20, user=app_user(999))
    assert len(set(ids(recommend(serving, 64, user=None)))) == 64
    assert not set(ids(recommend(serving, 4, user=None))) & set(renewed)  # a fifth of four is none
    assert not set(ids(recommend(serving, 20))) & set(renewed)  # who has likes gets what they like
    once = ids(recommend(serving, 20, user=None, max_per_maker=1))
    assert len(set(once) & set(renewed)) == 1
    assert not set(ids(recommend(serving, 20, user=None, with_tags=["all"]))) & set(renewed)


def test_new_says_nothing_where_everything_is(serving: Connection, renewed: list[str]) -> None:
    popular = [row[0] for row in serving.execute("select video_id::text from popular_videos(20)")]
    for change in (
        "update recsys.settings set value = '0' where key = 'new_share'",
        "update recsys.settings set value = '0.2' where key = 'new_share'; update public.videos set"
        " product_released_at = now() - interval '1 day' where title like 'Title 5_'",
    ):
        serving.execute(change.encode())
        serving.execute("select recsys.refresh_popularity()")
        assert not any(row[3].startswith("new") for row in recommend(serving, 20, user=None))
    assert set(popular) & set(ids(recommend(serving, 20, user=None)))


def test_popular_counts_recent_likes_first_and_at_once(serving: Connection, world: World) -> None:
    least = recommend(serving, 60, user=None)[-1][1]
    serving.execute(
        "insert into public.user_video_decisions (user_id, video_id, decision_type) values (%s, %s, 'like')",
        (app_user(500), least),
    )
    for days in (30, 7):
        rows = serving.execute(
            "select video_id::text, score from public.popular_videos(60, %s)", (days,)
        ).fetchall()
        assert rows[0][0] == least
        assert len(rows) == 60
        assert all(0 <= score <= 1 for _, score in rows)
    serving.execute("update public.user_video_decisions set created_at = now() - interval '40 days'")
    serving.execute("select recsys.refresh_popularity()")
    assert serving.execute("select video_id::text from public.popular_videos(1)").fetchone() != (least,)
    assert serving.execute("select video_id::text from public.popular_videos(1, 60)").fetchone() == (least,)


@pytest.mark.parametrize("arguments", ["null", "0", "-1", "2147483647, 2147483647", "5, -7", "5, null"])
def test_popular_bounds(serving: Connection, arguments: str) -> None:
    serving.execute(f"select * from public.popular_videos({arguments})".encode())


def test_before_any_model_and_before_any_mart(connection: Connection, world: World) -> None:
    assert recommend(connection) == []
    fill_catalogue(connection, world)
    assert ids(recommend(connection, 3)) == world.video_ids[:3]  # the newest
    assert (
        connection.execute("select * from public.similar_videos(%s)", (world.video_ids[0],)).fetchall() == []
    )
    connection.execute(
        "insert into public.user_video_decisions (user_id, video_id, decision_type) values (%s, %s, 'like')",
        (app_user(1), world.video_ids[7]),
    )
    rows = recommend(connection, 60)
    assert rows[0][1] == world.video_ids[7]
    assert rows[0][4] is None
    assert world.video_ids[7] not in ids(recommend(connection, 60, user=app_user(1)))
    fill_marts(connection, world)
    assert len(recommend(connection, 60)) == 48


def test_serves_while_marts_are_dropped_and_rebuilt(serving: Connection, world: World) -> None:
    before = recommend(serving)
    with serving.transaction():
        serving.execute("alter table marts.fct_interactions rename to fct_interactions__dbt_backup")
        serving.execute("create table marts.fct_interactions (like marts.fct_interactions__dbt_backup)")
        serving.execute("insert into marts.fct_interactions select * from marts.fct_interactions__dbt_backup")
        serving.execute("drop table marts.fct_interactions__dbt_backup cascade")
    assert recommend(serving) == before
    serving.execute("drop schema marts cascade")
    assert len(recommend(serving, 60)) == 60  # nothing is known of the user any more: popularity


def test_similar_videos(serving: Connection, world: World) -> None:
    scores = world.item_vectors @ world.item_vectors[5]
    expected = [world.video_ids[k] for k in np.argsort(-scores) if k != 5]
    rows = serving.execute(
        "select video_id::text, similarity from public.similar_videos(%s, 7)", (world.video_ids[5],)
    )
    found = rows.fetchall()
    assert [video for video, _ in found] == expected[:7]
    assert found[0][1] == pytest.approx(np.sort(scores)[-2], abs=1e-6)


def test_match_videos(serving: Connection, world: World) -> None:
    query = world.item_vectors[3] * 9  # any length
    rows = serving.execute(
        "select video_id::text, similarity from public.match_videos(%s::real[]::vector, 60, 0.2)",
        (query.tolist(),),
    ).fetchall()
    scores = world.item_vectors @ world.item_vectors[3]
    assert [video for video, _ in rows] == [
        world.video_ids[k] for k in np.argsort(-scores) if scores[k] >= 0.2
    ]
    with pytest.raises(psycopg.errors.DataException, match="different vector dimensions"):
        serving.execute("select * from public.match_videos('[1,2,3]')")
    with pytest.raises(psycopg.errors.DataException, match="no direction"):
        serving.execute("select * from public.match_videos(array_fill(0::real, array[16])::vector)")


@pytest.fixture(scope="module")
def large_world() -> World:
    """Large enough for an index."""
    world = with_unequal_lengths(make_world(n_videos=12_000, n_users=4, dim=32, seed=3), n_ranked=28)
    tags = [
        [f"{name}" for name, every in (("percent", 100), ("permille", 1000)) if k % every == 0]
        + (["half"] if k % 2 else [])
        for k in range(12_000)
    ]
    return World(**{**world.__dict__, "tags": tags})


def chosen_order(connection: Connection, query: np.ndarray) -> str | None:
    """Through which index a vector's neighbours are sought in version FIRST: 'ranked', 'cosine' or None."""
    row = connection.execute(
        "select nearest_first"
        " from recsys.approximate_order('recsys.video_embeddings_' || %s, %s::real[]::vector)",
        (FIRST, query.tolist()),
    ).fetchone()
    return row and ("ranked" if "<#>" in row[0] else "cosine")


def share_found(connection: Connection, world: World, query: np.ndarray, banned: str | None = None) -> float:
    """How many of the true twenty the search finds."""
    found = connection.execute(
        "select video_id::text from recsys.nearest(%s, %s::real[]::vector, 20, %s::uuid[])",
        (FIRST, query.tolist(), [banned] if banned else []),
    ).fetchall()
    best = [world.video_ids[k] for k in np.argsort(-(world.item_vectors @ query))]
    return len({video for (video,) in found} & set([v for v in best if v != banned][:20])) / 20


def test_an_index_finds_short_and_long_videos(connection: Connection) -> None:
    world = with_unequal_lengths(make_world(n_videos=12_000, n_users=1, dim=64, seed=6), n_ranked=56)
    fill_catalogue(connection, world)
    release.write_version(connection, world.bundle(FIRST))
    rng = np.random.default_rng(6)
    users = np.pad(rng.normal(size=(60, 56)), ((0, 0), (0, 8)))
    videos = rng.choice(12_000, 60, replace=False)
    assert chosen_order(connection, users[0]) == "ranked"
    assert np.mean([share_found(connection, world, user) for user in users]) >= 0.98
    # what a video is like is a question to the other index
    assert chosen_order(connection, world.item_vectors[videos[0]]) == "cosine"
    shares = [share_found(connection, world, world.item_vectors[k], world.video_ids[k]) for k in videos]
    assert np.mean(shares) >= 0.98
    for wrong in (3, 56, 65):
        with pytest.raises(psycopg.errors.DataException, match="dimensions"):
            connection.execute("select recsys.nearest(%s, %s::real[]::vector, 20)", (FIRST, [1.0] * wrong))


def test_where_no_video_is_longer_the_graph_finds_what_is_near(connection: Connection) -> None:
    world = make_world(n_videos=12_000, n_users=1, dim=64, seed=6)
    items = of_lengths(world.item_vectors[:, :56], world.item_vectors[:, 56:], np.full(12_000, 0.5))
    world = replace(world, item_vectors=items, config=world.config | {"n_ranked": 56})
    fill_catalogue(connection, world)
    release.write_version(connection, world.bundle(FIRST))
    users = np.pad(np.random.default_rng(6).normal(size=(60, 56)), ((0, 0), (0, 8)))
    assert chosen_order(connection, users[0]) == "ranked"
    assert np.mean([share_found(connection, world, user) for user in users]) >= 0.98
    assert plan_of(connection, users[0]).count("Index Scan using") == 2
    # a version of before that index has it from the migration
    row = connection.execute(
        "select schemaname || '.' || indexname from pg_indexes"
        " where indexdef like '%%vector_norm%%' and tablename = 'video_embeddings_' || %s",
        (FIRST,),
    ).fetchone()
    assert row is not None
    connection.execute(f"drop index {row[0]}".encode())
    assert plan_of(connection, users[0]).count("Index Scan using") == 1
    connection.execute(LONGEST_FIRST.read_bytes())
    connection.execute("analyze recsys.video_embeddings")
    assert plan_of(connection, users[0]).count("Index Scan using") == 2


def plan_of(connection: Connection, query: np.ndarray) -> str:
    """How a vector's neighbours are sought in version FIRST."""
    row = connection.execute(
        "select recsys.nearest_query(%s, nearest_first, longest_first, 'true')"
        " from recsys.approximate_order('recsys.video_embeddings_' || %s, %s::real[]::vector)",
        (FIRST, FIRST, query.tolist()),
    ).fetchone()
    assert row is not None
    text = row[0].replace("$1", f"'{query.tolist()}'::vector")
    text = text.replace("$4", "80").replace("$6", "20")
    return "\n".join(line for (line,) in connection.execute(f"explain {text}".encode()))


def n_indexes(connection: Connection, bundle: release.VersionBundle) -> int:
    """How many HNSW indexes a version gets where sixty videos are enough for one."""
    connection.execute("update recsys.settings set value = '50' where key = 'index_above'")
    release.write_version(connection, bundle)
    row = connection.execute(
        "select count(*) from pg_indexes where tablename = 'video_embeddings_' || %s"
        " and indexdef like '%%USING hnsw%%'",
        (bundle.version,),
    ).fetchone()
    assert row is not None
    return int(row[0])


@pytest.mark.parametrize(("n_ranked", "expected"), [(None, 1), (0, 1), (16, 1), (17, 1), (14, 2)])
def test_a_version_without_ranking_coordinates_has_one_index(
    serving: Connection, world: World, n_ranked: int | None, expected: int
) -> None:
    config = world.config if n_ranked is None else world.config | {"n_ranked": n_ranked}
    assert n_indexes(serving, world.bundle("202601020000", config=config)) == expected


@pytest.mark.parametrize(("n_ranked", "expected"), [(0, 0), (3800, 1)])
def test_more_dimensions_than_an_index_takes(
    serving: Connection, world: World, n_ranked: int, expected: int
) -> None:
    dim = 4400
    items = np.pad(world.item_vectors, ((0, 0), (0, dim - world.dim)))
    bundle = world.bundle(
        "202601020000",
        embedding_dim=dim,
        item_vectors=items,
        history_vectors=items,
        user_keys=[],
        user_vectors=np.zeros((0, dim), np.float32),
        tower_rows=[("skip", 0, [0.0] * (2 * dim + len(world.config["aggregates"])), 1.0)],
        config=world.config | {"n_ranked": n_ranked},
    )
    assert n_indexes(serving, bundle) == expected
    rows = serving.execute(
        "select video_id::text from recsys.nearest(%s, %s::real[]::vector, 7)",
        (bundle.version, items[5].tolist()),
    ).fetchall()
    nearest = np.argsort(-(world.item_vectors @ world.item_vectors[5]))[:7]
    assert rows == [(world.video_ids[k],) for k in nearest]


def test_filters_do_not_starve_the_index(connection: Connection, large_world: World) -> None:
    world = large_world
    fill_catalogue(connection, world)
    fill_marts(connection, world)
    release.write_version(connection, world.bundle(FIRST))
    release.promote(connection, FIRST, force=True)
    taste = world.user_vector(KEY)
    assert taste is not None
    assert chosen_order(connection, taste) == "ranked"
    everything = [video for video, _ in twin(world)]

    with connection.transaction():
        unfiltered = ids(recommend(connection, 20))
        row = connection.execute("select current_setting('hnsw.iterative_scan')").fetchone()
        assert row == ("relaxed_order",)
    assert len(set(unfiltered) & set(everything[:20])) >= 19
    for tag in ("half", "percent", "permille", "nobody has this"):
        expected = [v for v in everything if tag in world.tags[world.video_ids.index(v)]][:20]
        found = ids(recommend(connection, 20, with_tags=[tag]))
        assert len(found) == len(expected)
        assert len(set(found) & set(expected)) >= (18 if tag == "half" else len(expected))
    connection.execute("update public.videos set product_released_at = created_at")
    for n_days in (6000, 120, 12, 0):  # half of the catalogue, 1 %, 0.1 %, nothing
        since = EPOCH.date() - timedelta(days=n_days - 1)
        expected = [v for v in everything if world.video_ids.index(v) < n_days][:20]
        found = ids(recommend(connection, 20, released_after=since))
        assert len(found) == len(expected)
        assert len(set(found) & set(expected)) >= (18 if n_days == 6000 else len(expected))
    assert ids(recommend(connection, 20, without_tags=["half"], exclude_ids=everything[:5000]))
    assert len(recommend(connection, 20, exclude_ids=everything[:11_970])) == 18
    assert len(recommend(connection, 500)) == 500
    assert len(recommend(connection, 40, max_per_maker=3)) == 21  # 7 makers
