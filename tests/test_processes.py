"""torchrun: several processes, each on its own users, train the model that one trains."""

import os
import subprocess
import sys
from pathlib import Path

from towers_world import checkerboard
from train_program import TOGETHER
from trainer.training import fit

PROGRAM = Path(__file__).with_name("train_program.py")


def torchrun(n: int, *words: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """`torchrun --standalone --nproc-per-node N …`, its two streams together."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={n}"]
    return subprocess.run(
        [*command, *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
    )


def test_two_processes_learn_what_one_does() -> None:
    done = torchrun(2, PROGRAM)
    assert done.returncode == 0, done.stdout
    threads = [line for line in done.stdout.splitlines() if line.startswith("threads")]
    assert len(threads) == 2
    assert not any("gloo" in names for names in threads), threads  # one that outlives the group may abort it
    said = next(line for line in done.stdout.splitlines() if line.startswith("ndcg"))
    together = [float(word) for word in said.split()[1:]]
    alone = [record.val_ndcg for record in fit(checkerboard(), TOGETHER).curve]
    assert together[0] == alone[0]  # the same start
    assert together[-1] > alone[0] + 0.2  # and it learned
    assert abs(together[-1] - (alone[-1] or 0)) < 0.05
