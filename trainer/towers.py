"""The two towers. Shapes: B users, N videos, D dimensions, K aggregates, I known videos, G categories, E
numbers.

Item: unit vector v and history vector h. v begins with `n_ranked` coordinates whose lengths are scores and
stay as they are; the others say what a video is like and fill it up to length one. User:
u = normalise(S x + s0 + O relu(H x + h0)), x = [p; q; a], p and q the pooled history vectors of likes and
dislikes, a the aggregates. Score = u . v, a cosine. No user ids: the user tower is arithmetic over rows of a
table, the same in PyTorch, ONNX and SQL.
"""

from collections.abc import Iterator

import torch
from torch import nn
from torch.nn import functional

from trainer.features import ItemFeatures

# Of the scores in a vector of length 1: a rest near 0 would be rounding, and no two programs round alike.
LONGEST_SCORE = 0.95


class ItemTower(nn.Module):
    """id tables (row 0: a video training did not know) plus content, once for the video, once for
    histories."""

    def __init__(
        self,
        n_videos: int,
        n_categories: int,
        n_dense: int,
        dim: int,
        n_ranked: int = 0,
        *,
        sparse: bool = False,
    ) -> None:
        super().__init__()
        self.sparse, self.n_ranked = sparse, n_ranked
        self.id_embedding_ID = nn.Parameter(torch.zeros(n_videos + 1, dim))
        self.id_history_ID = nn.Parameter(torch.zeros(n_videos + 1, dim))
        self.has_content = n_categories + n_dense > 0
        # one table for both vectors: [:, :D] for the video, [:, D:] for histories; zeros, until the start
        # fits them
        self.category_G2D = nn.Parameter(torch.zeros(n_categories + 1, 2 * dim))
        self.dense_E2D = nn.Parameter(torch.zeros(n_dense, 2 * dim))

    def content(self, features: ItemFeatures) -> torch.Tensor:
        """What content says of videos: a sum over their categories and numbers [N, 2D]."""
        numbers = features.dense @ self.dense_E2D
        if features.category_index.shape[1] == 0:  # a catalogue of titles and numbers alone
            return numbers
        return numbers + functional.embedding_bag(
            features.category_index,
            self.category_G2D,
            per_sample_weights=features.category_weight,
            mode="sum",
            padding_idx=0,
            sparse=self.sparse,
        )

    def forward(self, features: ItemFeatures) -> tuple[torch.Tensor, torch.Tensor]:
        """(v [N, D] of unit length, h [N, D])."""
        ids = features.id_index
        v_ND = functional.embedding(ids, self.id_embedding_ID, sparse=self.sparse)
        h_ND = functional.embedding(ids, self.id_history_ID, sparse=self.sparse)
        if self.has_content:
            content_v_ND, content_h_ND = self.content(features).chunk(2, dim=1)
            v_ND, h_ND = v_ND + content_v_ND, h_ND + content_h_ND
        return fill(v_ND, self.n_ranked), h_ND


def at_most(rows: torch.Tensor, length: float) -> torch.Tensor:
    """The rows, longer ones cut to `length`."""
    lengths: torch.Tensor = rows.norm(dim=1, keepdim=True)
    return rows / (lengths / length).clamp(min=1.0)


def fill(raw_ND: torch.Tensor, n_ranked: int) -> torch.Tensor:
    """Unit vectors [N, D] whose first coordinates are those of `raw_ND`; the others, of any length, fill up.

    So a guess from content stays as cautious as it was made: dividing by the length of the whole would turn
    the little that is known of a new video into a loud score. With `n_ranked` 0 it is that division.
    """
    if not n_ranked:
        return functional.normalize(raw_ND, dim=1)
    ranked_NR, alike_NA = raw_ND[:, :n_ranked], raw_ND[:, n_ranked:]
    ranked_NR = at_most(ranked_NR, LONGEST_SCORE)
    left_N1 = (1 - ranked_NR.square().sum(dim=1, keepdim=True)).sqrt()
    return torch.cat([ranked_NR, left_N1 * functional.normalize(alike_NA, dim=1)], dim=1)


class UserTower(nn.Module):
    """A skip layer and, with `hidden_units` > 0, a small relu network beside it."""

    def __init__(self, dim: int, n_aggregates: int, hidden_units: int) -> None:
        super().__init__()
        width = 2 * dim + n_aggregates
        self.skip = nn.Linear(width, dim)
        with torch.no_grad():
            self.skip.weight.zero_()
            self.skip.weight[:, :dim] = torch.eye(dim)  # the start's users are their pooled likes
            self.skip.bias.zero_()
        self.hidden = nn.Linear(width, hidden_units) if hidden_units else None
        self.output = nn.Linear(hidden_units, dim, bias=False) if hidden_units else None
        if self.output is not None:
            nn.init.zeros_(self.output.weight)  # training starts at the linear tower and adds to it

    def forward(self, p_BD: torch.Tensor, q_BD: torch.Tensor, a_BK: torch.Tensor) -> torch.Tensor:
        """u [B, D] of unit length."""
        return functional.normalize(self.unscaled(p_BD, q_BD, a_BK), dim=1)

    def unscaled(self, p_BD: torch.Tensor, q_BD: torch.Tensor, a_BK: torch.Tensor) -> torch.Tensor:
        """u [B, D] before it is brought to unit length: in training its length says how sure the tower is."""
        x = torch.cat([p_BD, q_BD, a_BK], dim=1)
        u: torch.Tensor = self.skip(x)
        if self.hidden is not None and self.output is not None:
            u = u + self.output(torch.relu(self.hidden(x)))
        return u

    def rows(self) -> Iterator[tuple[str, int, list[float], float]]:
        """The rows of recsys.user_tower: (layer, unit, weights, bias)."""
        for name in ("skip", "hidden", "output"):
            layer = getattr(self, name)
            if layer is None:
                continue
            weights = layer.weight.detach().cpu().float()
            biases = (
                layer.bias.detach().cpu().float().tolist() if layer.bias is not None else [0.0] * len(weights)
            )
            for unit, (row, bias) in enumerate(zip(weights.tolist(), biases, strict=True)):
                yield name, unit, row, bias


class TwoTowers(nn.Module):
    """Both towers; `item(features)` and `user(p, q, a)` are all that serving needs."""

    def __init__(
        self,
        *,
        n_videos: int,
        n_categories: int,
        n_dense: int,
        n_aggregates: int,
        dim: int,
        hidden_units: int,
        n_ranked: int = 0,
        sparse: bool = False,
    ) -> None:
        super().__init__()
        self.dim, self.hidden_units = dim, hidden_units
        self._sizes = n_videos, n_categories, n_dense, n_aggregates
        self.item_tower = ItemTower(n_videos, n_categories, n_dense, dim, n_ranked, sparse=sparse)
        self.user_tower = UserTower(dim, n_aggregates, hidden_units)

    @property
    def n_ranked(self) -> int:
        """How many coordinates of an item vector are scores; the others say what it is like."""
        return self.item_tower.n_ranked

    def shape(self) -> dict[str, int]:
        """The arguments that make towers of this shape again."""
        names = ("n_videos", "n_categories", "n_dense", "n_aggregates")
        sizes = dict(zip(names, self._sizes, strict=True))
        own = {"dim": self.dim, "hidden_units": self.hidden_units, "n_ranked": self.n_ranked}
        return {**sizes, **own}

    def item(self, features: ItemFeatures) -> tuple[torch.Tensor, torch.Tensor]:
        """(v [N, D] unit, h [N, D])."""
        vectors: tuple[torch.Tensor, torch.Tensor] = self.item_tower(features)
        return vectors

    def user(self, p_BD: torch.Tensor, q_BD: torch.Tensor, a_BK: torch.Tensor) -> torch.Tensor:
        """u [B, D] unit."""
        vectors: torch.Tensor = self.user_tower(p_BD, q_BD, a_BK)
        return vectors


def pool(
    h_ND: torch.Tensor, items: torch.Tensor, starts: torch.Tensor, weights: torch.Tensor, exponent: float
) -> torch.Tensor:
    """Σ w h / (Σ w) ** exponent per user [B, D]; zero where a user has nothing.

    items [M] index rows of `h_ND`, starts [B] is where each user's items begin, weights [M].
    """
    if len(items) == 0:
        return h_ND.new_zeros(len(starts), h_ND.shape[1])
    summed = functional.embedding_bag(items, h_ND, starts, mode="sum", per_sample_weights=weights)
    ends = torch.cat([starts[1:], starts.new_tensor([len(items)])])
    running = torch.cat([weights.new_zeros(1), weights.double().cumsum(0).to(weights.dtype)])
    mass = (running[ends] - running[starts]).clamp(min=1e-6)
    return summed / mass[:, None] ** exponent
