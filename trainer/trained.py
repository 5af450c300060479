"""A trained pair of towers with everything needed to use it: vectors, rows for SQL, saving and strict
loading."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch

from trainer.errors import ModelMismatchError
from trainer.features import ItemFeatures, Vocabularies, encode
from trainer.histories import (
    Aggregate,
    AggregateTable,
    Histories,
    HistoryConfig,
    Pairs,
    build_histories,
    video_numbers,
)
from trainer.mart import Catalogue, Mart
from trainer.towers import TwoTowers, pool
from trainer.weights import weights_sha256

Floats = npt.NDArray[np.float32]
BLOCK = 4096  # users or videos per pass: some 100 MB of intermediate tensors at most


@dataclass(frozen=True)
class EpochRecord:
    """One line of the learning curve."""

    epoch: int
    loss: float
    val_ndcg: float | None
    seconds: float


@dataclass(frozen=True)
class TrainedModel:
    """The towers on the CPU in evaluation mode. `features` belong to the catalogue trained on."""

    towers: TwoTowers
    vocabularies: Vocabularies
    history: HistoryConfig
    aggregates: AggregateTable
    config: dict[str, Any]
    """Every dial of the training, as `TrainingConfig.to_json()` gives it."""
    features: ItemFeatures
    curve: list[EpochRecord] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def embedding_dim(self) -> int:
        """D."""
        return self.towers.dim

    @torch.no_grad()
    def item_vectors(self, features: ItemFeatures | None = None) -> tuple[Floats, Floats]:
        """(v [N, D] of unit length, h [N, D]) of the catalogue trained on, or of other features."""
        features = self.features if features is None else features
        parts = [
            self.towers.item(features.take(torch.arange(s, min(s + BLOCK, len(features)))))
            for s in range(0, len(features), BLOCK)
        ]
        v, h = (torch.cat(part).numpy() for part in zip(*parts, strict=True))
        return v, h

    @torch.no_grad()
    def user_vectors(self, histories: Histories, history_vectors: Floats | None = None) -> Floats:
        """u [B, D] of unit length. Pass `history_vectors` (the h of `item_vectors`) when calling often."""
        h = torch.from_numpy(self.item_vectors()[1] if history_vectors is None else history_vectors)
        blocks = []
        for s in range(0, len(histories), BLOCK):
            part = histories.take(np.arange(s, min(s + BLOCK, len(histories))))
            p, q = (
                pool_pairs(h, pairs, self.history.pooling_exponent) for pairs in (part.heard, part.dislikes)
            )
            blocks.append(self.towers.user(p, q, torch.from_numpy(part.aggregates)).numpy())
        return np.concatenate(blocks) if blocks else np.zeros((0, self.embedding_dim), np.float32)

    def histories(self, mart: Mart, which: Literal["train", "published"]) -> Histories:
        """Histories of the users of a mart, as this model reads them."""
        return build_histories(mart, which, self.history, self.aggregates)

    def encode(self, catalogue: Catalogue) -> ItemFeatures:
        """The features of another catalogue in this model's vocabularies: new videos have content only."""
        return encode(catalogue, self.vocabularies)

    def user_tower_rows(self) -> list[tuple[str, int, list[float], float]]:
        """Rows of recsys.user_tower: (layer, unit, weights, bias)."""
        return list(self.towers.user_tower.rows())

    def serving_config(self) -> dict[str, Any]:
        """What SQL must know to compute a user vector, and which weights: embedding_model_versions.config."""
        return {
            "history": asdict(self.history),
            "aggregates": [asdict(aggregate) for aggregate in self.aggregates.aggregates],
            "hidden_units": self.towers.hidden_units,
            "n_ranked": self.towers.n_ranked,
            "training": self.config,
            "weights_sha256": weights_sha256(self.towers.state_dict()),
        }

    def state(self) -> dict[str, Any]:
        """Everything for the .pt file: weights, vocabularies, configuration; read by `load_model`."""
        return {
            "weights": self.towers.state_dict(),
            "shape": self.towers.shape(),
            "vocabularies": self.vocabularies.to_json(),
            "serving": self.serving_config(),
        }


def load_model(state: Mapping[str, Any], catalogue: Catalogue) -> TrainedModel:
    """A model from `TrainedModel.state()`, with features for a catalogue. Strict.

    Raises ModelMismatchError naming the part and the numbers that do not belong together.
    """
    if missing := {"weights", "shape", "vocabularies", "serving"} - state.keys():
        raise ModelMismatchError(
            f"the model file lacks {', '.join(sorted(missing))}", "use a file of `two_tower/`"
        )
    vocabularies = Vocabularies.from_json(state["vocabularies"])
    shape = state["shape"]
    found = {
        "n_videos": len(vocabularies.videos),
        "n_categories": vocabularies.n_categories,
        "n_dense": vocabularies.n_dense,
        "n_aggregates": len(state["serving"]["aggregates"]),
        "hidden_units": state["serving"]["hidden_units"],
    }
    for name, value in found.items():
        if shape[name] != value:
            raise ModelMismatchError(
                f"{name}: the weights have {shape[name]}, the vocabularies {value}",
                "use files of one version",
            )
    towers = TwoTowers(**shape)
    try:
        towers.load_state_dict(state["weights"], strict=True)
    except RuntimeError as error:
        raise ModelMismatchError(f"the weights do not fit: {error}", "use files of one version") from None
    aggregates = [Aggregate(**aggregate) for aggregate in state["serving"]["aggregates"]]
    return TrainedModel(
        towers.eval(),
        vocabularies,
        HistoryConfig(**state["serving"]["history"]),
        AggregateTable(aggregates, video_numbers(catalogue)),
        state["serving"]["training"],
        encode(catalogue, vocabularies),
    )


def pool_pairs(h_ND: torch.Tensor, pairs: Pairs, exponent: float) -> torch.Tensor:
    """`pool` of numpy lists."""
    device = h_ND.device
    return pool(
        h_ND,
        torch.from_numpy(pairs.items).to(device),
        torch.from_numpy(pairs.starts[:-1]).to(device),
        torch.from_numpy(pairs.weights).to(device),
        exponent,
    )
