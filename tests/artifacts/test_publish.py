"""The order of a release in the bucket, its repetition, its retention, the way back."""

import io
import json
from pathlib import Path

import pytest
import torch

from artifacts.conftest import NEXT_VERSION, VERSION, write_release
from artifacts.storage_server import Fault, World, status
from trainer.artifacts import read_described_weights, read_meta
from trainer.errors import StorageError
from trainer.fetch import fetch
from trainer.manifest import KEPT_PREVIOUS, MANIFEST_KEY, parse, version_folder
from trainer.publish import LATEST, promote_artifacts, publish_artifacts, read_manifest, upload_version
from trainer.storage import SupabaseStorage
from trainer.store import LocalFolder, Store, sha256
from trainer.weights import WRAPPING_BYTES


@pytest.fixture(params=["folder", "bucket"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """Both forms of the interface."""
    if request.param == "folder":
        return LocalFolder(tmp_path / "elsewhere")
    found: Store = request.getfixturevalue("bucket")
    return found


def test_a_release_is_whole_and_its_manifest_true(local: LocalFolder, store: Store) -> None:
    publish_artifacts(local, store, VERSION)
    manifest = read_manifest(store)
    assert manifest is not None
    assert manifest.current.version == VERSION
    assert manifest.current.embedding_dim == 8
    assert [f.path for f in manifest.current.files] == store.keys(version_folder(VERSION))
    for file in manifest.current.files:
        content = store.read(file.path)
        assert content is not None
        assert (sha256(content), len(content)) == (file.sha256, file.bytes)


def test_latest_names_are_copies_of_the_promoted_version(local: LocalFolder, store: Store) -> None:
    publish_artifacts(local, store, VERSION)
    publish_artifacts(local, store, NEXT_VERSION)
    for latest, name in LATEST.items():
        original = f"{version_folder(NEXT_VERSION)}/{name.format(version=NEXT_VERSION)}"
        assert store.read(latest) == local.read(original)


def test_files_then_manifest_then_latest(local: LocalFolder, bucket: SupabaseStorage, remote: World) -> None:
    publish_artifacts(local, bucket, VERSION)
    written = [
        r.split(" ")[1].removeprefix("/object/models/") for r in remote.sent("POST", "/object/models/")
    ]
    manifest = written.index(MANIFEST_KEY)
    assert all(key.startswith(version_folder(VERSION)) for key in written[:manifest])
    assert sorted(written[manifest + 1 :]) == sorted(set(LATEST) - {"two_tower_latest.onnx"})  # in pieces


def test_until_the_manifest_is_written_the_old_release_is_the_current_one(
    local: LocalFolder, bucket: SupabaseStorage, remote: World
) -> None:
    publish_artifacts(local, bucket, VERSION)
    before = {key: remote.objects[f"models/{key}"] for key in (*LATEST, MANIFEST_KEY)}
    remote.faults = [Fault("POST /object/models/" + version_folder(NEXT_VERSION) + "/vocab", status(500))]
    with pytest.raises(StorageError, match="500"):
        publish_artifacts(local, bucket, NEXT_VERSION)
    assert {key: remote.objects[f"models/{key}"] for key in before} == before
    remote.faults = []
    assert publish_artifacts(local, bucket, NEXT_VERSION).current.version == NEXT_VERSION


def test_a_refused_version_leaves_manifest_and_latest_as_they_are(
    local: LocalFolder, bucket: SupabaseStorage, remote: World
) -> None:
    publish_artifacts(local, bucket, VERSION)
    before = {key: remote.objects[f"models/{key}"] for key in (*LATEST, MANIFEST_KEY)}
    upload_version(local, bucket, NEXT_VERSION)  # what a refused candidate may do: lie there
    assert {key: remote.objects[f"models/{key}"] for key in before} == before


def test_again_sends_nothing(local: LocalFolder, bucket: SupabaseStorage, remote: World) -> None:
    first = publish_artifacts(local, bucket, VERSION)
    remote.requests.clear()
    seen: list[bool] = []
    again = publish_artifacts(local, bucket, VERSION, lambda key, size, sent: seen.append(sent))
    assert not any(seen)
    assert again == first
    assert [r for r in remote.requests if r.startswith(("POST", "PATCH")) and "/list/" not in r] == []


def test_a_broken_release_is_continued_not_repeated(
    local: LocalFolder, bucket: SupabaseStorage, remote: World
) -> None:
    remote.faults = [Fault("POST /object/models/two_tower/" + VERSION + "/vocab", status(503))]
    with pytest.raises(StorageError):
        publish_artifacts(local, bucket, VERSION)
    remote.faults, done = [], set(remote.keys())
    remote.requests.clear()
    publish_artifacts(local, bucket, VERSION)
    sent = {r.removeprefix("POST /object/models/") for r in remote.sent("POST", "/object/models/")}
    assert not sent & done
    assert remote.sent("PATCH") == remote.sent("PATCH")[:2]  # only the `latest` copy goes in pieces


def test_a_versioned_key_is_never_overwritten(local: LocalFolder, store: Store) -> None:
    publish_artifacts(local, store, VERSION)
    key = f"{version_folder(VERSION)}/user_tower.onnx"
    held = store.read(key)
    local.path(key).write_bytes(b"retrained")
    with pytest.raises(StorageError, match=r"is not the file that model_meta\.json"):
        publish_artifacts(local, store, VERSION)
    with pytest.raises(StorageError, match="already holds other bytes"):
        store.write_once(key, local.path(key))
    assert store.read(key) == held


def test_the_way_back_is_a_promotion(local: LocalFolder, store: Store) -> None:
    publish_artifacts(local, store, VERSION)
    publish_artifacts(local, store, NEXT_VERSION)
    manifest = promote_artifacts(store, VERSION)
    assert manifest.current.version == VERSION
    assert [e.version for e in manifest.previous] == [NEXT_VERSION]
    assert store.read("two_tower_latest.onnx") == local.read(
        f"{version_folder(VERSION)}/two_tower_{VERSION}.onnx"
    )


def test_retention_keeps_five_beside_the_current_one(local: LocalFolder, store: Store) -> None:
    versions = [f"20261201000{n}" for n in range(KEPT_PREVIOUS + 3)]
    for n, version in enumerate(versions):
        write_release(local, version, n + 10, dimension=4)
        publish_artifacts(local, store, version)
    manifest = read_manifest(store)
    assert manifest is not None
    assert [e.version for e in manifest.previous] == versions[-2 : -2 - KEPT_PREVIOUS : -1]
    assert {key.split("/")[1] for key in store.keys("two_tower")} == {
        "latest",
        *versions[-KEPT_PREVIOUS - 1 :],
    }


def test_weights_of_a_large_catalogue_travel_in_parts(
    local: LocalFolder, bucket: SupabaseStorage, remote: World, tmp_path: Path
) -> None:
    """Every part loads with torch alone; the next, smaller version leaves no part of this one at the top."""
    remote.buckets["models"] = limit = 8_000_000
    large, small = "202612010000", "202612080000"
    # 8 rows of 128 bytes: 4, then 4
    write_release(local, large, 1, weights_limit=WRAPPING_BYTES + 600)
    write_release(local, small, 2)
    manifest = publish_artifacts(local, bucket, large)
    assert all(file.bytes <= limit for file in manifest.current.files)
    latest = [key for key in sorted(remote.keys()) if key.endswith(".pt") and "/" not in key]
    assert latest == ["two_tower_latest.part2.pt", "two_tower_latest.pt"]
    parts = [torch.load(io.BytesIO(remote.objects[f"models/{key}"]), weights_only=True) for key in latest]
    assert [len(part["user_tower.skip.weight"]) for part in parts] == [4, 4]
    folder = fetch(bucket, tmp_path / "fetched", large)
    assert len(read_described_weights(folder, read_meta(folder))["user_tower.skip.weight"]) == 8
    publish_artifacts(local, bucket, small)
    assert "models/two_tower_latest.part2.pt" not in remote.objects
    promote_artifacts(bucket, large)
    assert "models/two_tower_latest.part2.pt" in remote.objects


def test_a_missing_part_of_the_weights_is_no_whole_version(local: LocalFolder, store: Store) -> None:
    write_release(local, "202612010000", 1, weights_limit=WRAPPING_BYTES + 600)
    local.path("two_tower/202612010000/two_tower_202612010000.part2.pt").unlink()
    with pytest.raises(StorageError, match=r"two_tower_202612010000\.part2\.pt .* is not the file"):
        publish_artifacts(local, store, "202612010000")
    assert read_manifest(store) is None


def test_a_refused_version_stays_as_long_as_its_neighbours(local: LocalFolder) -> None:
    versions = [f"20261201000{n}" for n in range(KEPT_PREVIOUS + 3)]
    for n, version in enumerate(versions):
        write_release(local, version, n + 10, dimension=4)
    for version in (versions[0], *versions[2:-1]):  # versions[1] was refused
        promote_artifacts(local, version)
        assert local.keys(version_folder(versions[1]))
    promote_artifacts(local, versions[-1])
    assert not local.keys(version_folder(versions[0]))
    assert not local.keys(version_folder(versions[1]))


def test_an_incomplete_version_is_not_promoted(local: LocalFolder, store: Store) -> None:
    local.path(f"{version_folder(VERSION)}/user_tower.onnx").unlink()
    with pytest.raises(StorageError, match=r"no whole version .* user_tower\.onnx missing"):
        publish_artifacts(local, store, VERSION)
    assert read_manifest(store) is None


def test_manifest_has_the_contracts_shape(local: LocalFolder, store: Store) -> None:
    publish_artifacts(local, store, VERSION)
    publish_artifacts(local, store, NEXT_VERSION)
    read = json.loads(store.read(MANIFEST_KEY) or b"")
    assert {"schema", "model_name", "current", "previous"} == set(read)
    assert (read["schema"], read["model_name"]) == (1, "two_tower")
    assert {"version", "published_at", "embedding_dim", "files"} <= set(read["current"])
    assert {"path", "sha256", "bytes"} == set(read["current"]["files"][0])


ENTRY = {"version": "1", "published_at": "now", "embedding_dim": 8, "files": []}
OUTSIDE = {**ENTRY, "files": [{"path": "two_tower/1/../../x", "sha256": "", "bytes": 1}]}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"<html>not found</html>", "is not JSON"),
        (b"[]", "has no schema number"),
        (json.dumps({"schema": 2}).encode(), "is of schema 2, this program reads 1"),
        (json.dumps({"schema": 1, "model_name": "other"}).encode(), "is for 'other'"),
        (json.dumps({"schema": 1, "model_name": "two_tower"}).encode(), "lacks or misstates 'current'"),
        (
            json.dumps({"schema": 1, "model_name": "two_tower", "current": OUTSIDE}).encode(),
            "two_tower/1/../../x",
        ),
    ],
)
def test_a_manifest_that_cannot_be_read_is_one_clear_line(content: bytes, said: str) -> None:
    with pytest.raises(StorageError) as failed:
        parse(content, "bucket models")
    assert said in str(failed.value)
    assert "bucket models" in str(failed.value)
    assert "\n" not in str(failed.value)


def test_a_broken_manifest_stops_a_release_before_it_begins_to_point(
    local: LocalFolder, bucket: SupabaseStorage, remote: World
) -> None:
    remote.objects[f"models/{MANIFEST_KEY}"] = b"{"
    with pytest.raises(StorageError, match="is not JSON"):
        publish_artifacts(local, bucket, VERSION)
    assert remote.objects[f"models/{MANIFEST_KEY}"] == b"{"
    assert "models/two_tower_latest.pt" not in remote.objects


@pytest.mark.parametrize("key", ["../outside", "/etc/passwd", "a/../../b", "", "a\\b"])
def test_no_key_leaves_the_folder(key: str, local: LocalFolder) -> None:
    with pytest.raises(StorageError, match="is not a key inside"):
        local.path(key)
