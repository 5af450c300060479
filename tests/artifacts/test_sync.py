"""New, changed and deleted videos reach the version that serves, without training; users follow in SQL."""

import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from artifacts import served_world, trained_world
from artifacts.conftest import NEXT_VERSION, VERSION, open_quickly
from trainer import release
from trainer.artifacts import load_artifacts, write_artifacts
from trainer.database import Address, Connection, connect
from trainer.errors import MartError, ModelMismatchError, ReleaseError, StorageError
from trainer.mart import Catalogue, Mart, read_catalogue
from trainer.publish import publish_artifacts
from trainer.settings import Settings
from trainer.store import LocalFolder
from trainer.sync import Synced, sync
from trainer.trained import TrainedModel

NEWER = trained_world.catalogue(243)


def _count(connection: Connection, statement: str) -> int:
    row = connection.execute(statement.encode()).fetchone()
    assert row is not None
    return int(row[0])


def _vectors(connection: Connection, column: str) -> dict[str, np.ndarray]:
    query = f"select video_id::text, {column}::text from recsys.video_embeddings where model_version = %s"
    rows = connection.execute(query.encode(), (VERSION,))
    return {video: np.array(text[1:-1].split(","), np.float32) for video, text in rows}


def _catalogue(connection: Connection) -> Catalogue:
    with connection.transaction():
        return read_catalogue(connection)


def test_nothing_to_do_writes_nothing(serving: Connection, out_dir: Path) -> None:
    assert sync(serving, out_dir) == Synced(VERSION, 0, 0, 0, 0)


def test_new_videos_get_the_vectors_of_the_item_tower(
    serving: Connection, out_dir: Path, model: TrainedModel
) -> None:
    served_world.add_videos(serving, NEWER, range(240, 243))
    assert sync(serving, out_dir) == Synced(VERSION, 3, 0, 0, 0)
    expected = model.item_vectors(model.encode(_catalogue(serving)))
    for column, vectors in zip(("embedding", "history_embedding"), expected, strict=True):
        stored = _vectors(serving, column)
        for k in range(240, 243):
            np.testing.assert_allclose(stored[NEWER.video_ids[k]], vectors[k], atol=1e-6)
    assert sync(serving, out_dir) == Synced(VERSION, 0, 0, 0, 0)
    assert _count(serving, "select count(*) from public.video_embeddings") == 243


def test_a_new_video_speaks_in_a_history_as_its_kind_does(serving: Connection, out_dir: Path) -> None:
    """Nobody has rated it: its content alone makes its history vector like those of its kind."""
    served_world.add_videos(serving, NEWER, range(240, 243))
    sync(serving, out_dir)
    stored = _vectors(serving, "history_embedding")
    history_ND = np.array([stored[video] for video in NEWER.video_ids])
    history_ND /= np.linalg.norm(history_ND, axis=1, keepdims=True)
    kinds = np.arange(240) % trained_world.TASTES
    for number in range(240, 243):
        likeness = history_ND[:240] @ history_ND[number]
        own = kinds == number % trained_world.TASTES
        assert likeness[own].mean() > likeness[~own].mean() + 0.1


def test_a_changed_video_changes_and_so_do_the_users_who_liked_it(
    serving: Connection, out_dir: Path, world: Mart
) -> None:
    rows = world.interactions
    video = int(rows.item_index[rows.user_index == 1][0])
    concerned = {
        key
        for k in rows.user_index[rows.item_index == video]
        if (key := world.user_keys[k]).startswith("app:")
    }
    before = _vectors(serving, "history_embedding")
    serving.execute(
        "update marts.dim_videos set title = 'deep space', maker = 'maker 3' where video_id = %s",
        (world.catalogue.video_ids[video],),
    )
    written = sync(serving, out_dir)
    assert (written.n_added, written.n_changed, written.n_removed) == (0, 1, 0)
    assert written.n_users == len(concerned) > 0
    after = _vectors(serving, "history_embedding")
    changed = [v for v in before if not np.array_equal(before[v], after[v])]
    assert changed == [world.catalogue.video_ids[video]]
    assert _count(serving, STALE) == 0


# stored vectors that are not what SQL computes now
STALE = """
select count(*) from recsys.user_embeddings as stored
where stored.embedding is distinct from null
and abs(1 - (-1 * (stored.embedding <#> recsys.user_vector(stored.user_key)))) > 1e-5
"""


def test_deleted_videos_go(serving: Connection, out_dir: Path, world: Mart) -> None:
    gone = world.catalogue.video_ids[5]
    serving.execute("delete from marts.fct_interactions where video_id = %s", (gone,))
    serving.execute("delete from marts.dim_videos where video_id = %s", (gone,))
    serving.execute("delete from public.videos where id = %s", (gone,))
    written = sync(serving, out_dir)
    assert (written.n_added, written.n_changed, written.n_removed) == (0, 0, 1)
    assert gone not in _vectors(serving, "embedding")
    assert _count(serving, STALE) == 0


def test_users_follow_their_decisions(serving: Connection, out_dir: Path, world: Mart) -> None:
    user, video = world.user_keys[1].removeprefix("app:"), world.catalogue.video_ids[0]
    serving.execute(
        "insert into public.user_video_decisions (user_id, video_id, decision_type) values (%s, %s, 'like')",
        (user, video),
    )
    assert sync(serving, out_dir).n_users == 1
    assert _count(serving, STALE) == 0
    assert sync(serving, out_dir).n_users == 0


def test_a_video_liked_before_it_had_a_vector_counts_as_soon_as_it_has(
    serving: Connection, out_dir: Path
) -> None:
    served_world.add_videos(serving, NEWER, range(240, 241))
    user = "00000000-0000-0000-0000-00000000ffff"
    serving.execute(
        "insert into public.user_video_decisions (user_id, video_id, decision_type) values (%s, %s, 'like')",
        (user, NEWER.video_ids[240]),
    )
    assert serving.execute("select recsys.user_vector(%s)", (f"app:{user}",)).fetchone() == (None,)
    assert sync(serving, out_dir) == Synced(VERSION, 1, 0, 0, 1)
    assert serving.execute("select recsys.user_vector(%s)", (f"app:{user}",)).fetchone() != (None,)


def test_the_model_is_fetched_when_it_is_not_here(
    serving: Connection, out_dir: Path, settings_for: Callable[..., Settings], tmp_path: Path
) -> None:
    bucket = open_quickly(settings_for())
    publish_artifacts(LocalFolder(out_dir), bucket, VERSION)
    served_world.add_videos(serving, NEWER, range(240, 243))
    assert sync(serving, tmp_path / "elsewhere", bucket).n_added == 3


def test_without_the_model_nothing_happens(serving: Connection, tmp_path: Path) -> None:
    with pytest.raises(
        StorageError, match=r"files of version 202611200900, which serves, are not in .*--out-dir"
    ):
        sync(serving, tmp_path / "empty")


def test_a_model_of_another_dimension_is_refused(
    serving: Connection, out_dir: Path, world: Mart, tmp_path: Path
) -> None:
    before = _vectors(serving, "embedding")
    other = trained_world.train(world, embedding_dim=64, use_content=False)
    folder = tmp_path / "other"

    write_artifacts(folder, VERSION, other, world, {})
    with pytest.raises(ModelMismatchError, match=r"holds 64 dimensions .* has 32 .* fetch 202611200900"):
        sync(serving, folder)
    assert _vectors(serving, "embedding").keys() == before.keys()


def test_a_model_of_another_training_is_refused(
    serving: Connection, world: Mart, tmp_path: Path, model: TrainedModel
) -> None:

    write_artifacts(tmp_path / "other", VERSION, trained_world.with_other_weights(model), world, {})
    with pytest.raises(ModelMismatchError, match="remove that folder and bring the right one"):
        sync(serving, tmp_path / "other")


def test_before_anything_is_active(database: Address, tmp_path: Path) -> None:
    with (
        connect(database, autocommit=True) as connection,
        pytest.raises(ReleaseError, match="no version is active"),
    ):
        sync(connection, tmp_path)


def test_without_marts(serving: Connection, out_dir: Path) -> None:
    serving.execute("drop table marts.dim_videos")
    with pytest.raises(MartError, match=r"marts\.dim_videos does not exist"):
        sync(serving, out_dir)


def test_a_promotion_between_reading_and_writing_wins(
    serving: Connection, serving_database: Address, out_dir: Path, world: Mart, model: TrainedModel
) -> None:
    """The promotion holds the turn while sync computes; when sync gets it, its version no longer serves."""
    served_world.add_videos(serving, NEWER, range(240, 243))
    before = _vectors(serving, "embedding")
    failed: list[ReleaseError] = []

    def run() -> None:
        with connect(serving_database, autocommit=True) as second:
            try:
                sync(second, out_dir)
            except ReleaseError as error:
                failed.append(error)

    release.write_version(serving, served_world.bundle_of(NEXT_VERSION, model, world))
    worker = threading.Thread(target=run)
    with serving.transaction():
        serving.execute("select recsys.promote(%s, true)", (NEXT_VERSION,))
        worker.start()
        while _waiting(serving_database) == 0 and worker.is_alive():
            pass
    worker.join()
    assert "serves now, no longer 202611200900" in str(failed[0])
    assert "run `python -m trainer sync` again" in str(failed[0])
    assert _vectors(serving, "embedding").keys() == before.keys()


def _waiting(database: Address) -> int:
    with connect(database, autocommit=True) as watcher:
        return _count(watcher, "select count(*) from pg_locks where locktype = 'advisory' and not granted")


def test_the_files_and_the_database_name_the_same_weights(serving: Connection, out_dir: Path) -> None:
    folder = out_dir / "two_tower" / VERSION
    loaded = load_artifacts(folder, _catalogue(serving)).serving_config()["weights_sha256"]
    row = serving.execute(
        "select config ->> 'weights_sha256' from recsys.embedding_model_versions where is_active"
    ).fetchone()
    assert row == (loaded,)
