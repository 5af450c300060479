"""A Storage server and a small release on disk; trained towers; the same in a database; programs from npm."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import SecretStr

from artifacts import served_world, trained_world
from artifacts.storage_server import GOOD_KEY, storage_server
from artifacts.storage_server import World as StorageWorld
from conftest import drop_database
from trainer.database import Address, Connection, connect
from trainer.manifest import version_folder
from trainer.mart import Mart
from trainer.publish import REQUIRED
from trainer.settings import Settings
from trainer.storage import SupabaseStorage, open_storage
from trainer.store import LocalFolder, sha256
from trainer.trained import TrainedModel
from trainer.weights import weights_sha256, write_weights

VERSION, NEXT_VERSION = "202611200900", "202611271800"


@pytest.fixture
def remote() -> Iterator[StorageWorld]:
    """The Storage server, with an empty bucket `models`."""
    with storage_server() as running:
        yield running


@pytest.fixture
def settings_for(remote: StorageWorld) -> Callable[..., Settings]:
    """Settings that point at the server, without reading the environment or .env."""

    def make(key: str = GOOD_KEY, bucket: str = "models") -> Settings:
        return Settings.model_construct(
            supabase_url=remote.url,
            supabase_secret_key=SecretStr(key),
            supabase_service_role_key=None,
            martello_bucket=bucket,
        )

    return make


@pytest.fixture
def bucket(settings_for: Callable[..., Settings]) -> SupabaseStorage:
    """The bucket, with retries that do not make a test wait."""
    return open_quickly(settings_for())


def open_quickly(settings: Settings, timeout_s: float = 5.0) -> SupabaseStorage:
    """`open_storage` with waits of milliseconds."""
    store = open_storage(settings, first_wait_s=0.01, timeout_s=timeout_s)
    assert store is not None
    return store


@pytest.fixture
def local(tmp_path: Path) -> LocalFolder:
    """An artifacts folder with two versions in it."""
    folder = LocalFolder(tmp_path / "artifacts")
    for seed, version in enumerate((VERSION, NEXT_VERSION)):
        write_release(folder, version, seed)
    return folder


def write_release(
    folder: LocalFolder, version: str, seed: int, dimension: int = 8, weights_limit: int = 1_000_000
) -> None:
    """Every file of a version: real weights, the rest random bytes; the score model has 7 MB, two pieces."""
    rng = np.random.default_rng(seed)
    top = folder.path(version_folder(version))
    names = [name.format(version=version) for name in REQUIRED]
    weights = {"user_tower.skip.weight": torch.tensor(rng.normal(size=(dimension, 2 * dimension)))}
    for name in names:
        path = top / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if name.endswith(".json"):
            path.write_text(json.dumps({"n": int(rng.integers(1_000_000))}))
        else:
            path.write_bytes(rng.bytes(7_000_000 if name == f"two_tower_{version}.onnx" else 1_000))
    parts = write_weights(top / f"two_tower_{version}.pt", weights, weights_limit)
    names += [path.name for path in parts[1:]]
    meta = {
        "schema": 1,
        "version": version,
        "embedding_dim": dimension,
        "weights_sha256": weights_sha256(weights),
        "files": {
            name: {"sha256": sha256((top / name).read_bytes())} for name in names if name != "model_meta.json"
        },
    }
    (top / "model_meta.json").write_text(json.dumps(meta))


@pytest.fixture(scope="session")
def world() -> Mart:
    """The mart that the towers are trained on."""
    return trained_world.mart()


@pytest.fixture(scope="session")
def model(world: Mart) -> TrainedModel:
    """Towers with every part they can have."""
    return trained_world.train(world)


@pytest.fixture(scope="session")
def released(
    tmp_path_factory: pytest.TempPathFactory,
    migrated_template: Address,
    new_database: Callable[..., Address],
    world: Mart,
    model: TrainedModel,
) -> tuple[Address, Path]:
    """A database in which VERSION serves, and the folder of its artifacts: templates, not to be changed."""
    address, out_dir = (
        new_database(migrated_template.parameters["dbname"]),
        tmp_path_factory.mktemp("released"),
    )
    with connect(address, autocommit=True) as connection:
        served_world.fill(connection, world)
        served_world.publish(connection, out_dir, VERSION, model, world)
    return address, out_dir


@pytest.fixture
def out_dir(released: tuple[Address, Path], tmp_path: Path) -> Path:
    """The artifacts of the version that serves."""
    return Path(shutil.copytree(released[1], tmp_path / "out"))


@pytest.fixture
def serving_database(
    server_address: Address, released: tuple[Address, Path], new_database: Callable[..., Address]
) -> Iterator[Address]:
    """A database in which VERSION serves."""
    address = new_database(released[0].parameters["dbname"])
    yield address
    drop_database(server_address, address)


@pytest.fixture
def serving(serving_database: Address) -> Iterator[Connection]:
    """A connection to it, as its owner."""
    with connect(serving_database, autocommit=True) as opened:
        yield opened
