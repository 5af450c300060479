"""Bring a release back from a store, and let nothing in that is not what was published."""

import shutil
import tempfile
from pathlib import Path

from trainer.artifacts import read_described_weights, read_meta
from trainer.errors import StorageError
from trainer.manifest import Entry, version_folder
from trainer.publish import read_manifest
from trainer.store import LocalFolder, Store, sha256


def fetch(store: Store, out_dir: Path, version: str | None = None) -> Path:
    """A version's folder under `out_dir` (the current one's when none is named), every file verified.

    Files that are there already with the right bytes are not brought again. Raises StorageError for a version
    the manifest does not know, a file of another size or sha256, or weights that are not the release's; then
    `out_dir` is as it was.
    """
    entry = _find(store, version)
    local, folder = LocalFolder(out_dir), version_folder(entry.version)
    target = local.path(folder)
    out_dir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out_dir, prefix=".fetch-") as passage:
        for file in entry.files:
            content = local.read(file.path)
            if content is None or sha256(content) != file.sha256:
                content = store.read(file.path)
            _verify(content, file.path, file.sha256, file.bytes, store)
            path = Path(passage) / Path(file.path).relative_to(folder)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content or b"")
        _verify_weights(Path(passage), entry)
        if target.exists():
            shutil.rmtree(target)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(passage, target)
    return target


def _verify_weights(folder: Path, entry: Entry) -> None:
    """The folder's weights are the ones its metadata and the manifest state, of the dimension they state."""
    meta = read_meta(folder)
    read_described_weights(folder, meta)
    stated = {"embedding_dim": entry.embedding_dim, "weights_sha256": entry.weights_sha256}
    for name, value in stated.items():
        if meta[name] != value:
            raise StorageError(
                f"version {entry.version} has {name} {meta[name]}, the manifest names {value}",
                "fetch another version, or publish this one again from where it was trained",
            )


def _find(store: Store, version: str | None) -> Entry:
    manifest = read_manifest(store)
    if manifest is None:
        raise StorageError(f"{store} holds no release yet", "publish one: python -m trainer")
    entry = manifest.current if version is None else manifest.entry(version)
    if entry is None:
        known = ", ".join(e.version for e in (manifest.current, *manifest.previous))
        raise StorageError(f"{store} knows no version {version}", f"it has {known}")
    return entry


def _verify(content: bytes | None, key: str, digest: str, size: int, store: Store) -> None:
    if content is None or len(content) != size or sha256(content) != digest:
        found = "nothing" if content is None else f"{len(content)} bytes (sha256 {sha256(content)[:12]})"
        raise StorageError(
            f"{store} holds {found} under {key}, the manifest promises {size} bytes (sha256 {digest[:12]})",
            "fetch another version, or publish this one again from where it was trained",
        )
