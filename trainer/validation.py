"""The metric of early stopping and of the start's dials: NDCG@20 over the whole catalogue, on
training-side rows."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from trainer.held_out import holdout_shape
from trainer.histories import Pairs, pairs_of
from trainer.mart import LIKE, SEEN_ONLY, TEST, TRAIN, VAL, Interactions, Mart

MOST_USERS = 4000  # of 1500 and of 4000 users, the dials of the latter were the better ones on the holdout
K = 20
BLOCK = 256  # users whose scores are held at once

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Validation:
    """Some users, what they like among the held-out rows, what they had seen before."""

    users: npt.NDArray[np.int64]
    relevant: Pairs
    seen: Pairs
    weights: npt.NDArray[np.float64]
    """[users], 1 on average: how often such a user is in the holdout for each time he is in here."""

    @classmethod
    def of(
        cls, mart: Mart, mask: npt.NDArray[np.bool_], held: npt.NDArray[np.bool_], seed: int
    ) -> "Validation":
        """Relevant: likes among `held`, of users with a row in `mask`; seen: the rows of `mask`, and what
        was seen without a label."""
        rows, n_users = mart.interactions, len(mart.user_keys)
        relevant = pairs_of(rows.where(held & (rows.label == LIKE)), n_users)
        seen = pairs_of(rows.where(mask | (rows.label == SEEN_ONLY)), n_users)
        users = np.flatnonzero((np.diff(relevant.starts) > 0) & (np.diff(seen.starts) > 0))
        if len(users) > MOST_USERS:
            users = np.sort(np.random.default_rng(seed).choice(users, MOST_USERS, replace=False))
        n_likes = np.bincount(rows.user_index[(mask | held) & (rows.label == LIKE)], minlength=n_users)
        weights = chances(rows, held, n_likes[users])
        if len(users):
            weights /= weights.mean()
        return cls(users, relevant.take(users), seen.take(users), weights)

    def ndcg(self, u_BD: Floats, v_ND: Floats) -> float:
        """The mean of `gains`; 0 without users."""
        return float(self.gains(u_BD, v_ND).mean()) if len(self.users) else 0.0

    def gains(self, u_BD: Floats, v_ND: Floats) -> npt.NDArray[np.float64]:
        """NDCG@20 of each user times his weight [users], vectors in the order of `users` (evaluation.py has
        every metric)."""
        discounts = 1 / np.log2(np.arange(2, K + 2))
        ideal = np.cumsum(discounts)
        gains = np.zeros(len(self.users))
        for begin in range(0, len(self.users), BLOCK):
            part = np.arange(begin, min(begin + BLOCK, len(self.users)))
            scores = u_BD[part] @ v_ND.T
            seen, relevant = self.seen.take(part), self.relevant.take(part)
            scores[seen.rows, seen.items] = -np.inf
            k = min(K, scores.shape[1])
            best = torch.topk(torch.from_numpy(scores), k, dim=1).indices.numpy()
            wanted = np.zeros(scores.shape, np.bool_)
            wanted[relevant.rows, relevant.items] = True
            found = np.take_along_axis(wanted, best, axis=1) @ discounts[:k]
            gains[part] = found / ideal[np.minimum(np.diff(relevant.starts), k) - 1]
        return gains * self.weights


def chances(
    rows: Interactions, held: npt.NDArray[np.bool_], n_likes: npt.NDArray[np.integer]
) -> npt.NDArray[np.float64]:
    """Chance of a user of so many training likes [users] to have one in the holdout, over that in `held`.

    Of a tenth drawn at random, people of few likes mostly have none, of a fifth less often; what helps active
    users at the cost of others would look better here than it is. Where rows are held out by their time the
    chances are alike.
    """
    likes = rows.label == LIKE
    final = likes & (rows.split == (TEST if (rows.split == TEST).any() else VAL))
    if not len(n_likes) or not final.any() or holdout_shape(rows) != "random":
        return np.ones(len(n_likes))
    share = final.sum() / (likes & (rows.split >= TRAIN)).sum()
    here = (likes & held).sum() / (likes & (held | (rows.split == TRAIN))).sum()
    n_before = n_likes / (1 - share)  # so many a user of n training likes had, on average
    ratio: npt.NDArray[np.float64] = (1 - (1 - share) ** n_before) / (1 - (1 - here) ** n_likes)
    return ratio
