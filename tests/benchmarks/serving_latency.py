"""How long publishing takes and how quickly lists come, from a server of its own on this machine.

    python tests/benchmarks/serving_latency.py --videos 50000 --users 100000 [--seconds 0] [--copies-of URL]

With 0 seconds only publishing is timed, and what the index finds. With the URL of a database (the demo's:
`python -m trainer db url --with-password`) the version is made of the one that serves there, see
serving_copies.py.

The server is the one of `db start`, with its settings, in a temporary folder.

The catalogue is 200 clusters of 24 real dimensions (trained vectors have few; independent noise in all 256
makes every neighbour equally far), of unequal lengths in the ranking coordinates, as a model of real ratings
has them; 2,000 of the users have 20 to 160 decisions each. Every figure is taken from client processes of
their own (over psycopg where nothing else is said), server and clients on the same cores: see `uptime` first.
"""

import argparse
import multiprocessing
import sys
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from serving_copies import copied, read_original
from serving_rivals import measure_faiss, measure_rest

from serving.world import MARTS, app_user, of_lengths, unequal_lengths
from trainer import migrations, release, server
from trainer.database import Address, Connection, address, connect, open_connection
from trainer.ports import free_port
from trainer.warm_start import ranking_dim

ACTIVE_USERS, CLUSTERS, MAKERS = 2_000, 200, 300
AGGREGATES = ["log_n_likes", "log_n_dislikes", "mean_log_price", "mean_log_duration", "mean_release_year"]
QUESTIONS = {
    "recommend, stored vector": "select * from public.recommend_videos(20, %(user)s)",
    "recommend, vector computed live": "select * from public.recommend_videos(20, %(stale)s)",
    "recommend, tag of 1 % of videos": (
        "select * from public.recommend_videos(20, %(user)s, with_tags => '{percent}')"
    ),
    "recommend, max_per_maker 2": "select * from public.recommend_videos(20, %(user)s, max_per_maker => 2)",
    "recommend, diversity 0.3": "select * from public.recommend_videos(20, %(user)s, diversity => 0.3)",
    "recommend to a visitor": "select * from public.recommend_videos(20)",
    "recommend, exact scan": "select * from recsys.recommend('app:' || %(user)s, 20, is_exact => true)",
    "similar_videos": "select * from public.similar_videos(%(video)s, 20)",
    "refresh_user_embedding": "select public.refresh_user_embedding(%(user)s) is null",
    "explain_recommendation": "select * from public.explain_recommendation(%(video)s, %(user)s)",
}


def make_catalogue(connection: Connection, video_ids: list[str]) -> None:
    """Videos with maker, one tag of a hundred and, every hundredth, the tag `percent`."""
    with connection.cursor() as cursor:
        with cursor.copy("copy public.videos (id, external_id, title, maker, source) from stdin") as copy:
            for k, video in enumerate(video_ids):
                copy.write_row((video, f"ext-{k}", f"Title {k}", f"maker {k % MAKERS}", "bench"))
        cursor.execute(
            "insert into public.tags (name)"
            " select 'tag ' || n from generate_series(0, 99) n union select 'percent'"
        )
        cursor.execute("""
            insert into public.video_tags
            select videos.id, tags.id
            from (select id, row_number() over (order by id) as n from public.videos) as videos
            inner join public.tags
                on tags.name = 'tag ' || (n / 7 % 100) or (tags.name = 'percent' and n % 100 = 0)
        """)
        cursor.execute(MARTS.encode())
        cursor.execute(
            "insert into marts.dim_videos (video_id, price, duration_seconds, released_on)"
            " select id, 1000, 3600, '2020-01-01' from public.videos"
        )


def cluster_events(cluster_N: np.ndarray) -> Iterator[tuple[int, int, int]]:
    """(user, video, label) of users who like two or three clusters."""
    rng = np.random.default_rng(1)
    for user in range(ACTIVE_USERS):
        liked = np.flatnonzero(np.isin(cluster_N, rng.integers(0, CLUSTERS, 3)))
        for video in rng.choice(liked, min(int(rng.integers(20, 160)), len(liked)), replace=False):
            yield user, int(video), int(rng.random() < 0.8)


def make_decisions(
    connection: Connection, video_ids: list[str], events: Iterable[tuple[int, int, int]]
) -> None:
    """In the app's table and, as dbt leaves it, in the marts."""
    rng = np.random.default_rng(1)
    with (
        connection.cursor() as cursor,
        cursor.copy(
            "copy public.user_video_decisions (user_id, video_id, decision_type, created_at) from stdin"
        ) as copy,
    ):
        for user, video, label in events:
            day = f"2026-{rng.integers(1, 10):02}-{rng.integers(1, 28):02}"
            copy.write_row((app_user(user), video_ids[video], "like" if label else "nope", day))
    connection.execute("""
        insert into marts.fct_interactions
            (user_key, video_id, label, source, occurred_at, split, is_seen_only)
        select 'app:' || user_id, video_id, (decision_type = 'like')::int, 'app', created_at, 'train', false
        from public.user_video_decisions
    """)


def make_bundle(video_ids: list[str], cluster_N: np.ndarray, n_users: int, dim: int) -> release.VersionBundle:
    """Vectors around the clusters' centres; a user tower near the identity in the ranking coordinates."""
    rng, n_ranked = np.random.default_rng(2), ranking_dim(dim) + 1
    latent = rng.normal(size=(CLUSTERS, 24))[cluster_N] + 0.7 * rng.normal(size=(len(cluster_N), 24))
    raw = (latent @ rng.normal(size=(24, dim))).astype(np.float32)
    raw += 0.5 * rng.normal(size=raw.shape).astype(np.float32)
    ranked, alike = raw[:, :n_ranked], raw[:, n_ranked:]
    items = of_lengths(ranked, alike, unequal_lengths(len(raw), rng))
    history = np.zeros_like(items)
    history[:, :n_ranked] = 0.3 * ranked / np.linalg.norm(ranked, axis=1, keepdims=True)
    users = np.zeros((n_users, dim), np.float32)
    users[:, :n_ranked] = rng.normal(size=(n_users, n_ranked))
    users /= np.linalg.norm(users, axis=1, keepdims=True)
    skip = np.concatenate([np.eye(dim), -0.3 * np.eye(dim), rng.normal(size=(dim, 5)) * 0.01], axis=1)
    skip[n_ranked:] = 0
    return release.VersionBundle(
        version="202601010000",
        embedding_dim=dim,
        video_ids=video_ids,
        item_vectors=items,
        history_vectors=history,
        user_keys=[f"app:{app_user(k)}" for k in range(n_users)],
        user_vectors=users,
        tower_rows=[("skip", k, skip[k].tolist(), 0.0) for k in range(dim)],
        config={
            "history": {
                "max_likes": 1000,
                "max_dislikes": 100,
                "pooling_exponent": 0.5,
                "half_life_days": None,
            },
            "aggregates": [{"name": name, "mean": 1.0, "std": 1.0} for name in AGGREGATES],
            "n_ranked": n_ranked,
        },
    )


def ask(
    parameters: dict[str, str], statement: str, video_ids: list[str], seed: int, seconds: float
) -> np.ndarray:
    """Milliseconds of each call of one client; the first ten, which warm its caches, are left out."""
    rng, taken = np.random.default_rng(seed), []
    with open_connection(Address(parameters), autocommit=True) as connection:
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            values = {
                "user": app_user(int(rng.integers(0, ACTIVE_USERS // 2))),
                "stale": app_user(int(rng.integers(ACTIVE_USERS // 2, ACTIVE_USERS))),
                "video": video_ids[int(rng.integers(0, len(video_ids)))],
            }
            began = time.perf_counter()
            connection.execute(statement.encode(), values).fetchall()
            taken.append(time.perf_counter() - began)
    return np.array(taken[10:] or taken) * 1000


def measure(where: Address, video_ids: list[str], seconds: float) -> None:
    """Each question from one client and from eight."""
    for name, statement in QUESTIONS.items():
        for n_clients in (1, 8):
            jobs = [(where.parameters, statement, video_ids, seed, seconds) for seed in range(n_clients)]
            with multiprocessing.get_context("spawn").Pool(n_clients) as pool:
                taken = pool.starmap(ask, jobs)
            show(name, taken)


def show(name: str, taken: list[np.ndarray]) -> None:
    """A line of the table, from the milliseconds of each client's calls."""
    rate = sum(len(one) / (one.sum() / 1000) for one in taken)
    p50, p95, p99 = np.percentile(np.concatenate(taken), [50, 95, 99])
    print(f"{name:34}{len(taken):8}{p50:9.2f}{p95:9.2f}{p99:9.2f}{rate:9.0f}", flush=True)


def share_of_exact(connection: Connection, n_users: int = 100) -> float:
    """How many of the exact twenty the index finds, over users with a stored vector."""
    row = connection.execute(
        """
        select avg((exact.id = any(near.ids))::integer)
        from unnest(%s::text[]) as asked (user_key)
        cross join lateral (
            select array_agg(video_id) as ids from recsys.recommend(asked.user_key, 20)
        ) as near
        cross join lateral (
            select video_id as id from recsys.recommend(asked.user_key, 20, is_exact => true)
        ) as exact
        """,
        ([f"app:{app_user(k)}" for k in range(n_users)],),
    ).fetchone()
    return float(row[0]) if row else float("nan")


def for_rivals(
    connection: Connection, video_ids: list[str]
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """What a service of its own would hold per user: places of the videos met, and the stored vector."""
    place = {video: k for k, video in enumerate(video_ids)}
    seen: dict[str, list[int]] = {}
    for user, video in connection.execute(
        "select user_id::text, video_id::text from public.user_video_decisions"
    ):
        seen.setdefault(user, []).append(place[video])
    users = [app_user(k) for k in range(ACTIVE_USERS // 2)]
    vectors = connection.execute(
        "select substr(user_key, 5), embedding::real[] from recsys.user_embeddings where user_key = any(%s)",
        ([f"app:{user}" for user in users],),
    )
    return {user: np.array(seen[user]) for user in users}, {
        user: np.array(vector, np.float32) for user, vector in vectors
    }


def timed(what: str, work: Callable[[], object]) -> None:
    began = time.perf_counter()
    work()
    print(f"{what}: {time.perf_counter() - began:.1f} s", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--videos", type=int, default=50_000)
    parser.add_argument("--users", type=int, default=100_000)
    parser.add_argument("--dim", type=int, default=256)
    parser.add_argument("--seconds", type=float, default=4, help="of asking per figure; 0: none")
    parser.add_argument("--postgres", type=int, default=18, help="16 or 18")
    parser.add_argument("--copies-of", metavar="URL", help="a database whose version to make this one of")
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    video_ids = sorted(str(uuid.UUID(bytes=rng.bytes(16))) for _ in range(options.videos))
    cluster_N = rng.integers(0, CLUSTERS, options.videos)
    original = read_original(address(options.copies_of), ACTIVE_USERS) if options.copies_of else None
    with own_server(options.postgres) as where:
        migrations.migrate(where)
        with connect(where, autocommit=True) as connection:
            make_catalogue(connection, video_ids)
            make_decisions(connection, video_ids, original.events if original else cluster_events(cluster_N))
            connection.execute("vacuum analyze")
            if original:
                bundle = copied(original, video_ids, options.users)
            else:
                bundle = make_bundle(video_ids, cluster_N, options.users, options.dim)
            size = f"{options.videos:,} videos and {options.users:,} users x {bundle.embedding_dim}"
            timed(f"write_version, {size}, with index", lambda: release.write_version(connection, bundle))
            timed("promote", lambda: release.promote(connection, bundle.version, force=True))
            timed("refresh of 2,000 changed users", lambda: _refresh_all(connection))
            connection.execute(
                "update recsys.user_embeddings set history_hash = null where user_key = any(%s)",
                ([f"app:{app_user(k)}" for k in range(ACTIVE_USERS // 2, ACTIVE_USERS)],),
            )
            connection.execute("vacuum analyze recsys.user_embeddings")
            print(f"of the exact twenty the index finds {share_of_exact(connection):.3f}")
            if not options.seconds:
                return
            seen, vectors = for_rivals(connection, video_ids)
        print(f"{'':34}{'clients':>8}{'p50 ms':>9}{'p95 ms':>9}{'p99 ms':>9}{'per s':>9}")
        measure(where, video_ids, options.seconds)
        measure_rest(where, list(seen), options.seconds, show)
    # the rival is given what ours searches: the graph of all coordinates would find far less
    n_ranked = bundle.config["n_ranked"]
    ranked = {user: vector[:n_ranked] for user, vector in vectors.items()}
    measure_faiss(
        np.ascontiguousarray(bundle.item_vectors[:, :n_ranked]), seen, ranked, options.seconds, show
    )


@contextmanager
def own_server(postgres_version: int) -> Iterator[Address]:
    """The server of `db start`, in a folder that is thrown away."""
    with server.scratch_folder() as folder:
        try:
            yield server.start(free_port(), folder / "postgres", postgres_version).address
        finally:
            server.stop(folder / "postgres")


def _refresh_all(connection: Connection) -> None:
    active = [f"app:{app_user(k)}" for k in range(ACTIVE_USERS)]
    connection.execute(
        "update recsys.user_embeddings set history_hash = null where user_key = any(%s)", (active,)
    )
    connection.execute("select recsys.refresh_changed_users()")


if __name__ == "__main__":
    main()
