"""How far a training has come, and when it is over: the curve, and the best weights so far."""

import copy
from dataclasses import dataclass, field
from typing import Any

import torch

from trainer.towers import TwoTowers
from trainer.trained import EpochRecord


@dataclass
class Course:
    """Early stopping: over after `patience` epochs without a better validation; the best weights are kept.

    The start gives way only to an epoch that is better by more than one standard error of the difference,
    user by user (the one-standard-error rule of Breiman et al. 1984, section 3.4.3): a few thousand users
    say no more than that, and the closed form is the simpler model.
    """

    epochs: int
    patience: int
    curve: list[EpochRecord] = field(default_factory=list)
    leading_epoch: int = 0
    """The highest validation so far, by whatever margin: what patience counts from."""
    best_epoch: int = 0
    best_weights: dict[str, Any] = field(default_factory=dict)
    start_gains: torch.Tensor | None = None
    """NDCG of each validated user at the start [users]."""

    def note(self, record: EpochRecord, gains: torch.Tensor | None, towers: TwoTowers) -> None:
        """An epoch more, 0 being the start, with each validated user's NDCG; None where nothing is
        validated: then the latest weights are the best."""
        if not self.curve:
            self.start_gains = gains
        self.curve.append(record)
        if record.epoch == 0 or gains is None or self._is_better(record.epoch):
            self.leading_epoch = record.epoch
            if record.epoch == 0 or gains is None or is_above(gains, self.start_gains):
                self.best_epoch, self.best_weights = record.epoch, copy.deepcopy(towers.state_dict())

    @property
    def is_over(self) -> bool:
        """Whether there is no epoch to come."""
        latest = self.curve[-1]
        stalled = latest.val_ndcg is not None and latest.epoch - self.leading_epoch >= self.patience
        return latest.epoch >= self.epochs or stalled

    def _is_better(self, epoch: int) -> bool:
        now, leading = self.curve[epoch].val_ndcg, self.curve[self.leading_epoch].val_ndcg
        return now is not None and leading is not None and now > leading


def is_above(gains: torch.Tensor, others: torch.Tensor | None) -> bool:
    """Whether the mean [users] is higher by more than a standard error of the paired difference."""
    if others is None:
        return True
    difference = gains - others
    error = difference.std(correction=0) / len(difference) ** 0.5
    return bool(difference.mean() > error)
