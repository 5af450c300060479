"""The client that knows nothing of Martello ranks as the model does."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from artifacts.conftest import VERSION
from artifacts.storage_server import GOOD_KEY, World
from trainer.mart import Mart
from trainer.publish import publish_artifacts
from trainer.storage import SupabaseStorage
from trainer.store import LocalFolder
from trainer.trained import TrainedModel


def _run(repository: Path, remote: World, *words: str) -> subprocess.CompletedProcess[str]:
    variables = {"SUPABASE_URL": remote.url, "SUPABASE_SECRET_KEY": GOOD_KEY}
    return subprocess.run(
        [sys.executable, str(repository / "supabase" / "clients" / "score.py"), *words],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture
def published(remote: World, bucket: SupabaseStorage, out_dir: Path) -> World:
    """The bucket with the trained world's release."""
    publish_artifacts(LocalFolder(out_dir), bucket, VERSION)
    return remote


def test_the_client_ranks_as_the_model_does(
    repository: Path, published: World, world: Mart, model: TrainedModel
) -> None:
    done = _run(repository, published, world.user_keys[4], "5")
    assert done.returncode == 0, done.stderr
    vectors = model.user_vectors(model.histories(world, "published"))
    scores = model.item_vectors()[0] @ vectors[4]
    expected = [f"{scores[k]:.4f}" for k in np.argsort(-scores)[:5]]
    assert [line.split()[0] for line in done.stdout.splitlines()] == expected
    best = world.catalogue.video_ids.index(done.stdout.split()[1])
    assert abs(scores[best] - scores.max()) < 1e-5

    unknown = _run(repository, published, "review:nobody")
    assert "review:nobody is not among the 60 users" in unknown.stderr
    published.objects[f"models/two_tower/{VERSION}/two_tower_{VERSION}.onnx"] += b"x"
    damaged = _run(repository, published, world.user_keys[4])
    assert "is not the file that the manifest names" in damaged.stderr
