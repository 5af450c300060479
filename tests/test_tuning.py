"""The search for dials: it goes on where it was, and says what to type."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from towers_world import checkerboard
from trainer.errors import UsageError
from trainer.training import TrainingConfig
from trainer.tuning import tune

torch.set_num_threads(1)
# from a random start at a rate that learns nothing: any other trial is better
POOR = TrainingConfig(embedding_dim=8, epochs=2, batch_size=2048, lr=1e-5, start="random")


def test_the_best_dials_are_options_and_the_study_goes_on(tmp_path: Path) -> None:
    pytest.importorskip("optuna")
    said: list[str] = []
    mart = checkerboard()
    options = tune(mart, POOR, 3, tmp_path, said.append)
    assert [line.split(":")[0] for line in said[:3]] == ["trial 0", "trial 1", "trial 2"]
    assert said[0].startswith("trial 0: lr 1e-05, batch_size 2048, hidden_units 0: ")
    assert [word for word in options.split() if word.startswith("--")] == [
        "--lr", "--batch-size", "--hidden-units",
    ]  # fmt: skip
    best = float(said[3].split()[3].rstrip(","))
    assert best == max(float(line.split()[-1]) for line in said[:3]) > float(said[0].split()[-1])
    said.clear()
    tune(mart, POOR, 1, tmp_path, said.append)
    assert said[0].startswith("3 trials are known already")
    assert said[1].startswith("trial 3")


def test_without_optuna_the_remedy_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(UsageError, match=r"Optuna is not installed\. pip install -e '\.\[tune\]'"):
        tune(checkerboard(), POOR, 1, tmp_path, print)
    with pytest.raises(UsageError, match="--trials is 0"):
        tune(checkerboard(), replace(POOR), 0, tmp_path, print)
