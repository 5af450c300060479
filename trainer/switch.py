"""Which version serves: the database in one transaction, then its files, here and in Storage."""

from pathlib import Path

from trainer import console, release
from trainer.database import Address, connect
from trainer.errors import StorageError
from trainer.manifest import version_folder
from trainer.migrations import require_registry
from trainer.publish import promote_artifacts, publish_artifacts, read_manifest, upload_version
from trainer.settings import load_settings
from trainer.storage import open_storage
from trainer.store import LocalFolder


def switch(where: Address, out_dir: Path, version: str | None, *, force: bool = False) -> None:
    """Promote a version, or with None roll back: the database in one transaction, then the artifacts."""
    with connect(where, autocommit=True) as connection:
        require_registry(connection)
        switched = (
            release.rollback(connection) if version is None else release.promote(connection, version, force)
        )
    now = str(switched["version"])
    previous = switched.get("previous_version")
    console.say(f"version {now} serves now" + (f", after {previous}" if previous else ""))
    local = LocalFolder(out_dir)
    if local.keys(version_folder(now)):
        promote_files(local, now)
        return
    storage = open_storage(load_settings())
    if storage is None:
        console.say(f"its files are not in {out_dir}")
        return
    promote_artifacts(storage, now)
    console.say(f"its files in {storage} are the current ones; `python -m trainer fetch {now}` brings them")


def publish_files(out_dir: Path, version: str | None) -> None:
    """Upload a version of the folder and make it the current one in Storage; the database is not touched."""
    local, storage = LocalFolder(out_dir), open_storage(load_settings())
    if storage is None:
        raise StorageError("there is no Storage to publish to", "set SUPABASE_URL and SUPABASE_SECRET_KEY")
    chosen = version or current_version(out_dir)
    publish_artifacts(local, storage, chosen, _say_sent)
    console.say(f"version {chosen} is the current one in {storage}")


def current_version(out_dir: Path) -> str:
    """The version the folder's manifest calls current. Raises StorageError where there is none."""
    manifest = read_manifest(LocalFolder(out_dir))
    if manifest is None:
        raise StorageError(
            f"{out_dir} holds no current version", "name one, or train with `python -m trainer`"
        )
    return manifest.current.version


def promote_files(local: LocalFolder, version: str) -> None:
    """Make a version of the folder the current one there, and in Storage where one is set."""
    promote_artifacts(local, version)
    storage = open_storage(load_settings())
    if storage is not None:
        publish_artifacts(local, storage, version, _say_sent)
        console.say(f"its files are in {storage}")


def keep_files(local: LocalFolder, version: str) -> None:
    """Upload a version that does not serve, where a Storage is set: it may yet be promoted from elsewhere."""
    storage = open_storage(load_settings())
    if storage is not None:
        upload_version(local, storage, version, _say_sent)
        console.say(f"its files wait in {storage}")


def _say_sent(key: str, size: int, is_sent: bool) -> None:
    console.say(f"  {key}: {f'{size:,} bytes sent' if is_sent else 'there already'}")
