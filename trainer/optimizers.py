"""How weights move: Adam, by the rows a step touched where tables are long, gradients of bounded length."""

import torch

from trainer.towers import TwoTowers
from trainer.training_config import TrainingConfig


def make_optimizers(towers: TwoTowers, config: TrainingConfig) -> list[torch.optim.Optimizer]:
    """Adam; large tables by rows touched, so that a step costs the same however long the tables are.

    Content rests while the ids learn and is fitted anew at the end. Training it too was not better where
    it was tried (movielens, random split), but that run had another fault: still to be compared.
    """
    towers.item_tower.category_G2D.requires_grad_(False)
    towers.item_tower.dense_E2D.requires_grad_(False)
    sparse = towers.item_tower.sparse
    tables = [p for name, p in towers.named_parameters() if name.endswith("_ID")] if sparse else []
    ids = {id(table) for table in tables}
    rest = [p for p in towers.parameters() if id(p) not in ids and p.requires_grad]
    optimizers: list[torch.optim.Optimizer] = [torch.optim.Adam(rest, lr=config.lr, fused=True)]
    return [*optimizers, torch.optim.SparseAdam(tables, lr=config.lr)] if tables else optimizers


def clip_gradients(towers: TwoTowers, most: float) -> None:
    """Scale all gradients so that their common norm is at most `most`; sparse gradients are coalesced
    first."""
    values = []
    for parameter in towers.parameters():
        if parameter.grad is None:
            continue
        if parameter.grad.is_sparse:
            parameter.grad = parameter.grad.coalesce()
        values.append(parameter.grad.values() if parameter.grad.is_sparse else parameter.grad)
    norm = torch.stack([value.norm() for value in values]).norm()
    if norm > most:
        for value in values:
            value.mul_(most / norm)
