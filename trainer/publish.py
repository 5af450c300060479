"""How a release reaches its readers: files under the version's own keys, the manifest, `latest` copies.

Each step can be broken off and begun again. Until the manifest is written nobody has seen the new version;
then everybody who reads the manifest sees it, whole. The `latest` names are copies for older clients.
"""

import json
from collections.abc import Callable
from datetime import UTC, datetime

from trainer.errors import StorageError
from trainer.manifest import (
    MANIFEST_KEY,
    MODEL_NAME,
    Entry,
    File,
    Manifest,
    parse,
    succeed,
    version_folder,
)
from trainer.store import LocalFolder, Store, sha256

# What a version consists of; report.html joins when it exists.
REQUIRED = (
    f"{MODEL_NAME}_{{version}}.pt",
    f"{MODEL_NAME}_{{version}}.onnx",
    "user_tower.onnx",
    "item_tower.onnx",
    "mappings/user_id_map.json",
    "mappings/item_id_map.json",
    "vocabularies.json",
    "model_meta.json",
    "metrics.json",
)
# The names of seed A, at the top of the bucket -> the file of the version they are a copy of.
LATEST = {
    f"{MODEL_NAME}_latest.pt": f"{MODEL_NAME}_{{version}}.pt",
    f"{MODEL_NAME}_latest.onnx": f"{MODEL_NAME}_{{version}}.onnx",
    "mappings/user_id_map.json": "mappings/user_id_map.json",
    "mappings/item_id_map.json": "mappings/item_id_map.json",
    "model_meta.json": "model_meta.json",
}

Progress = Callable[[str, int, bool], None]  # key, bytes, whether it had to be sent


def publish_artifacts(
    local: LocalFolder, store: Store, version: str, on_progress: Progress | None = None
) -> Manifest:
    """Upload a version that lies in the local folder, then promote it and drop what is too old.

    Running it again sends nothing twice. Raises StorageError; the current release then stays current.
    """
    upload_version(local, store, version, on_progress)
    manifest = promote_artifacts(store, version)
    prune(store, manifest)
    return manifest


def upload_version(
    local: LocalFolder, store: Store, version: str, on_progress: Progress | None = None
) -> None:
    """Every file of a version under its own immutable key, each verified by reading it back."""
    for file in read_entry(local, version).files:
        sent = store.write_once(file.path, local.path(file.path))
        if on_progress:
            on_progress(file.path, file.bytes, sent)


def promote_artifacts(store: Store, version: str) -> Manifest:
    """Make a version that lies in the store the current one: the manifest, then the `latest` copies.

    Also the way back: an older version is promoted in the same way. Raises StorageError for missing files.
    """
    before = read_manifest(store)
    if before is None or before.current.version != version:
        manifest = succeed(before, read_entry(store, version))
        store.replace(MANIFEST_KEY, manifest.dump())
    else:
        manifest = before
    for latest, name in LATEST.items():
        store.replace(latest, _present(store, f"{version_folder(version)}/{name.format(version=version)}"))
    return manifest


def prune(store: Store, manifest: Manifest) -> list[str]:
    """Delete the versions older than the current one that the manifest no longer names; their names.

    A newer one stays: it may be on its way, or refused by the gate and waiting for a decision.
    """
    kept = {entry.version for entry in (manifest.current, *manifest.previous)}
    by_version: dict[str, list[str]] = {}
    for key in store.keys(MODEL_NAME):
        by_version.setdefault(key.split("/")[1], []).append(key)
    old = sorted(v for v in by_version if v.isdigit() and v not in kept and v < manifest.current.version)
    for version in old:
        store.remove(by_version[version])
    return old


def read_manifest(store: Store) -> Manifest | None:
    """The store's manifest, None before the first release; StorageError for one that cannot be read."""
    content = store.read(MANIFEST_KEY)
    return None if content is None else parse(content, str(store))


def read_entry(store: Store, version: str) -> Entry:
    """What the store holds of a version, hashed from its bytes and checked against model_meta.json."""
    folder = version_folder(version)
    held = {key: _present(store, key) for key in store.keys(folder)}
    missing = [n for n in _names(version) if f"{folder}/{n}" not in held]
    if missing:
        raise StorageError(
            f"{store} holds no whole version {version}: {', '.join(missing)} missing",
            "publish it from where it was trained: python -m trainer publish --storage-only",
        )
    meta = json.loads(held[f"{folder}/model_meta.json"])
    files = tuple(File(key, sha256(content), len(content)) for key, content in sorted(held.items()))
    changed = [
        f.path
        for f in files
        if meta["files"].get(f.path.removeprefix(f"{folder}/"), {"sha256": f.sha256})["sha256"] != f.sha256
    ]
    if changed:
        raise StorageError(
            f"{', '.join(changed)} in {store} is not the file that model_meta.json of {version} describes",
            "restore it, or train a new version",
        )
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return Entry(version, now, int(meta["embedding_dim"]), str(meta["weights_sha256"]), files)


def _names(version: str) -> list[str]:
    return [name.format(version=version) for name in REQUIRED]


def _present(store: Store, key: str) -> bytes:
    content = store.read(key)
    if content is None:
        raise StorageError(f"{store} holds no {key}", "publish that version again")
    return content
