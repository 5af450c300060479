"""Between two trainings: vectors for new and changed videos from the model that serves, users in SQL.

The catalogue is marts.dim_videos, so `dbt build` comes before. All videos go through the item tower, which
takes seconds, and only rows that differ are written: nothing has to remember what changed, and a second run
writes nothing. One transaction, which takes turns with promotions.
"""

from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql

from trainer.artifacts import load_artifacts
from trainer.database import Connection
from trainer.errors import ModelMismatchError, ReleaseError, StorageError
from trainer.fetch import fetch
from trainer.manifest import version_folder
from trainer.mart import read_catalogue
from trainer.store import Store
from trainer.vector_copy import copy_vectors


@dataclass(frozen=True)
class Synced:
    """What a run wrote: videos added, changed and removed, users computed again."""

    version: str
    n_added: int
    n_changed: int
    n_removed: int
    n_users: int

    def __str__(self) -> str:
        return (
            f"version {self.version}: {self.n_added:,} videos added, {self.n_changed:,} changed,"
            f" {self.n_removed:,} removed, {self.n_users:,} users computed again"
        )


def sync(connection: Connection, out_dir: Path, store: Store | None = None) -> Synced:
    """Bring the vectors of the active version up to date with catalogue and histories as they are now.

    The model is the one in `out_dir`, else it is fetched from `store` into it. Raises ReleaseError: nothing
    is active, or another version became active meanwhile; StorageError: the model's files are nowhere;
    ModelMismatchError: they are not the version's; MartError: no catalogue.
    """
    version, dimension, digest = _active(connection)
    folder = _model_folder(out_dir, version, store)
    with connection.transaction():
        catalogue = read_catalogue(connection)
    model = load_artifacts(folder, catalogue)
    found = model.embedding_dim, model.serving_config()["weights_sha256"]
    if found[0] != dimension or digest not in (None, found[1]):
        raise ModelMismatchError(
            f"{folder} holds {found[0]} dimensions and weights {found[1][:12]}, version {version} in the"
            f" database has {dimension} and {(digest or 'unknown')[:12]}",
            f"remove that folder and bring the right one: python -m trainer fetch {version}",
        )
    items_ND, history_ND = model.item_vectors()
    columns = {"embedding": items_ND, "history_embedding": history_ND}
    try:
        with connection.transaction():
            connection.execute("set local statement_timeout = 0")
            connection.execute(
                "create temporary table computed_videos (like recsys.video_embeddings) on commit drop"
            )
            connection.execute("alter table pg_temp.computed_videos drop column model_version")
            table = sql.Identifier("pg_temp", "computed_videos")
            copy_vectors(connection, table, "video_id", catalogue.video_ids, columns)
            connection.execute("analyze pg_temp.computed_videos")
            row = connection.execute("select * from recsys.merge_videos(%s)", (version,)).fetchone()
    except psycopg.Error as error:
        said = error.diag.message_primary or str(error)
        raise ReleaseError(f"nothing was synced: {said}", error.diag.message_hint or "") from error
    return Synced(version, *map(int, row or (0, 0, 0, 0)))


def sync_users(connection: Connection) -> int:
    """Vectors of the users whose history has changed, in SQL alone: no model, no marts; how many.

    Raises ReleaseError when no version is active.
    """
    version = _active(connection)[0]
    row = connection.execute("select recsys.refresh_changed_users(%s)", (version,)).fetchone()
    return int(row[0]) if row else 0


def _active(connection: Connection) -> tuple[str, int, str | None]:
    row = connection.execute(
        "select version, embedding_dim, config ->> 'weights_sha256'"
        " from recsys.embedding_model_versions where is_active"
    ).fetchone()
    if row is None:
        raise ReleaseError("no version is active", "train one: python -m trainer")
    return str(row[0]), int(row[1]), row[2]


def _model_folder(out_dir: Path, version: str, store: Store | None) -> Path:
    folder = out_dir / version_folder(version)
    if folder.is_dir():
        return folder
    if store is None:
        raise StorageError(
            f"the files of version {version}, which serves, are not in {out_dir}",
            "name the folder with --out-dir, or set SUPABASE_URL and a key so that they can be fetched",
        )
    return fetch(store, out_dir, version)
