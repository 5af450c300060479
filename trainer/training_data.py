"""What a training reads of a mart: features and histories of its rows, and whom it is validated on."""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from trainer.features import ItemFeatures, Vocabularies, encode, fit_vocabularies
from trainer.histories import (
    AggregateTable,
    Histories,
    HistoryConfig,
    Pairs,
    build_histories,
    fit_aggregates,
)
from trainer.mart import Mart
from trainer.validation import Validation


@dataclass(frozen=True)
class TrainingData:
    """All of it from the rows of one mask; statistics and vocabularies too."""

    history: HistoryConfig
    vocabularies: Vocabularies
    features: ItemFeatures
    aggregates: AggregateTable
    histories: Histories
    popularity: npt.NDArray[np.float64]
    """[N], sums to 1: how often a video is the target of a step."""
    validation: Validation
    validation_histories: Histories

    @classmethod
    def of(
        cls,
        mart: Mart,
        mask: npt.NDArray[np.bool_],
        validation: Validation,
        history: HistoryConfig,
        *,
        use_content: bool,
    ) -> "TrainingData":
        """From the rows of `mask`, `history` with the half life that was chosen."""
        vocabularies = fit_vocabularies(mart, mask, use_content=use_content)
        nothing = AggregateTable([], np.zeros((len(mart.catalogue), 0)))
        bare = build_histories(mart, "train", history, nothing, mask)
        aggregates = fit_aggregates(mart.catalogue, bare.likes, bare.dislikes)
        histories = replace(bare, aggregates=aggregates.compute(bare.likes, bare.dislikes))
        return cls(
            history,
            vocabularies,
            encode(mart.catalogue, vocabularies),
            aggregates,
            histories,
            popularity_of(histories.likes, len(mart.catalogue)),
            validation,
            histories.take(validation.users),
        )


def popularity_of(likes: Pairs, n_items: int) -> npt.NDArray[np.float64]:
    """Each video's share of the likes [N]."""
    counts = np.bincount(likes.items, minlength=n_items).astype(np.float64)
    shares: npt.NDArray[np.float64] = counts / max(counts.sum(), 1.0)
    return shares
