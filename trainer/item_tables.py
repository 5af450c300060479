"""Vectors of the catalogue into the item tower: content explains what it can, the id rows hold the rest.

Shapes: N videos, D dimensions.
"""

import numpy as np
import torch
from torch.nn import functional

from trainer.content_start import fit_content
from trainer.features import ItemFeatures
from trainer.histories import Pairs
from trainer.towers import TwoTowers
from trainer.warm_start import Start


@torch.no_grad()
def write_start(towers: TwoTowers, features: ItemFeatures, start: Start, likes: Pairs) -> None:
    """The start into the towers."""
    tower = towers.item_tower
    tower.id_embedding_ID[0], tower.id_history_ID[0] = torch.from_numpy(start.unknown).chunk(2)
    towers.user_tower.skip.bias.copy_(torch.from_numpy(start.bias))
    tables = np.concatenate([start.embedding, start.history], axis=1)
    write_videos(towers, features, torch.from_numpy(tables), likes)


@torch.no_grad()
def write_videos(towers: TwoTowers, features: ItemFeatures, tables_N2D: torch.Tensor, likes: Pairs) -> None:
    """Vectors of known videos into the item tower: content explains what it can, the id rows hold the rest.

    Where row 0, the unknown video, is long, content explains nothing: those coordinates are popularity, which
    an unrated video has not, and the one that keeps its length near one. Without it, normalising would blow
    up what content guesses, and unrated videos would crowd the top (measured: NDCG@20 .262 instead of .281).
    """
    tower = towers.item_tower
    known = features.id_index > 0
    if tower.has_content:
        unknown = torch.cat([tower.id_embedding_ID[0], tower.id_history_ID[0]])
        targets = (tables_N2D[known] - unknown) * (unknown.abs() < 1e-6)
        n_likes = np.bincount(likes.items, minlength=len(features))[known.numpy()]
        category, dense = fit_content(features.take(torch.nonzero(known).ravel()), targets, n_likes)
        tower.category_G2D[: len(category)] = category
        tower.dense_E2D.copy_(dense)
        tables_N2D = tables_N2D - tower.content(features)
    tower.id_embedding_ID[features.id_index[known]] = tables_N2D[known, : towers.dim]
    tower.id_history_ID[features.id_index[known]] = tables_N2D[known, towers.dim :]


@torch.no_grad()
def refit_content(towers: TwoTowers, features: ItemFeatures, likes: Pairs) -> None:
    """Content from the vectors as training left them; the vectors of known videos stay as they are."""
    tower = towers.item_tower
    if not tower.has_content:
        return
    ids = torch.cat([tower.id_embedding_ID, tower.id_history_ID], dim=1)[features.id_index]
    totals_N2D = ids + tower.content(features)
    v_ND = functional.normalize(totals_N2D[:, : towers.dim], dim=1)
    tables_N2D = torch.cat([v_ND, totals_N2D[:, towers.dim :]], dim=1)
    write_videos(towers, features, tables_N2D, likes)
