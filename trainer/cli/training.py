"""The dials of the main job as options. Defaults live in TrainingConfig; a test compares what is said."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from trainer import console
from trainer.cli.options import Command, baseline_names, database_option, out_dir_option, where

# field of TrainingConfig -> type, default as it is said, what it is
DIALS: dict[str, tuple[Any, str, str]] = {
    "embedding_dim": (int, "256", "Dimensions of the vectors; an app's own tables decide when they exist."),
    "epochs": (int, "20", "At most; early stopping usually ends sooner."),
    "patience": (int, "3", "Epochs without a better validation before training stops."),
    "batch_size": (int, "8192", "Likes per step."),
    "lr": (float, "0.0001", "Learning rate of Adam; from a random start take 1e-3."),
    "loss": (click.Choice(["softmax", "bce", "hinge"]), "softmax", "Loss."),
    "margin": (float, "1.0", "Margin of the hinge loss."),
    "negatives": (
        str,
        "random=0.5,popular=0.5",
        "Mixture that negatives are drawn from: random, popular, hard.",
    ),
    "start": (click.Choice(["regression", "random"]), "regression", "Where training starts."),
    "hidden_units": (int, "0", "Width of the user tower's hidden layer."),
    "less_popular": (
        float,
        "0.0",
        "How far popular videos give way to others, in standard deviations of a personal score.",
    ),
    "seed": (int, "0", "Equal seeds give equal numbers on one CPU."),
    "device": (click.Choice(["auto", "cpu", "cuda", "mps"]), "auto", "Where to train."),
    "precision": (
        click.Choice(["auto", "float32", "bfloat16"]),
        "auto",
        "Of the products in a step; auto: bfloat16 on cuda.",
    ),
}


def training_options(command: Command) -> Command:
    """An option per dial, in the order above."""
    for name, (kind, default, words) in reversed(DIALS.items()):
        option = f"--{name.replace('_', '-')}"
        text = f"{words}  [default: {default}]"
        command = click.option(option, name, type=kind, default=None, help=text)(command)
    return command


def train(address: Any, out_dir: Path, baselines: str, dials: Mapping[str, Any], **job: bool) -> None:
    """Run the main job with the dials that were given, the others as TrainingConfig has them."""
    from trainer import pipeline
    from trainer.process_group import join_group, leave_group
    from trainer.training import TrainingConfig

    config = TrainingConfig(**{name: value for name, value in dials.items() if value is not None})
    group = join_group()
    if group.rank:
        pipeline.help_training(address, config, group)
    else:
        pipeline.run(address, config, pipeline.Job(out_dir, baseline_names(baselines), **job), group)
    leave_group(group)


@click.command()
@click.option("--trials", type=int, default=20, show_default=True, help="Trainings to try, more each time.")
@database_option
@training_options
@out_dir_option
def tune(database_url: str | None, trials: int, out_dir: Path, **dials: Any) -> None:
    """Search for better dials on held-out training rows; prints the options to use."""
    from trainer import tuning
    from trainer.database import connect
    from trainer.mart import read_mart
    from trainer.training import TrainingConfig

    config = TrainingConfig(**{name: value for name, value in dials.items() if value is not None})
    with connect(where(database_url), autocommit=True) as connection:
        mart = read_mart(connection)
    options = tuning.tune(mart, config, trials, out_dir, console.say)
    console.say(f"python -m trainer {options}")
