"""The dials of the main job as options. Defaults live in TrainingConfig; a test compares what is said."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from trainer.cli.options import Command, baseline_names

# field of TrainingConfig -> type, default as it is said, what it is
DIALS: dict[str, tuple[Any, str, str]] = {
    "embedding_dim": (int, "256", "Dimensions of the vectors; an app's own tables decide when they exist."),
    "epochs": (int, "3", "At most; early stopping usually ends sooner."),
    "patience": (int, "1", "Epochs without a better validation before training stops."),
    "batch_size": (int, "8192", "Likes per step."),
    "lr": (float, "5e-05", "Learning rate of Adam; from a random start take 1e-3."),
    "loss": (click.Choice(["softmax", "bce", "hinge"]), "softmax", "Loss."),
    "margin": (float, "1.0", "Margin of the hinge loss."),
    "negatives": (
        str,
        "random=0.5,popular=0.5",
        "Mixture that negatives are drawn from: random, popular, hard.",
    ),
    "start": (click.Choice(["regression", "random"]), "regression", "Where training starts."),
    "hidden_units": (int, "0", "Width of the user tower's hidden layer."),
    "seed": (int, "0", "Equal seeds give equal numbers on one CPU."),
    "device": (click.Choice(["auto", "cpu", "cuda", "mps"]), "auto", "Where to train."),
}


def training_options(command: Command) -> Command:
    """An option per dial, in the order above."""
    for name, (kind, default, words) in reversed(DIALS.items()):
        option = f"--{name.replace('_', '-')}"
        text = f"{words}  [default: {default}]"
        command = click.option(option, name, type=kind, default=None, help=text)(command)
    return command


def train(where: Any, out_dir: Path, baselines: str, dials: Mapping[str, Any], **job: bool) -> None:
    """Run the main job with the dials that were given, the others as TrainingConfig has them."""
    from trainer import pipeline
    from trainer.training import TrainingConfig

    config = TrainingConfig(**{name: value for name, value in dials.items() if value is not None})
    pipeline.run(where, config, pipeline.Job(out_dir, baseline_names(baselines), **job))
