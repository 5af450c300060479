"""How a release reaches its readers: files under the version's own keys, the manifest, `latest` copies.

Each step can be broken off and begun again. Until the manifest is written nobody has seen the new version;
then everybody who reads the manifest sees it, whole. The `latest` names are copies for older clients.
"""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from trainer.errors import StorageError
from trainer.manifest import (
    KEPT_PREVIOUS,
    MANIFEST_KEY,
    MODEL_NAME,
    Entry,
    File,
    Manifest,
    parse,
    succeed,
    version_folder,
    weights_names,
)
from trainer.store import LocalFolder, Store, sha256

# What a version consists of; report.html joins when it exists, further parts of the weights when there are.
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
    """Upload a version that lies in the local folder, then promote it.

    Running it again sends nothing twice. Raises StorageError; the current release then stays current.
    """
    upload_version(local, store, version, on_progress)
    return promote_artifacts(store, version)


def upload_version(
    local: LocalFolder, store: Store, version: str, on_progress: Progress | None = None
) -> None:
    """Every file of a version under its own immutable key, each verified by reading it back."""
    for file in read_entry(local, version).files:
        sent = store.write_once(file.path, local.path(file.path))
        if on_progress:
            on_progress(file.path, file.bytes, sent)


def promote_artifacts(store: Store, version: str) -> Manifest:
    """Make a version that lies in the store the current one: the manifest, the `latest` copies, retention.

    Also the way back: an older version is promoted in the same way. Raises StorageError for missing files.
    """
    before = read_manifest(store)
    if before is None or before.current.version != version:
        manifest = succeed(before, read_entry(store, version))
        store.replace(MANIFEST_KEY, manifest.dump())
    else:
        manifest = before
    latest = latest_copies(manifest.current)
    for name, key in latest.items():
        store.replace(name, _present(store, key))
    # a larger version before this one had more parts of weights
    older = {name for entry in manifest.previous for name in latest_copies(entry)}
    store.remove(sorted(older - latest.keys()))
    prune(store, manifest)
    return manifest


def latest_copies(entry: Entry) -> dict[str, str]:
    """Name at the top of the bucket -> key it is a copy of; further parts of the weights after the first."""
    folder, own = version_folder(entry.version), f"{MODEL_NAME}_{entry.version}"
    named = {latest: f"{folder}/{name.format(version=entry.version)}" for latest, name in LATEST.items()}
    names = [file.path.removeprefix(f"{folder}/") for file in entry.files]
    parts = {name.replace(own, f"{MODEL_NAME}_latest"): f"{folder}/{name}" for name in weights_names(names)}
    return named | parts


def prune(store: Store, manifest: Manifest) -> list[str]:
    """Delete the versions older than all that a full manifest names; their names.

    What the gate refused is not in the manifest and stays as long as its neighbours do: it may yet be forced.
    """
    named = [entry.version for entry in (manifest.current, *manifest.previous)]
    if len(manifest.previous) < KEPT_PREVIOUS:
        return []
    by_version: dict[str, list[str]] = {}
    for key in store.keys(MODEL_NAME):
        by_version.setdefault(key.split("/")[1], []).append(key)
    old = sorted(version for version in by_version if version.isdigit() and version < min(named))
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
    files = []
    meta: dict[str, Any] = {}
    for key in store.keys(folder):  # one file in memory at a time
        content = _present(store, key)
        files.append(File(key, sha256(content), len(content)))
        if key == f"{folder}/model_meta.json":
            meta = json.loads(content)
    found = {file.path.removeprefix(f"{folder}/"): file.sha256 for file in files}
    if missing := [name for name in _names(version) if name not in found]:
        raise StorageError(
            f"{store} holds no whole version {version}: {', '.join(missing)} missing",
            "publish it from where it was trained: python -m trainer publish --storage-only",
        )
    described = {name: file["sha256"] for name, file in meta["files"].items()}
    if changed := [name for name, digest in described.items() if found.get(name) != digest]:
        raise StorageError(
            f"{', '.join(changed)} in {store} is not the file that model_meta.json of {version} describes",
            "restore it, or train a new version",
        )
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return Entry(version, now, int(meta["embedding_dim"]), str(meta["weights_sha256"]), tuple(files))


def _names(version: str) -> list[str]:
    return [name.format(version=version) for name in REQUIRED]


def _present(store: Store, key: str) -> bytes:
    content = store.read(key)
    if content is None:
        raise StorageError(f"{store} holds no {key}", "publish that version again")
    return content
