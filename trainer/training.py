"""Training: from a mart to a TrainedModel. One step: users, half of whose likes must be found from the
other half.

Two stages: the search learns from nine tenths and finds how many epochs are best on the other tenth; the
final one learns from everything for as many.
"""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace

import numpy as np
import numpy.typing as npt

from trainer.checkpoint import Checkpoint, Snapshot, Stage
from trainer.course import Course
from trainer.held_out import held_out_rows
from trainer.mart import TRAIN, Mart
from trainer.process_group import Group
from trainer.start_maker import Chosen
from trainer.towers_start import resumed_towers, start_towers
from trainer.trained import EpochRecord, TrainedModel
from trainer.training_config import TrainingConfig, check_config
from trainer.training_run import Run
from trainer.training_worker import announce
from trainer.validation import Validation

__all__ = ["EpochRecord", "TrainedModel", "TrainingConfig", "fit"]

Progress = Callable[[EpochRecord], None]
Mask = npt.NDArray[np.bool_]


def fit(
    mart: Mart,
    config: TrainingConfig,
    on_progress: Progress | None = None,
    *,
    chosen: Chosen | None = None,
    checkpoint: Checkpoint | None = None,
    group: Group | None = None,
) -> TrainedModel:
    """Train on the training split of a mart; early stopping never looks at the holdout.

    The dials of the start are `chosen`, or the best on held-out rows; the model's config says which
    (`start_dials`) and how many epochs were worth keeping (`best_epoch`; 0: the start alone). With a
    checkpoint it is written after every epoch, and resumed if it says so. In a group the others follow
    (training_worker.py). Raises TrainingError: the loss is not a number (step and likely cause), or
    the checkpoint is another training's; UsageError: a dial out of range.
    """
    check_config(config)
    rows, held = mart.interactions, held_out_rows(mart)
    everything = rows.split == TRAIN
    saved = checkpoint.read() if checkpoint else None
    training = Training(mart, config, on_progress, checkpoint, group or Group(), saved)
    if saved is None or saved.stage == "search":
        search = Course(config.epochs, config.patience)
        given = chosen
        run, chosen = training.stage("search", everything & ~held, held, search, chosen=given)
        if given is None:
            chosen = replace(chosen, content_share=run.content_share())
    else:
        run, chosen, search = None, saved.chosen, saved.search
    took_training_rows = bool((held & everything).any())
    validated = search.curve[-1].val_ndcg is not None
    if run is None or (config.refit and took_training_rows and validated):
        scale = run.scale if run else 0.0
        nothing, course = np.zeros(len(rows), np.bool_), Course(search.best_epoch, config.patience)
        run, _ = training.stage(
            "final", everything, nothing, course, search=search, chosen=chosen, scale=scale
        )
    training.group.share(None)
    run.fill_content(chosen.content_share)
    run.make_less_popular()
    model = run.model(search.curve, training.seconds)
    found = {"start_dials": asdict(chosen), "best_epoch": search.best_epoch}
    return replace(model, config=model.config | found)


@dataclass
class Training:
    """What both stages share."""

    mart: Mart
    config: TrainingConfig
    on_progress: Progress | None
    checkpoint: Checkpoint | None
    group: Group
    saved: Snapshot | None
    """Where to go on; None once that is done."""
    started: float = field(default_factory=time.perf_counter)

    @property
    def seconds(self) -> float:
        """Spent so far, before a kill and after."""
        return time.perf_counter() - self.started

    def stage(
        self,
        name: Stage,
        mask: Mask,
        held: Mask,
        course: Course,
        *,
        search: Course | None = None,
        chosen: Chosen | None = None,
        scale: float = 0.0,
    ) -> tuple[Run, Chosen]:
        """Train on the rows of `mask`; what is not given is chosen on the rows of `held`."""
        validation = Validation.of(self.mart, mask, held, seed=self.config.seed)
        saved, self.saved = self.saved, None
        if saved:
            towers, data = resumed_towers(self.mart, self.config, mask, validation, saved)
            chosen, scale = saved.chosen, saved.scale
            course.__dict__.update(vars(saved.course))
            self.started -= saved.seconds
        else:
            towers, data, chosen = start_towers(self.mart, self.config, mask, validation, chosen)
        run = announce((self.mart, mask), towers, data, self.config, self.group)
        temperature = self.config.temperature
        run.scale = scale or (1 / temperature if temperature else run.likeliest_scale())
        states = saved.optimizers if saved else [o.state_dict() for o in run.optimizers]
        done = course.curve[-1].epoch if course.curve else 0
        run.take_over(**self.group.share({"scale": run.scale, "optimizers": states, "epoch": done}))

        def keep() -> None:
            if self.checkpoint:
                shape, weights = run.towers.shape(), run.towers.state_dict()
                states = [optimizer.state_dict() for optimizer in run.optimizers]
                found = search or course
                self.checkpoint.write(
                    Snapshot(name, chosen, run.scale, course, found, shape, weights, states, self.seconds)
                )

        self.train(run, course, keep, says=name == "search")
        return run, chosen

    def train(self, run: Run, course: Course, keep: Callable[[], None], *, says: bool) -> None:
        """Epochs until the course is over; the towers have its best weights afterwards."""

        def note(epoch: int, loss: float, began: float) -> None:
            gains = run.val_gains()
            ndcg = None if gains is None else float(gains.mean())
            record = EpochRecord(epoch, loss, ndcg, time.perf_counter() - began)
            course.note(record, gains, run.towers)
            if says and self.on_progress:
                self.on_progress(record)
            keep()

        if not course.curve:
            note(0, float("nan"), time.perf_counter())
        while self.group.share(not course.is_over):
            began, epoch = time.perf_counter(), course.curve[-1].epoch + 1
            note(epoch, run.epoch(epoch), began)
        run.towers.load_state_dict(course.best_weights)
