"""Training in several processes: each steps on its own users, gradients are averaged between them.

Process 0 reads all rows, computes the start, validates and writes; the others read their users' rows alone
and follow what it announces.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from trainer.errors import MartError
from trainer.features import Vocabularies, encode
from trainer.histories import Aggregate, AggregateTable, HistoryConfig, build_histories, video_numbers
from trainer.mart import Mart
from trainer.process_group import Group
from trainer.towers import TwoTowers
from trainer.training_config import TrainingConfig
from trainer.training_data import TrainingData
from trainer.training_run import Run
from trainer.validation import Validation

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Plan:
    """What one stage of training is, for those who did not prepare it; weights come with the first step."""

    history: HistoryConfig
    vocabularies: Vocabularies
    aggregates: list[Aggregate]
    popularity: npt.NDArray[np.float64]
    shape: dict[str, int]
    masks: list[Mask]
    """Which rows are training rows, for each process in the order it reads them."""

    def data(self, mart: Mart, rank: int) -> TrainingData:
        """A process's part of the data. Raises MartError when it read other rows than process 0."""
        mask = self.masks[rank]
        if len(mask) != len(mart.interactions):
            raise MartError(
                f"process {rank} read {len(mart.interactions)} rows, process 0 counted {len(mask)} for it",
                "the marts were rebuilt meanwhile: start again",
            )
        aggregates = AggregateTable(self.aggregates, video_numbers(mart.catalogue))
        histories = build_histories(mart, "train", self.history, aggregates, mask)
        nothing = Validation.of(mart, mask, np.zeros(len(mask), np.bool_), seed=0)
        features = encode(mart.catalogue, self.vocabularies)
        validated = histories.take(nothing.users)
        return TrainingData(
            self.history,
            self.vocabularies,
            features,
            aggregates,
            histories,
            self.popularity,
            nothing,
            validated,
        )


def announce(
    rows: tuple[Mart, Mask], towers: TwoTowers, data: TrainingData, config: TrainingConfig, group: Group
) -> Run:
    """Begin a stage on the masked rows of a mart in process 0, and tell the others how."""
    mart, mask = rows
    if group.size > 1:
        owner = mart.interactions.user_index % group.size
        group.share(
            Plan(
                data.history,
                data.vocabularies,
                data.aggregates.aggregates,
                data.popularity,
                towers.shape(),
                [mask[owner == rank] for rank in range(group.size)],
            )
        )
    return Run.begin(towers, data, config, group)


def follow(mart: Mart, config: TrainingConfig, group: Group) -> None:
    """Stage after stage as process 0 announces them, on the users of this process."""
    while (plan := group.share(None)) is not None:
        towers = TwoTowers(**plan.shape)
        run = Run.begin(towers, plan.data(mart, group.rank), config, group)
        beginning: dict[str, Any] = group.share(None)
        epoch = run.take_over(**beginning)
        while group.share(None):
            epoch += 1
            run.epoch(epoch)
