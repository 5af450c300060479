"""Early stopping's metric: NDCG@20 over the whole catalogue, on rows of the training side only."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from trainer.histories import Pairs, build_histories, pairs_of
from trainer.mart import LIKE, Mart
from trainer.trained import TrainedModel

MOST_USERS = 3000  # a standard error of about .003 in NDCG, in about a second per epoch
K = 20


@dataclass(frozen=True)
class Validation:
    """Some users, what they like among the held-out rows, what they had seen before."""

    users: npt.NDArray[np.int64]
    relevant: Pairs
    seen: Pairs
    mask: npt.NDArray[np.bool_]
    mart: Mart

    @property
    def n_users(self) -> int:
        """Users with something to find; 0 means: no validation."""
        return len(self.users)

    @classmethod
    def of(
        cls, mart: Mart, mask: npt.NDArray[np.bool_], held: npt.NDArray[np.bool_], seed: int
    ) -> "Validation":
        """Relevant: likes among `held`. Seen: the rows of `mask`. Videos training never saw liked stay relevant."""
        rows, n_users = mart.interactions, len(mart.user_keys)
        relevant = pairs_of(rows.where(held & (rows.label == LIKE)), n_users, 1 << 30, None)
        seen = pairs_of(rows.where(mask), n_users, 1 << 30, None)
        users = np.flatnonzero((np.diff(relevant.starts) > 0) & (np.diff(seen.starts) > 0))
        if len(users) > MOST_USERS:
            users = np.sort(np.random.default_rng(seed).choice(users, MOST_USERS, replace=False))
        return cls(users, relevant.take(users), seen.take(users), mask, mart)

    def ndcg(self, model: TrainedModel) -> float:
        """Mean NDCG@20 over the users (evaluation.py has the full set of metrics)."""
        v_ND, h_ND = model.item_vectors()
        histories = build_histories(self.mart, "train", model.history, model.aggregates, self.mask).take(
            self.users
        )
        u_BD = model.user_vectors(histories, h_ND)
        discounts = 1 / np.log2(np.arange(2, K + 2))
        ideal = np.cumsum(discounts)
        total = 0.0
        for s in range(0, len(self.users), 512):
            part = np.arange(s, min(s + 512, len(self.users)))
            scores = u_BD[part] @ v_ND.T
            seen, relevant = self.seen.take(part), self.relevant.take(part)
            scores[seen.rows, seen.items] = -np.inf
            k = min(K, scores.shape[1])
            top = np.argpartition(-scores, k - 1, axis=1)[:, :k]
            top = np.take_along_axis(
                top, np.argsort(-np.take_along_axis(scores, top, axis=1), axis=1), axis=1
            )
            wanted = np.zeros(scores.shape, np.bool_)
            wanted[relevant.rows, relevant.items] = True
            gains = np.take_along_axis(wanted, top, axis=1) @ discounts[:k]
            total += float((gains / ideal[np.minimum(np.diff(relevant.starts), k) - 1]).sum())
        return total / len(self.users)
