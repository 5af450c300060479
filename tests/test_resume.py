"""A training that was killed and resumed gives the numbers of one that was not."""

import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from towers_world import checkerboard
from train_program import DIALS, checkpoint
from trainer.checkpoint import Checkpoint
from trainer.errors import TrainingError
from trainer.mart import Mart
from trainer.trained import TrainedModel
from trainer.training import fit

PROGRAM = Path(__file__).with_name("train_program.py")
torch.set_num_threads(1)


@pytest.fixture(scope="module")
def world() -> Mart:
    return checkerboard()


@pytest.fixture(scope="module")
def unkilled(world: Mart) -> TrainedModel:
    return fit(world, DIALS)


# 2 steps an epoch, 4 epochs in each of the two stages; the start is the first checkpoint of each
@pytest.mark.parametrize(("kill", "epochs_kept"), [(2, 0), (5, 2), (12, 1), (-3, 1)])
def test_a_kill_changes_nothing(
    world: Mart, unkilled: TrainedModel, tmp_path: Path, kill: int, epochs_kept: int
) -> None:
    file = tmp_path / "training.checkpoint"
    done = subprocess.run([sys.executable, PROGRAM, file, str(kill)], check=False)
    assert done.returncode == -signal.SIGKILL
    resuming = checkpoint(file, world, resumes=True)
    saved = resuming.read()
    assert saved is not None
    assert (saved.stage, saved.course.curve[-1].epoch) == ("final" if kill > 8 else "search", epochs_kept)
    resumed = fit(world, DIALS, checkpoint=resuming)
    for name, tensor in unkilled.towers.state_dict().items():
        assert torch.equal(tensor, resumed.towers.state_dict()[name]), name
    assert [r.val_ndcg for r in resumed.curve] == [r.val_ndcg for r in unkilled.curve]
    resuming.delete()
    assert list(tmp_path.iterdir()) == []


def test_another_trainings_checkpoint_is_refused(world: Mart, tmp_path: Path) -> None:
    quick = replace(DIALS, epochs=1)
    written = Checkpoint(tmp_path / "training.checkpoint", world.data_hash, quick.to_json())
    fit(world, quick, checkpoint=written)
    with pytest.raises(TrainingError, match=r"written with epochs 1, now 4\. use those dials, or train"):
        checkpoint(tmp_path / "training.checkpoint", world, resumes=True).read()
    with pytest.raises(TrainingError, match="written for other rows of the marts"):
        replace(written, data_hash="other", resumes=True).read()
    assert written.path is not None
    written.path.write_bytes(written.path.read_bytes()[:1000])
    with pytest.raises(TrainingError, match="cannot be read"):
        replace(written, resumes=True).read()
    assert written.read() is None  # not asked to resume: it is simply written over
