"""Another dimension is another version: nothing is migrated, the old one serves until the new is promoted."""

import json
from pathlib import Path

import numpy as np
import psycopg
import pytest

from artifacts import trained_world
from artifacts.conftest import NEXT_VERSION, VERSION
from artifacts.served_world import bundle_of
from trainer import release
from trainer.artifacts import read_meta, write_artifacts
from trainer.database import Connection
from trainer.errors import ReleaseError
from trainer.mart import Mart
from trainer.sync import sync
from trainer.trained import TrainedModel

NARROW, WIDE = 32, 64


@pytest.fixture(scope="module")
def wide(world: Mart) -> TrainedModel:
    """The same world in 64 dimensions."""
    return trained_world.train(world, embedding_dim=WIDE, use_content=False)


def _view_type(connection: Connection) -> str:
    row = connection.execute(
        "select format_type(atttypid, atttypmod) from pg_attribute"
        " where attrelid = 'public.video_embeddings'::regclass and attname = 'embedding'"
    ).fetchone()
    assert row is not None
    return str(row[0]).removeprefix("extensions.")


def _first(connection: Connection, user: str) -> tuple[int, str]:
    rows = connection.execute("select model_version from public.recommend_videos(5, %s)", (user,)).fetchall()
    return len(rows), str(rows[0][0])


def test_old_serves_until_new_is_promoted_and_comes_back(
    serving: Connection, world: Mart, wide: TrainedModel, tmp_path: Path
) -> None:
    user = world.user_keys[1].removeprefix("app:")
    release.write_version(serving, bundle_of(NEXT_VERSION, wide, world))
    assert (_view_type(serving), _first(serving, user)) == (f"vector({NARROW})", (5, VERSION))

    release.promote(serving, NEXT_VERSION, force=True)
    assert (_view_type(serving), _first(serving, user)) == (f"vector({WIDE})", (5, NEXT_VERSION))
    expected = wide.user_vectors(wide.histories(world, "published"))[1]
    row = serving.execute("select recsys.user_vector(%s)::text", (f"app:{user}",)).fetchone()
    assert row is not None
    np.testing.assert_allclose(json.loads(row[0]), expected, atol=1e-4)

    release.rollback(serving)
    assert (_view_type(serving), _first(serving, user)) == (f"vector({NARROW})", (5, VERSION))


def test_sync_takes_the_files_of_the_dimension_that_serves(
    serving: Connection, world: Mart, wide: TrainedModel, out_dir: Path
) -> None:
    release.write_version(serving, bundle_of(NEXT_VERSION, wide, world))
    folder = write_artifacts(out_dir, NEXT_VERSION, wide, world, {})
    assert read_meta(folder)["embedding_dim"] == WIDE
    assert sync(serving, out_dir).version == VERSION
    release.promote(serving, NEXT_VERSION, force=True)
    assert sync(serving, out_dir).version == NEXT_VERSION


def test_a_vector_of_the_other_dimension_is_refused_everywhere(
    serving: Connection, world: Mart, wide: TrainedModel
) -> None:
    narrow, unit = "[" + ",".join(["1"] + ["0"] * 31) + "]", "[" + ",".join(["1"] + ["0"] * 63) + "]"
    serving.execute("select * from public.match_videos(%s::vector, 3)", (narrow,))
    for statement in (
        "select * from public.match_videos(%s::vector, 3)",
        "insert into recsys.user_embeddings (model_version, user_key, embedding)"
        f" values ('{VERSION}', 'review:1', %s::vector)",
    ):
        with pytest.raises(psycopg.Error, match=r"dimension"):
            serving.execute(statement.encode(), (unit,))
    mixed = bundle_of(NEXT_VERSION, wide, world, embedding_dim=NARROW)
    with pytest.raises(ReleaseError, match=r"item vectors of shape \(240, 64\) where \(240, 32\) is meant"):
        release.write_version(serving, mixed)
