"""Megabytes per second into Storage and back, and how long `sync` takes for 1,000 videos and 1,000 users.

    python tests/benchmarks/artifacts_traffic.py [VIDEOS, default 10,000]

Storage: SUPABASE_URL and SUPABASE_SECRET_KEY when they are set, and an empty bucket MARTELLO_BUCKET; else the
tests' own server, where the figure is the client's part alone. Database: a throw-away server.
"""

import os
import sys
import tempfile
import time
import uuid
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from pydantic import SecretStr

from trainer import migrations, server
from trainer.artifacts import write_artifacts
from trainer.database import Connection, connect
from trainer.fetch import fetch
from trainer.mart import Catalogue, Interactions, Mart, make_mart
from trainer.precision import LIMIT_BYTES
from trainer.publish import LATEST, publish_artifacts, read_manifest
from trainer.settings import Settings, load_settings
from trainer.storage import SupabaseStorage, open_storage
from trainer.store import LocalFolder
from trainer.sync import sync
from trainer.training import TrainingConfig, fit

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from artifacts import served_world
from artifacts.storage_server import GOOD_KEY, World, storage_server

VERSION = "197001010000"
N_USERS, LIKES_EACH, N_CHANGED = 2_000, 40, 1_000


def main(n_videos: int) -> None:
    mart = _mart(n_videos)
    model = fit(mart, TrainingConfig(epochs=1, refit=False))
    with tempfile.TemporaryDirectory() as name:
        out_dir = Path(name) / "artifacts"
        began = time.perf_counter()
        folder = write_artifacts(out_dir, VERSION, model, mart, {})
        size = sum(p.stat().st_size for p in folder.rglob("*") if p.is_file())
        print(f"{n_videos:,} videos: {size / 1e6:.1f} MB written and checked in {_since(began):.1f} s")
        _storage(LocalFolder(out_dir), size, Path(name) / "fetched")
        with server.throwaway() as address:
            migrations.migrate(address)
            with connect(address, autocommit=True) as connection:
                served_world.fill(connection, mart)
                served_world.release_of(connection, VERSION, model, mart)
                _sync(connection, out_dir, mart)


def _storage(local: LocalFolder, size: int, elsewhere: Path) -> None:
    with ExitStack() as stack:
        bucket = _bucket(stack)
        if read_manifest(bucket):
            sys.exit(f"{bucket} holds releases: name an empty one in MARTELLO_BUCKET")
        began = time.perf_counter()
        publish_artifacts(local, bucket, VERSION)
        taken = _since(began)
        print(f"{bucket}: published and read back in {taken:.1f} s, {size / 1e6 / taken:.0f} MB/s")
        began = time.perf_counter()
        publish_artifacts(local, bucket, VERSION)
        print(f"  again, nothing to send: {_since(began):.1f} s")
        began = time.perf_counter()
        fetch(bucket, elsewhere, VERSION)
        print(f"  fetched and verified: {size / 1e6 / _since(began):.0f} MB/s")
        bucket.remove([*bucket.keys("two_tower"), *LATEST])


def _bucket(stack: ExitStack) -> SupabaseStorage:
    settings = load_settings()
    if not settings.supabase_url:
        settings = Settings.model_construct(
            supabase_url=_own_server(stack).url,
            supabase_secret_key=SecretStr(GOOD_KEY),
            supabase_service_role_key=None,
            martello_bucket=os.environ.get("MARTELLO_BUCKET", "models"),
        )
    bucket = open_storage(settings)
    assert bucket is not None
    return bucket


def _own_server(stack: ExitStack) -> World:
    """With the limit per file that a bucket has by default."""
    world = stack.enter_context(storage_server())
    world.buckets["models"] = LIMIT_BYTES
    return world


def _sync(connection: Connection, out_dir: Path, mart: Mart) -> None:
    began = time.perf_counter()
    print(f"sync, nothing changed: {_since_and(began, sync(connection, out_dir))}")
    connection.execute(
        "update marts.dim_videos set title = title || ' (new cut)', maker = 'another'"
        " where video_id in (select video_id from marts.dim_videos order by video_id limit %s)",
        (N_CHANGED // 2,),
    )
    newer = _catalogue(len(mart.catalogue) + N_CHANGED // 2)
    served_world.add_videos(connection, newer, range(len(mart.catalogue), len(newer)))
    connection.execute(
        "insert into public.user_video_decisions (user_id, video_id, decision_type)"
        " select gen_random_uuid(), video_id, 'like' from marts.dim_videos limit %s",
        (N_CHANGED,),
    )
    began = time.perf_counter()
    print(f"sync, {N_CHANGED:,} videos and users: {_since_and(began, sync(connection, out_dir))}")


def _catalogue(n: int) -> Catalogue:
    words = ["海辺", "図書館", "雪山", "space", "harbour", "料理", "星", "river"]
    empty: list[str | None] = [None] * n
    nan = np.full(n, np.nan)
    makers: list[str | None] = [f"maker {k % 300}" for k in range(n)]
    tags, nobody = [[f"tag {k % 200}", f"tag {k % 7}"] for k in range(n)], [[] for _ in range(n)]
    return Catalogue(
        [str(uuid.UUID(int=(k + 1) << 64 | 1 << 63)) for k in range(n)], [f"x{k}" for k in range(n)],
        [f"{words[k % 8]} {words[k // 8 % 8]} {k}" for k in range(n)], empty, makers,
        empty, empty, empty, empty, tags, nobody,
        100.0 + np.arange(n) % 900, nan, 15_000.0 + np.arange(n) % 3000,
        np.zeros(n, np.float32), np.zeros(n, np.int32), np.zeros(n, np.int32),
    )  # fmt: skip


def _mart(n_videos: int) -> Mart:
    rng = np.random.default_rng(0)
    users = np.repeat(np.arange(N_USERS), LIKES_EACH)
    items = np.concatenate([rng.choice(n_videos, LIKES_EACH, replace=False) for _ in range(N_USERS)])
    n = len(users)
    rows = Interactions(
        users.astype(np.int32), items.astype(np.int32), np.ones(n, np.int8), np.ones(n, np.float32),
        1.7e9 + rng.random(n) * 1e7, np.zeros(n, np.int8), np.zeros(n, np.bool_),
    )  # fmt: skip
    keys = [f"app:{uuid.UUID(int=k + 1)}" if k % 2 else f"review:{k}" for k in range(N_USERS)]
    return make_mart(_catalogue(n_videos), keys, rows)


def _since(began: float) -> float:
    return time.perf_counter() - began


def _since_and(began: float, said: object) -> str:
    return f"{_since(began):.1f} s ({said})"


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000)
