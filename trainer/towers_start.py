"""New towers for a mart, their weights at the start: the closed form on the training rows, or at random."""

import numpy as np
import numpy.typing as npt
import torch

from trainer.checkpoint import Snapshot
from trainer.choose_start import choose_dials
from trainer.item_tables import write_start
from trainer.mart import Mart
from trainer.start_maker import Chosen, StartMaker
from trainer.towers import TwoTowers
from trainer.training_config import TrainingConfig
from trainer.training_data import TrainingData
from trainer.validation import Validation
from trainer.warm_start import Start, random_start


def start_towers(
    mart: Mart,
    config: TrainingConfig,
    mask: npt.NDArray[np.bool_],
    validation: Validation,
    chosen: Chosen | None = None,
) -> tuple[TwoTowers, TrainingData, Chosen]:
    """Towers at their start, the data of `mask`, and the dials: `chosen`, or the best on the validation."""
    start, chosen = choose_start(mart, config, mask, validation, chosen)
    history = chosen.history(config.history)
    data = TrainingData.of(mart, mask, validation, history, use_content=config.use_content)
    # the ranking coordinates and popularity; a random start has nothing but likeness
    n_ranked = start.n_ranking + 1 if start.n_ranking < config.embedding_dim else 0
    towers = make_towers(data, config, n_ranked)
    write_start(towers, data.features, start)
    return towers, data, chosen


def resumed_towers(
    mart: Mart, config: TrainingConfig, mask: npt.NDArray[np.bool_], validation: Validation, saved: Snapshot
) -> tuple[TwoTowers, TrainingData]:
    """The towers of a checkpoint; the data is read from the mart as it was then."""
    history = saved.chosen.history(config.history)
    data = TrainingData.of(mart, mask, validation, history, use_content=config.use_content)
    towers = TwoTowers(**saved.shape, sparse=len(data.features) > config.exact_candidates)
    towers.load_state_dict(saved.weights)
    return towers, data


def choose_start(
    mart: Mart,
    config: TrainingConfig,
    mask: npt.NDArray[np.bool_],
    validation: Validation,
    chosen: Chosen | None,
) -> tuple[Start, Chosen]:
    """The start of a training and its dials: given, or the best on the validation."""
    if config.start == "random":
        start = random_start(len(mart.catalogue), config.embedding_dim, config.seed)
        return start, Chosen.before(config.history)
    maker = StartMaker(mart, mask, config.history, config.embedding_dim, config.seed)
    chosen = chosen or choose_dials(maker, validation)
    return maker.start(chosen.dials), chosen


def make_towers(data: TrainingData, config: TrainingConfig, n_ranked: int) -> TwoTowers:
    """Towers of the data's shape; what is random in them comes from the seed."""
    torch.manual_seed(config.seed)
    return TwoTowers(
        n_videos=len(data.vocabularies.videos),
        n_categories=data.vocabularies.n_categories,
        n_dense=data.vocabularies.n_dense,
        n_aggregates=len(data.aggregates.aggregates),
        dim=config.embedding_dim,
        hidden_units=config.hidden_units,
        n_ranked=n_ranked,
        sparse=len(data.features) > config.exact_candidates,
    )
