"""How far a training has come, and when it is over: the curve, and the best weights so far."""

import copy
from dataclasses import dataclass, field
from typing import Any

from trainer.towers import TwoTowers
from trainer.trained import EpochRecord


@dataclass
class Course:
    """Early stopping: over after `patience` epochs without a better validation; the best weights are kept."""

    epochs: int
    patience: int
    curve: list[EpochRecord] = field(default_factory=list)
    best_epoch: int = 0
    best_weights: dict[str, Any] = field(default_factory=dict)

    def note(self, record: EpochRecord, towers: TwoTowers) -> None:
        """An epoch more, 0 being the start. Where nothing is validated the latest weights are the best."""
        best = self.curve[self.best_epoch].val_ndcg if self.curve else None
        self.curve.append(record)
        if best is None or record.val_ndcg is None or record.val_ndcg > best:
            self.best_epoch, self.best_weights = record.epoch, copy.deepcopy(towers.state_dict())

    @property
    def is_over(self) -> bool:
        """Whether there is no epoch to come."""
        latest = self.curve[-1]
        stalled = latest.val_ndcg is not None and latest.epoch - self.best_epoch >= self.patience
        return latest.epoch >= self.epochs or stalled
