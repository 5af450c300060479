"""What one training step computes: the scores of some users on some videos, and which of them should win.

Shapes: B users, C candidate videos, N videos of the catalogue, D dimensions, K aggregates.
"""

from dataclasses import replace

import numpy as np
import torch
from torch import nn

from trainer.features import ItemFeatures
from trainer.histories import AggregateTable, Pairs
from trainer.losses import NEVER, Block
from trainer.sampling import Batch, Candidates
from trainer.towers import TwoTowers
from trainer.trained import pool_pairs

SURENESS = 0.5  # the power of the history's length with which u grows in training


class Scorer(nn.Module):
    """All a score needs beside the batch; `features` lie on the device of the towers."""

    def __init__(
        self,
        towers: TwoTowers,
        features: ItemFeatures,
        aggregates: AggregateTable,
        pooling_exponent: float,
        precision: str,
    ) -> None:
        super().__init__()
        self.towers, self.features = towers, features
        self.aggregates, self.pooling_exponent = aggregates, pooling_exponent
        kind = features.id_index.device.type
        self.is_half = precision == "bfloat16" or (precision == "auto" and kind == "cuda")

    def forward(self, batch: Batch, candidates: Candidates) -> torch.Tensor:
        """u . v [B, C], u from the inputs of the batch and not yet of unit length."""
        device = self.features.id_index.device
        heard = batch.inputs.beside(batch.seen)
        lists = candidates.items, batch.known.items, batch.dislikes.items, batch.seen.items
        needed = np.unique(np.concatenate(lists))
        place = np.zeros(len(self.features), np.int64)  # video -> row among the needed
        place[needed] = np.arange(len(needed))
        whole = len(needed) == len(self.features)
        features = self.features if whole else self.features.take(torch.from_numpy(needed).to(device))
        v_ND, h_ND = self.towers.item(features)
        p_BD, q_BD = (self._pool(h_ND, pairs, place) for pairs in (heard, batch.dislikes))
        a_BK = torch.from_numpy(self.aggregates.compute(batch.inputs, batch.dislikes)).to(device)
        u_BD = self.towers.user_tower.unscaled(p_BD, q_BD, a_BK) * self._sureness(heard).to(device)
        columns = candidates.items
        v_CD = v_ND if len(columns) == len(needed) else v_ND[torch.from_numpy(place[columns]).to(device)]
        with torch.autocast(device.type, torch.bfloat16, enabled=self.is_half):
            logits_BC = u_BD @ v_CD.T
        return logits_BC.float()

    def _sureness(self, heard: Pairs) -> torch.Tensor:
        """[B, 1]: what makes u grow with the square root of a history, by whatever power that was divided: a
        sum of hundreds of likes would be as good as certain, and learn from mistakes alone."""
        mass_B = np.maximum(np.bincount(heard.rows, heard.weights, minlength=len(heard)), 1.0)
        return torch.from_numpy(mass_B ** (self.pooling_exponent - SURENESS)).float()[:, None]

    def _pool(self, h_ND: torch.Tensor, pairs: Pairs, place: np.ndarray) -> torch.Tensor:
        return pool_pairs(h_ND, replace(pairs, items=place[pairs.items]), self.pooling_exponent)


def block_of(
    logits_BC: torch.Tensor, batch: Batch, candidates: Candidates, n_items: int, dislike_weight: float
) -> Block:
    """The logits with what each counts for: targets, weighted dislikes, and never a user's own likes, nor
    what the user saw without an opinion."""
    device = logits_BC.device
    column = np.full(n_items, -1, np.int64)
    column[candidates.items] = np.arange(len(candidates.items))
    weights = np.tile(candidates.log_weights, (len(batch.users), 1))
    weights[batch.dislikes.rows, column[batch.dislikes.items]] = np.log(dislike_weight)
    for pairs in (batch.known, batch.seen):
        found = column[pairs.items]
        weights[pairs.rows[found >= 0], found[found >= 0]] = NEVER
    rows = batch.targets.rows
    return Block(
        logits_BC,
        torch.from_numpy(weights).to(device),
        torch.from_numpy(rows).to(device),
        torch.from_numpy(column[batch.targets.items]).to(device),
        torch.ones(len(rows), device=device),
    )
