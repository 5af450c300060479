"""Vectors of the catalogue into the item tower: content explains what it can, the id rows hold the rest.

Shapes: N videos, D dimensions.
"""

import numpy as np
import torch
from torch.nn import functional

from trainer.content_start import fit_content
from trainer.features import ItemFeatures
from trainer.histories import Pairs
from trainer.towers import LONGEST_SCORE, TwoTowers, at_most
from trainer.warm_start import Start


@torch.no_grad()
def write_start(towers: TwoTowers, features: ItemFeatures, start: Start) -> None:
    """The start into the id rows of the towers; content says nothing until training is over.

    A video with a like keeps its own vector: the closed form has shrunk it by its likes already. Adding
    content to it by k / (n + k), k = 10, lowered the validation from .142 to .130 (movietweetings, random).
    """
    towers.user_tower.skip.bias.copy_(torch.from_numpy(start.bias))
    tables_N2D = torch.from_numpy(np.concatenate([start.embedding, start.history], axis=1))
    if towers.n_ranked:
        leave_room(tables_N2D[:, : towers.dim], towers.n_ranked)
        tables_N2D[:, : towers.dim] = parted(tables_N2D[:, : towers.dim], towers.n_ranked)
    towers.item_tower.id_embedding_ID[0], towers.item_tower.id_history_ID[0] = torch.from_numpy(
        start.unknown
    ).chunk(2)
    write_ids(towers, features, tables_N2D)


def leave_room(v_ND: torch.Tensor, n_ranked: int) -> None:
    """Scores no longer than a vector can hold, all by one factor, so that no order changes; in place."""
    ranked, alike = v_ND[:, :n_ranked], v_ND[:, n_ranked:]
    ranked *= LONGEST_SCORE / max(float(ranked.norm(dim=1).max()), LONGEST_SCORE)
    alike[alike.norm(dim=1) < 1e-2] = alike.mean(dim=0)


def parted(v_ND: torch.Tensor, n_ranked: int) -> torch.Tensor:
    """The vectors as `fill` reads them: scores cut to their longest, likeness as a direction."""
    return torch.cat(
        [at_most(v_ND[:, :n_ranked], LONGEST_SCORE), functional.normalize(v_ND[:, n_ranked:])], 1
    )


@torch.no_grad()
def fill_content(towers: TwoTowers, features: ItemFeatures, likes: Pairs) -> None:
    """Content from the vectors as training left them; the vectors of known videos stay as they are, but for
    what nobody liked: it has been in no history, and there it speaks as its kind does."""
    tower = towers.item_tower
    tables_N2D = torch.cat([tower.id_embedding_ID, tower.id_history_ID], dim=1)[features.id_index]
    if tower.has_content:
        tables_N2D += tower.content(features)
    tables_N2D[:, : towers.dim] = parted(tables_N2D[:, : towers.dim], towers.n_ranked)
    write_content(towers, features, tables_N2D, likes)
    unheard = torch.from_numpy(np.bincount(likes.items, minlength=len(features)) == 0)
    of_kind_ND = tower.id_history_ID[0].expand(len(features), -1)
    if tower.has_content:
        of_kind_ND = of_kind_ND + tower.content(features)[:, towers.dim :]
    tables_N2D[unheard, towers.dim :] = of_kind_ND[unheard]
    write_ids(towers, features, tables_N2D)


@torch.no_grad()
def quieten(towers: TwoTowers, features: ItemFeatures, share: float) -> None:
    """What content says of taste, times `share`, for videos nobody has met; the vectors of known ones stay.

    Content is fitted on videos that somebody rated, and those are liked more than the rest of a catalogue.
    """
    tower, taste = towers.item_tower, slice(0, towers.n_ranked - 1)
    if tower.has_content:
        known = features.take(torch.nonzero(features.id_index > 0).ravel())
        tower.id_embedding_ID[known.id_index, taste] += (1 - share) * tower.content(known)[:, taste]
    tower.id_embedding_ID[0, taste] *= share
    tower.category_G2D[:, taste] *= share
    tower.dense_E2D[:, taste] *= share


@torch.no_grad()
def shift_popularity(towers: TwoTowers, features: ItemFeatures, by_N: torch.Tensor) -> None:
    """The popularity of each video moved by so much [N], of videos nobody has met by the largest of these.

    All scores are shortened by one factor where one has become too long, so that no order changes.
    """
    tower, place = towers.item_tower, towers.n_ranked - 1
    known = features.id_index > 0
    tower.id_embedding_ID[features.id_index[known], place] += by_N[known]
    tower.id_embedding_ID[0, place] += by_N.max()
    v_ND = tower.id_embedding_ID[features.id_index]
    if tower.has_content:
        v_ND = v_ND + tower.content(features)[:, : towers.dim]
    longest = float(v_ND[:, : towers.n_ranked].norm(dim=1).max())
    for table in (tower.id_embedding_ID, tower.category_G2D, tower.dense_E2D):
        table[:, : towers.n_ranked] *= LONGEST_SCORE / max(longest, LONGEST_SCORE)


@torch.no_grad()
def write_content(towers: TwoTowers, features: ItemFeatures, tables_N2D: torch.Tensor, likes: Pairs) -> None:
    """What content says of the vectors of known videos; row 0, the video nobody has met, is their mean."""
    known = torch.nonzero(features.id_index > 0).ravel()
    n_likes = np.bincount(likes.items, minlength=len(features))[known.numpy()]
    tower = towers.item_tower
    mean, category, dense = fit_content(features.take(known), tables_N2D[known], n_likes)
    tower.id_embedding_ID[0], tower.id_history_ID[0] = mean.chunk(2)
    if tower.has_content:
        tower.category_G2D[: len(category)] = category
        tower.dense_E2D.copy_(dense)


@torch.no_grad()
def write_ids(towers: TwoTowers, features: ItemFeatures, tables_N2D: torch.Tensor) -> None:
    """The id rows of known videos: what is left of their vectors after content."""
    tower, known = towers.item_tower, features.id_index > 0
    if tower.has_content:
        tables_N2D = tables_N2D - tower.content(features)
    tower.id_embedding_ID[features.id_index[known]] = tables_N2D[known, : towers.dim]
    tower.id_history_ID[features.id_index[known]] = tables_N2D[known, towers.dim :]
