"""Where artifacts lie: one small interface, and the local folder as its first form (the other: storage.py).

Keys are paths relative to the bucket; the local folder has the same layout, so publishing works on both.
"""

import hashlib
import os
import tempfile
from pathlib import Path, PurePosixPath
from typing import Protocol

from trainer.errors import StorageError


class Store(Protocol):
    """What publishing and fetching need of a place that keeps files."""

    def __str__(self) -> str:
        """The place in words, without secrets."""
        ...

    def read(self, key: str) -> bytes | None:
        """The whole object, or None where there is none."""
        ...

    def write_once(self, key: str, source: Path) -> bool:
        """Keep a file under a key that is never overwritten, verified by reading it back.

        True when it was written, False when the key already held the same bytes. Raises StorageError when it
        holds others.
        """
        ...

    def replace(self, key: str, content: bytes) -> bool:
        """Put a small object in the place of whatever was there; False when it held the same bytes."""
        ...

    def keys(self, folder: str) -> list[str]:
        """Every key under a folder, at any depth, sorted."""
        ...

    def remove(self, keys: list[str]) -> None:
        """Delete objects; those that are not there are no error."""
        ...


class LocalFolder:
    """A folder laid out like the bucket. Every write is a rename: a reader sees an old file or a new one."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def __str__(self) -> str:
        return f"folder {self.root}"

    def path(self, key: str) -> Path:
        """Where a key lies. Raises StorageError for one that would leave the folder."""
        parts = PurePosixPath(key).parts
        if not parts or ".." in parts or key.startswith("/") or "\\" in key:
            raise StorageError(f"{key!r} is not a key inside {self}")
        return self.root.joinpath(*parts)

    def read(self, key: str) -> bytes | None:
        """The file's bytes, or None."""
        path = self.path(key)
        return path.read_bytes() if path.is_file() else None

    def write_once(self, key: str, source: Path) -> bool:
        """Copy a file to a key that holds nothing yet, or the same bytes."""
        content, path = source.read_bytes(), self.path(key)
        if path.is_file():
            if path.read_bytes() == content:
                return False
            raise other_bytes(key, self)
        _write(path, content)
        return True

    def replace(self, key: str, content: bytes) -> bool:
        """Write a file in one step, whatever was there."""
        if self.read(key) == content:
            return False
        _write(self.path(key), content)
        return True

    def keys(self, folder: str) -> list[str]:
        """The files under a folder."""
        top = self.path(folder)
        return sorted(p.relative_to(self.root).as_posix() for p in top.rglob("*") if p.is_file())

    def remove(self, keys: list[str]) -> None:
        """Delete files, and the folders that become empty."""
        for key in keys:
            path = self.path(key)
            path.unlink(missing_ok=True)
            for parent in path.parents:
                if parent == self.root or not parent.is_dir() or any(parent.iterdir()):
                    break
                parent.rmdir()


def sha256(content: bytes) -> str:
    """The hex digest that manifests and metadata carry."""
    return hashlib.sha256(content).hexdigest()


def other_bytes(key: str, store: Store) -> StorageError:
    """A versioned key is a promise: whoever read it once must find the same bytes again."""
    return StorageError(
        f"{store} already holds other bytes under {key}",
        "a version's files are never overwritten: publish under a new version, or remove that one first",
    )


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        Path(name).chmod(0o644)  # mkstemp's 0600 would shut out other readers of a shared folder
        Path(name).replace(path)
    except OSError as error:
        Path(name).unlink(missing_ok=True)
        raise StorageError(
            f"{path} cannot be written: {error.strerror}", "free space or fix the rights"
        ) from error
