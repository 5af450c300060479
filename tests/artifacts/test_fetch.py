"""A release brought back from a store: whole and verified, or not at all."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from artifacts.conftest import NEXT_VERSION, VERSION, open_quickly
from artifacts.storage_server import Fault, World, status, truncate_download
from trainer.errors import MartelloError, ModelMismatchError, StorageError
from trainer.fetch import fetch
from trainer.manifest import MANIFEST_KEY, version_folder
from trainer.publish import publish_artifacts
from trainer.settings import Settings
from trainer.storage import SupabaseStorage
from trainer.store import LocalFolder


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """Where releases are brought to."""
    return tmp_path / "fetched"


@pytest.fixture
def published(local: LocalFolder, bucket: SupabaseStorage) -> SupabaseStorage:
    """A bucket with two releases."""
    publish_artifacts(local, bucket, VERSION)
    publish_artifacts(local, bucket, NEXT_VERSION)
    return bucket


def _files(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize(("asked", "version"), [(None, NEXT_VERSION), (VERSION, VERSION)])
def test_what_comes_back_is_what_was_published(
    asked: str | None, version: str, published: SupabaseStorage, local: LocalFolder, here: Path
) -> None:
    folder = fetch(published, here, asked)
    assert folder == here / "two_tower" / version
    assert _files(folder) == _files(local.path(version_folder(version)))


def test_what_is_here_is_not_brought_again(published: SupabaseStorage, remote: World, here: Path) -> None:
    folder = fetch(published, here, VERSION)
    (folder / "metrics.json").write_text("changed")
    remote.requests.clear()
    fetch(published, here, VERSION)
    brought = [r for r in remote.sent("GET", "/object/") if MANIFEST_KEY not in r]
    assert brought == [f"GET /object/models/two_tower/{VERSION}/metrics.json"]
    assert (folder / "metrics.json").read_bytes() == remote.objects[
        f"models/two_tower/{VERSION}/metrics.json"
    ]


@pytest.mark.parametrize("content", [b"", b"other bytes", None])
def test_a_file_that_is_not_the_manifests_is_refused(
    content: bytes | None, published: SupabaseStorage, remote: World, here: Path
) -> None:
    kept = _files(fetch(published, here, VERSION))
    key = f"models/two_tower/{NEXT_VERSION}/user_tower.onnx"
    if content is None:
        del remote.objects[key]
    else:
        remote.objects[key] = content
    with pytest.raises(
        StorageError, match=r"holds .* under two_tower/\d+/user_tower\.onnx, the manifest promises"
    ):
        fetch(published, here)
    assert _files(here / "two_tower" / VERSION) == kept
    assert [p.name for p in here.iterdir()] == ["two_tower"]


def test_weights_of_another_dimension_are_refused_though_signed(
    published: SupabaseStorage, remote: World, here: Path
) -> None:
    """The manifest says 8 dimensions; a manifest that says 16 of the same files is caught as well."""
    manifest = json.loads(remote.objects[f"models/{MANIFEST_KEY}"])
    manifest["current"]["embedding_dim"] = 16
    remote.objects[f"models/{MANIFEST_KEY}"] = json.dumps(manifest).encode()
    with pytest.raises(StorageError, match="has embedding_dim 8, the manifest names 16"):
        fetch(published, here)
    assert list(here.rglob("*")) == []


def test_weights_that_are_not_the_described_ones_are_refused(
    local: LocalFolder, bucket: SupabaseStorage, here: Path
) -> None:
    folder = local.path(version_folder(VERSION))
    meta = json.loads((folder / "model_meta.json").read_text())
    (folder / "model_meta.json").write_text(json.dumps({**meta, "weights_sha256": "0" * 64}))
    publish_artifacts(local, bucket, VERSION)
    with pytest.raises(ModelMismatchError, match=r"holds weights .* describes 000000000000"):
        fetch(bucket, here)


def test_an_unknown_version_is_named_with_the_known_ones(published: SupabaseStorage, here: Path) -> None:
    with pytest.raises(
        StorageError, match=f"knows no version 202001010000. it has {NEXT_VERSION}, {VERSION}"
    ):
        fetch(published, here, "202001010000")


def test_an_empty_bucket_has_no_release(bucket: SupabaseStorage, here: Path) -> None:
    with pytest.raises(StorageError, match="holds no release yet"):
        fetch(bucket, here)


@pytest.mark.parametrize(
    ("manifest", "said"),
    [(b"not json", "is not JSON"), (b'{"schema": 7}', "is of schema 7, this program reads 1")],
)
def test_a_manifest_that_cannot_be_read(
    manifest: bytes, said: str, published: SupabaseStorage, remote: World, here: Path
) -> None:
    remote.objects[f"models/{MANIFEST_KEY}"] = manifest
    with pytest.raises(StorageError, match=said):
        fetch(published, here)


def test_passing_faults_are_overcome(published: SupabaseStorage, remote: World, here: Path) -> None:
    remote.faults = [
        Fault("GET /object/models/two_tower/latest", status(500), times=2),
        Fault("GET", truncate_download, times=2),
    ]
    assert fetch(published, here).name == NEXT_VERSION


def test_a_store_that_never_answers_well_leaves_nothing(
    settings_for: Callable[..., Settings], published: SupabaseStorage, remote: World, here: Path
) -> None:
    store = open_quickly(settings_for())
    remote.faults = [Fault("GET /object/models/two_tower/2026", truncate_download)]
    with pytest.raises(MartelloError, match="while reading"):
        fetch(store, here)
    assert list(here.rglob("*")) == []
