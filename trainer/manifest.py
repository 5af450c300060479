"""`two_tower/latest/manifest.json`: which version is current, with the sha256 of every file of it.

Its readers never meet half a release: it is written when everything it names is in place and verified.
"""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import PurePosixPath
from typing import Any

from trainer.errors import StorageError

MODEL_NAME = "two_tower"
MANIFEST_KEY = f"{MODEL_NAME}/latest/manifest.json"
SCHEMA = 1
KEPT_PREVIOUS = 5  # as many as the registry keeps beside the active version, so a rollback finds its files


@dataclass(frozen=True)
class File:
    """One object of a release: its key relative to the bucket."""

    path: str
    sha256: str
    bytes: int


@dataclass(frozen=True)
class Entry:
    """One release. `weights_sha256` is the model's own hash, as in model_meta.json and the registry."""

    version: str
    published_at: str
    embedding_dim: int
    weights_sha256: str
    files: tuple[File, ...]


@dataclass(frozen=True)
class Manifest:
    """The current release and up to five before it, newest first."""

    current: Entry
    previous: tuple[Entry, ...] = ()

    def entry(self, version: str) -> Entry | None:
        """The release of this version, when the manifest knows it."""
        return next((e for e in (self.current, *self.previous) if e.version == version), None)

    def dump(self) -> bytes:
        """As it lies in the bucket."""
        content = {"schema": SCHEMA, "model_name": MODEL_NAME, **asdict(self)}
        return json.dumps(content, indent=2).encode() + b"\n"


def version_folder(version: str) -> str:
    """Where a version's files lie. Raises StorageError for a text that is not a version."""
    if not version.isdigit():
        raise StorageError(f"{version!r} is not a version", "versions are UTC times such as 202601311530")
    return f"{MODEL_NAME}/{version}"


def weights_names(names: Iterable[str]) -> list[str]:
    """The `.pt` and its further parts among names of files, in the order in which they are put together."""
    return sorted((name for name in names if name.endswith(".pt")), key=lambda name: (len(name), name))


def succeed(manifest: Manifest | None, entry: Entry) -> Manifest:
    """The manifest after `entry` became current; a promoted older version leaves the previous ones."""
    if manifest is None:
        return Manifest(entry)
    before = [e for e in (manifest.current, *manifest.previous) if e.version != entry.version]
    return Manifest(entry, tuple(before[:KEPT_PREVIOUS]))


def parse(content: bytes, where: str) -> Manifest:
    """The manifest read from `where` (named in errors).

    Raises StorageError when it is not JSON, of a newer schema, of another model, or names a file outside its
    version's own folder.
    """
    remedy = "restore it from a backup, or promote a version again: python -m trainer publish --storage-only"
    try:
        read = json.loads(content)
    except ValueError:
        raise StorageError(f"the manifest in {where} is not JSON", remedy) from None
    if not isinstance(read, dict) or not isinstance(read.get("schema"), int):
        raise StorageError(f"the manifest in {where} has no schema number", remedy)
    if read["schema"] > SCHEMA:
        raise StorageError(
            f"the manifest in {where} is of schema {read['schema']}, this program reads {SCHEMA}",
            "update martello: pip install --upgrade martello",
        )
    if read.get("model_name") != MODEL_NAME:
        raise StorageError(
            f"the manifest in {where} is for {read.get('model_name')!r}, not {MODEL_NAME}", remedy
        )
    try:
        return Manifest(_entry(read["current"]), tuple(_entry(e) for e in read.get("previous", [])))
    except (KeyError, TypeError, ValueError) as error:
        raise StorageError(f"the manifest in {where} lacks or misstates {error}", remedy) from None


def _entry(read: dict[str, Any]) -> Entry:
    folder = PurePosixPath(version_folder(str(read["version"])))
    files = tuple(File(str(f["path"]), str(f["sha256"]), int(f["bytes"])) for f in read["files"])
    for file in files:
        path = PurePosixPath(file.path)
        if not path.is_relative_to(folder) or ".." in path.parts:
            raise ValueError(f"path {file.path!r}")
    return Entry(
        str(read["version"]),
        str(read["published_at"]),
        int(read["embedding_dim"]),
        str(read.get("weights_sha256", "")),
        files,
    )
