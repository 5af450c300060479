"""Training as a program of its own, to be killed or to be started several times: see test_resume.py and
test_processes.py.

    python tests/train_program.py CHECKPOINT KILL     KILL: the step that does not come to its end; 0 never,
                                                      -n while the n-th checkpoint is written
    torchrun --nproc-per-node N tests/train_program.py
"""

import os
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from towers_world import checkerboard
from trainer.checkpoint import Checkpoint, Snapshot
from trainer.mart import Mart
from trainer.process_group import join_group, leave_group
from trainer.training import TrainingConfig, fit
from trainer.training_run import Run
from trainer.training_worker import follow
from trainer.weights import weights_sha256

# From a random start, so that epochs matter; sampled and sparse, with dislikes and a hidden layer.
DIALS = TrainingConfig(
    embedding_dim=16, epochs=4, patience=9, batch_size=400, lr=0.02, start="random", hidden_units=4,
    exact_candidates=10, n_negatives=64,
)  # fmt: skip

TOGETHER = replace(DIALS, epochs=12)


class KilledInWriting(Checkpoint):
    """Half a file lies beside the checkpoint when the kill comes."""

    left = 0

    def write(self, snapshot: Snapshot) -> None:
        """The n-th time, half of it."""
        KilledInWriting.left -= 1
        if KilledInWriting.left == 0 and self.path:
            self.path.with_suffix(".partial").write_bytes(self.path.read_bytes()[:500])
            os.kill(os.getpid(), signal.SIGKILL)
        super().write(snapshot)


def checkpoint(path: Path, mart: Mart, *, resumes: bool, kind: type[Checkpoint] = Checkpoint) -> Checkpoint:
    """The checkpoint of DIALS at a path."""
    return kind(path, mart.data_hash, DIALS.to_json(), resumes=resumes)


def train_and_be_killed(path: Path, kill: int) -> None:
    mart, left, whole = checkerboard(), kill, Run.loss

    def loss(self: Run, *arguments: Any) -> torch.Tensor:
        nonlocal left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return whole(self, *arguments)

    Run.loss = loss  # type: ignore[method-assign]  # the kill has to come inside a step
    KilledInWriting.left = -kill
    fit(mart, DIALS, checkpoint=checkpoint(path, mart, resumes=False, kind=KilledInWriting))


def train_together() -> None:
    group, mart = join_group(), checkerboard()
    if group.rank:
        rows = mart.interactions
        follow(
            replace(mart, interactions=rows.where(rows.user_index % group.size == group.rank)), DIALS, group
        )
    else:
        model = fit(mart, TOGETHER, group=group)
        print("ndcg", *(record.val_ndcg for record in model.curve))
        print("weights", weights_sha256(model.towers.state_dict()))
    leave_group(group)
    print("threads", *sorted(name.read_text().strip() for name in Path("/proc/self/task").glob("*/comm")))


if __name__ == "__main__":
    torch.set_num_threads(1)
    if len(sys.argv) > 1:
        train_and_be_killed(Path(sys.argv[1]), int(sys.argv[2]))
    else:
        train_together()
