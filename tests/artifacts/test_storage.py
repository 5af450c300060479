"""Supabase Storage failing in every way it is known to: what is tried again, what is said, what is left."""

import json
from base64 import urlsafe_b64encode
from collections.abc import Callable
from pathlib import Path

import pytest

from artifacts import storage_server as server
from artifacts.conftest import VERSION, open_quickly
from artifacts.storage_server import Fault, World
from trainer.errors import StorageError
from trainer.manifest import version_folder
from trainer.publish import publish_artifacts
from trainer.resumable import CHUNK_BYTES
from trainer.settings import Settings
from trainer.storage import ATTEMPTS, SupabaseStorage, open_storage
from trainer.store import LocalFolder

KEY = f"two_tower/{VERSION}/user_tower.onnx"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file that goes in one request."""
    path = tmp_path / "user_tower.onnx"
    path.write_bytes(bytes(range(256)) * 100)
    return path


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """A file that goes in three pieces."""
    path = tmp_path / "two_tower.onnx"
    path.write_bytes(bytes(range(256)) * (2 * CHUNK_BYTES // 256 + 1))
    return path


@pytest.mark.parametrize("code", [429, 500, 502, 503, 504, 544])
def test_three_failures_and_then_it_works(
    code: int, bucket: SupabaseStorage, remote: World, file: Path
) -> None:
    remote.faults = [Fault(f"POST /object/models/{KEY}", server.status(code), times=3)]
    assert bucket.write_once(KEY, file)
    assert remote.objects[f"models/{KEY}"] == file.read_bytes()
    assert len(remote.sent("POST", KEY)) == 4


def test_failing_for_good_is_said_after_the_last_try(
    bucket: SupabaseStorage, remote: World, file: Path
) -> None:
    remote.faults = [Fault(f"POST /object/models/{KEY}", server.status(500))]
    with pytest.raises(StorageError, match=r"answered 500 .* while uploading .* run the command again later"):
        bucket.write_once(KEY, file)
    assert len(remote.sent("POST", KEY)) == ATTEMPTS


def test_what_will_not_change_is_not_tried_again(
    settings_for: Callable[..., Settings], remote: World, file: Path
) -> None:
    store = open_quickly(settings_for(server.READ_ONLY_KEY))
    with pytest.raises(StorageError, match=r"answered 403 .*row-level security.* SUPABASE_SECRET_KEY"):
        store.write_once(KEY, file)
    assert len(remote.sent("POST", KEY)) == 1
    assert remote.objects == {}


def test_a_server_that_hangs(settings_for: Callable[..., Settings], remote: World, file: Path) -> None:
    store = open_quickly(settings_for(), timeout_s=0.2)
    remote.faults = [Fault("POST", server.hang(1.0), times=1)]
    assert store.write_once(KEY, file)
    remote.faults = [Fault("GET", server.hang(1.0))]
    with pytest.raises(StorageError, match="did not answer in time while reading"):
        store.read(KEY)


def test_a_download_that_breaks_off(bucket: SupabaseStorage, remote: World, file: Path) -> None:
    bucket.write_once(KEY, file)
    remote.faults = [Fault(f"GET /object/models/{KEY}", server.truncate_download, times=2)]
    assert bucket.read(KEY) == file.read_bytes()
    remote.faults = [Fault(f"GET /object/models/{KEY}", server.truncate_download)]
    with pytest.raises(StorageError, match=r"while reading .*check SUPABASE_URL"):
        bucket.read(KEY)


def test_an_upload_that_arrives_damaged_is_sent_again(
    bucket: SupabaseStorage, remote: World, file: Path, large: Path
) -> None:
    remote.faults = [Fault(f"POST /object/models/{KEY}", server.truncate_upload, times=1)]
    assert bucket.write_once(KEY, file)
    assert remote.objects[f"models/{KEY}"] == file.read_bytes()
    remote.faults = [Fault("PATCH", server.truncate_upload, times=3)]
    assert bucket.write_once("two_tower/large.onnx", large)
    assert remote.objects["models/two_tower/large.onnx"] == large.read_bytes()


def test_a_server_that_always_damages_is_found_out(
    bucket: SupabaseStorage, remote: World, file: Path
) -> None:
    remote.faults = [Fault(f"POST /object/models/{KEY}", server.truncate_upload)]
    with pytest.raises(StorageError, match=r"holds 12800 bytes .* after 25600 bytes"):
        bucket.write_once(KEY, file)
    assert remote.keys() == []


def test_an_upload_that_arrived_unheard_counts(bucket: SupabaseStorage, remote: World, file: Path) -> None:
    def arrive_unheard(handler: server.Handler) -> bool:
        remote.objects[f"models/{KEY}"] = handler.multipart_file()
        handler.close_connection = True
        return True

    remote.faults = [Fault(f"POST /object/models/{KEY}", arrive_unheard, times=1)]
    assert bucket.write_once(KEY, file)  # the second try is told "Duplicate"; the read-back decides
    assert len(remote.sent("POST", KEY)) == 2


def test_large_files_go_in_pieces_of_six_mebibytes(
    bucket: SupabaseStorage, remote: World, large: Path
) -> None:
    assert bucket.write_once("two_tower/large.onnx", large)
    assert remote.objects["models/two_tower/large.onnx"] == large.read_bytes()
    assert len(remote.sent("PATCH")) == 3
    assert remote.sent("POST", "/object/models/") == []


def test_a_broken_piece_is_continued_where_it_broke(
    bucket: SupabaseStorage, remote: World, large: Path
) -> None:
    remote.faults = [Fault("PATCH", server.break_after_piece, times=1)]
    assert bucket.write_once("two_tower/large.onnx", large)
    assert remote.objects["models/two_tower/large.onnx"] == large.read_bytes()
    assert len(remote.sent("POST", "/upload/resumable")) == 1


def test_missing_bucket(settings_for: Callable[..., Settings]) -> None:
    with pytest.raises(StorageError, match=r"'Bucket not found'.*create a private bucket named model-files"):
        open_quickly(settings_for(bucket="model-files"))


def test_wrong_key(settings_for: Callable[..., Settings]) -> None:
    with pytest.raises(StorageError, match=r"answered 403 .*the key is refused") as failed:
        open_quickly(settings_for("sb_secret_of_another_project"))
    assert "of_another_project" not in str(failed.value)


def _jwt(role: str) -> str:
    payload = urlsafe_b64encode(json.dumps({"role": role}).encode()).decode().rstrip("=")
    return f"eyJhbGciOiJIUzI1NiJ9.{payload}.c2lnbmF0dXJl"


@pytest.mark.parametrize("key", ["sb_publishable_abc", _jwt("anon"), _jwt("authenticated")])
def test_a_key_for_browsers_is_refused_before_anything_is_sent(
    key: str, settings_for: Callable[..., Settings], remote: World
) -> None:
    with pytest.raises(StorageError, match="which may not write"):
        open_quickly(settings_for(key))
    assert remote.requests == []


def test_over_the_buckets_limit(
    settings_for: Callable[..., Settings], remote: World, file: Path, large: Path
) -> None:
    remote.buckets["models"] = 10_000_000
    store = open_quickly(settings_for())
    assert store.write_once(KEY, file)
    with pytest.raises(StorageError, match=r"takes 10000000 per file.*raise the file size limit"):
        store.write_once("two_tower/large.onnx", large)
    remote.buckets["models"] = 20_000  # lowered since the bucket was looked at: the server says it
    with pytest.raises(StorageError, match=r"answered 413 .*raise the file size limit"):
        store.write_once("two_tower/other.onnx", file)


def test_quota(bucket: SupabaseStorage, remote: World, file: Path) -> None:
    remote.faults = [Fault("POST", server.status(402))]
    with pytest.raises(StorageError, match="quota is used up"):
        bucket.write_once(KEY, file)


def test_nobody_listens(settings_for: Callable[..., Settings]) -> None:
    settings = settings_for().model_copy(update={"supabase_url": "http://127.0.0.1:9"})
    with pytest.raises(StorageError, match=r"bucket models at http://127\.0\.0\.1:9 cannot be reached"):
        open_quickly(settings)


def test_without_settings_there_is_no_bucket(settings_for: Callable[..., Settings]) -> None:
    settings = settings_for()
    assert open_storage(settings.model_copy(update={"supabase_url": None})) is None
    assert open_storage(settings.model_copy(update={"supabase_secret_key": None})) is None


def test_latest_copies_survive_readers_that_make_overwriting_fail(
    local: LocalFolder, bucket: SupabaseStorage, remote: World
) -> None:
    remote.faults = [Fault("POST /object/models/two_tower_latest.pt", server.status(500), times=3)]
    publish_artifacts(local, bucket, VERSION)
    assert remote.objects["models/two_tower_latest.pt"] == local.read(
        f"{version_folder(VERSION)}/two_tower_{VERSION}.pt"
    )
