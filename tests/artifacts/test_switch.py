"""Promotion and rollback take the files along, wherever they lie."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from artifacts.conftest import NEXT_VERSION, VERSION
from artifacts.served_world import bundle_of
from artifacts.storage_server import GOOD_KEY, World
from trainer import release, switch
from trainer.artifacts import write_artifacts
from trainer.database import Address, connect
from trainer.errors import StorageError
from trainer.manifest import MANIFEST_KEY, parse
from trainer.mart import Mart
from trainer.publish import publish_artifacts, read_manifest
from trainer.storage import SupabaseStorage
from trainer.store import LocalFolder
from trainer.trained import TrainedModel


@pytest.fixture
def two_versions(
    serving_database: Address, out_dir: Path, world: Mart, model: TrainedModel, bucket: SupabaseStorage
) -> Iterator[Address]:
    """VERSION, then NEXT_VERSION, promoted in database, folder and bucket."""
    write_artifacts(out_dir, NEXT_VERSION, model, world, {})
    for version in (VERSION, NEXT_VERSION):
        publish_artifacts(LocalFolder(out_dir), bucket, version)
    with connect(serving_database, autocommit=True) as connection:
        release.write_version(connection, bundle_of(NEXT_VERSION, model, world))
        release.promote(connection, NEXT_VERSION, force=True)
    return serving_database


@pytest.fixture
def configured(monkeypatch: pytest.MonkeyPatch, remote: World) -> World:
    """The environment names the Storage server."""
    monkeypatch.setenv("SUPABASE_URL", remote.url)
    monkeypatch.setenv("SUPABASE_SECRET_KEY", GOOD_KEY)
    return remote


def _current(remote: World) -> str:
    return parse(remote.objects[f"models/{MANIFEST_KEY}"], "the bucket").current.version


def test_a_rollback_far_from_the_files_takes_storage_along(
    two_versions: Address,
    configured: World,
    out_dir: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A laptop that never trained: database and Storage name the same version afterwards, both ways."""
    elsewhere = tmp_path / "elsewhere"
    switch.switch(two_versions, elsewhere, None)
    assert f"version {VERSION} serves now, after {NEXT_VERSION}" in capsys.readouterr().out
    assert _current(configured) == VERSION
    local = LocalFolder(out_dir)
    weights = f"two_tower/{VERSION}/two_tower_{VERSION}.pt"
    assert configured.objects["models/two_tower_latest.pt"] == local.read(weights)
    assert not elsewhere.exists()
    switch.switch(two_versions, elsewhere, NEXT_VERSION)
    assert _current(configured) == NEXT_VERSION


def test_a_version_whose_files_are_nowhere_is_said(
    two_versions: Address, configured: World, tmp_path: Path
) -> None:
    for key in [key for key in configured.objects if f"/{VERSION}/" in key]:
        del configured.objects[key]
    with pytest.raises(StorageError, match=f"holds no whole version {VERSION}.*publish --storage-only"):
        switch.switch(two_versions, tmp_path / "elsewhere", None)
    assert _current(configured) == NEXT_VERSION


def test_without_storage_the_database_goes_alone(
    two_versions: Address,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name in ("SUPABASE_URL", "SUPABASE_SECRET_KEY", "SUPABASE_SERVICE_ROLE_KEY"):
        monkeypatch.delenv(name, raising=False)
    switch.switch(two_versions, tmp_path / "elsewhere", None)
    assert "its files are not in" in capsys.readouterr().out


def test_a_version_that_waits_lies_in_storage_and_is_not_current(
    two_versions: Address, configured: World, out_dir: Path, world: Mart, model: TrainedModel
) -> None:
    """What the gate refused on a runner that is gone tomorrow can still be promoted."""
    waiting = "202612010000"
    write_artifacts(out_dir, waiting, model, world, {})
    switch.keep_files(LocalFolder(out_dir), waiting)
    assert _current(configured) == NEXT_VERSION
    assert f"models/two_tower/{waiting}/model_meta.json" in configured.objects


def test_the_folders_manifest_follows_the_switch(
    two_versions: Address, configured: World, out_dir: Path
) -> None:
    switch.switch(two_versions, out_dir, None)
    manifest = read_manifest(LocalFolder(out_dir))
    assert manifest is not None
    assert manifest.current.version == _current(configured) == VERSION
