"""Training: from a mart to a TrainedModel. One step: users, half of whose likes must be found from the
other half.
"""

import time
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from trainer.choose_start import Chosen
from trainer.course import Course
from trainer.held_out import held_out_rows
from trainer.mart import TRAIN, Mart
from trainer.towers_start import start_towers
from trainer.trained import EpochRecord, TrainedModel
from trainer.training_config import TrainingConfig, check_config
from trainer.training_run import Run
from trainer.validation import Validation

__all__ = ["EpochRecord", "TrainedModel", "TrainingConfig", "fit"]

Progress = Callable[[EpochRecord], None]


def fit(mart: Mart, config: TrainingConfig, on_progress: Progress | None = None) -> TrainedModel:
    """Train on the training split of a mart; early stopping never looks at the holdout.

    Raises TrainingError: the loss is not a number (step and likely cause); UsageError: a dial out of range.
    """
    check_config(config)
    started = time.perf_counter()
    rows = mart.interactions
    held = held_out_rows(mart)
    run, chosen = prepare(mart, config, (rows.split == TRAIN) & ~held, held)
    course = Course(config.epochs, config.patience)
    train(run, course, on_progress)
    took_training_rows = bool((held & (rows.split == TRAIN)).any())
    if config.refit and took_training_rows and len(run.data.validation.users):
        nothing = np.zeros(len(rows), np.bool_)
        run, _ = prepare(mart, config, rows.split == TRAIN, nothing, chosen=chosen, scale=run.scale)
        train(run, Course(course.best_epoch, config.patience), None)
    run.refit_content()
    return run.model(course.curve, time.perf_counter() - started)


def prepare(
    mart: Mart,
    config: TrainingConfig,
    mask: npt.NDArray[np.bool_],
    held: npt.NDArray[np.bool_],
    *,
    chosen: Chosen | None = None,
    scale: float = 0.0,
) -> tuple[Run, Chosen]:
    """A training on the rows of `mask`, at its start; what is not given is chosen on the rows of `held`."""
    validation = Validation.of(mart, mask, held, seed=config.seed)
    towers, data, chosen = start_towers(mart, config, mask, validation, chosen)
    return Run.begin(towers, data, config, scale), chosen


def train(run: Run, course: Course, on_progress: Progress | None) -> None:
    """Epochs until the course is over; the towers have its best weights afterwards."""
    epoch, loss, started = 0, float("nan"), time.perf_counter()
    while True:
        seconds = time.perf_counter() - started if epoch else 0.0
        course.note(EpochRecord(epoch, loss, run.val_ndcg(), seconds), run.towers)
        if on_progress:
            on_progress(course.curve[-1])
        if course.is_over:
            break
        epoch, started = epoch + 1, time.perf_counter()
        loss = run.epoch(epoch)
    run.towers.load_state_dict(course.best_weights)
