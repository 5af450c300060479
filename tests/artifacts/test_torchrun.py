"""`torchrun -m trainer`: the main job in two processes, each reading its own users from the marts."""

import subprocess
import sys
from pathlib import Path

from trainer.database import Address


def test_the_main_job_in_two_processes(serving_database: Address, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m"]
    dials = ["--embedding-dim", "32", "--epochs", "2", "--baselines", "none", "--dry-run"]
    url = serving_database.url(with_password=True)
    done = subprocess.run(
        [*command, "trainer", "--database-url", url, *dials],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("epoch 1: loss") == 1  # process 0 alone speaks
    assert "evaluate" in done.stdout
    assert not (tmp_path / "artifacts").exists()  # a dry run keeps no checkpoint either
