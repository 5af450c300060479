"""Rank the whole catalogue for many users: blocks of bounded memory, every core, ties broken by item index.

Sampled metrics are inconsistent (Krichene, Rendle 2020), so nothing is sampled here. A block's top K is found
by a threshold: the K-th largest of the maxima of chunks of the catalogue is at most the K-th best score, so
the few candidates at or above it hold the list and all its ties. One pass over the scores instead of a
selection: measured five times as quick as torch.topk over 40,000 items.

Shapes: U users, I items, D dimensions, N users asked for, B users of a block, K positions.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse

from trainer.errors import TrainingError

# A block of scores is this many floats (64 MiB). From 1 to 16 million each doubling was quicker, because the
# item matrix is packed anew for every product; larger ones were not tried.
BLOCK_SCORES = 16 * 2**20
# Items whose maximum is taken together. 64: the threshold then lets 4 % more candidates through than needed.
CHUNK_ITEMS = 64
# Users one thread takes at a time: enough work to hide the hand-over, little enough to keep all threads busy.
PART_ROWS = 16

Rows = NDArray[np.int64]
BlockScorer = Callable[[Rows], "NDArray[np.float32] | torch.Tensor"]
Scorer = BlockScorer | tuple[NDArray[np.float32], NDArray[np.float32]]


@dataclass(frozen=True)
class Ranking:
    """Lists of N users; `above` and `level` are the counts that metrics.auc reads."""

    lists: NDArray[np.int32]  # item indices, best first; -1 where the candidates ended
    above: NDArray[np.int64]
    level: NDArray[np.int64]
    n_candidates: NDArray[np.int64]


def block_scorer(scorer: Scorer) -> BlockScorer:
    """Scores [B, I] of user rows, in a fresh array that will be masked in place; two arrays of vectors (users
    [U, D], items [I, D]) score by dot product."""
    if callable(scorer):
        return scorer
    users_UD, items_ID = (torch.from_numpy(np.ascontiguousarray(v, dtype=np.float32)) for v in scorer)
    if users_UD.shape[1] != items_ID.shape[1]:
        raise TrainingError(
            f"user vectors have {users_UD.shape[1]} dimensions, item vectors {items_ID.shape[1]}",
            "score with both towers of one version",
        )
    return lambda rows: users_UD[torch.from_numpy(rows)] @ items_ID.T


def rank(
    scorer: Scorer, user_rows: Rows, seen: sparse.csr_matrix, relevant: sparse.csr_matrix | None, k: int
) -> Ranking:
    """The K best unseen items of each user row, and the pair counts for the AUC of `relevant` [U, I].

    Without `relevant` the pairs are not counted.

    Raises TrainingError when scores are NaN or infinite, or of another width than the catalogue.
    """
    score, blocks = block_scorer(scorer), []
    with ThreadPoolExecutor(torch.get_num_threads()) as threads:
        for rows in _blocks(user_rows, seen.shape[1]):
            scores_BI = _finite_scores(score(rows), rows, seen.shape[1])
            _mask(scores_BI, seen[rows])
            lists_BK = top_k(scores_BI, k)
            if relevant is None:
                blocks.append((lists_BK, np.zeros((len(rows), 2), np.int64)))
                continue
            asked = relevant[rows]
            parts = [slice(start, start + PART_ROWS) for start in range(0, len(rows), PART_ROWS)]
            pairs = threads.map(_pairs, (scores_BI[part] for part in parts), (asked[part] for part in parts))
            blocks.append((lists_BK, np.concatenate(list(pairs))))
    pairs_N2 = np.concatenate([pairs for _, pairs in blocks]) if blocks else np.zeros((0, 2), np.int64)
    return Ranking(
        lists=np.concatenate([lists for lists, _ in blocks]) if blocks else np.zeros((0, k), np.int32),
        above=pairs_N2[:, 0],
        level=pairs_N2[:, 1],
        n_candidates=seen.shape[1] - np.diff(seen.indptr)[user_rows].astype(np.int64),
    )


def top_k(scores_BI: NDArray[np.float32], k: int) -> NDArray[np.int32]:
    """Indices [B, K] of the best scores, best first, of equal ones the lower index; -1 where -inf is left."""
    n_rows, n_items = scores_BI.shape
    threshold_B1 = _threshold(torch.from_numpy(scores_BI), min(k, n_items)).numpy()
    # the lowest finite float: -inf itself must not pass where a row has fewer than K candidates
    passed = np.flatnonzero(scores_BI >= np.maximum(threshold_B1, np.finfo(np.float32).min))
    row, item = np.divmod(passed, n_items)
    order = np.lexsort((item, -scores_BI[row, item], row))
    row, item = row[order], item[order]
    place = np.arange(len(row)) - np.searchsorted(row, np.arange(n_rows))[row]
    lists_BK = np.full((n_rows, k), -1, np.int32)
    lists_BK[row[place < k], place[place < k]] = item[place < k]
    return lists_BK


def _threshold(scores_BI: torch.Tensor, k: int) -> torch.Tensor:
    """A number per row [B, 1] that at least K scores of the row reach, as near the K-th best as is cheap."""
    chunk = max(1, min(CHUNK_ITEMS, scores_BI.shape[1] // (4 * k)))
    whole = scores_BI.shape[1] // chunk * chunk
    maxima_BC = scores_BI[:, :whole].reshape(len(scores_BI), -1, chunk).amax(2)
    best_BK: torch.Tensor = maxima_BC.topk(k, dim=1).values
    return best_BK[:, -1:]


def _blocks(user_rows: Rows, n_items: int) -> Iterator[Rows]:
    size = max(1, BLOCK_SCORES // max(n_items, 1))
    for start in range(0, len(user_rows), size):
        yield user_rows[start : start + size]


def _finite_scores(
    scores: NDArray[np.float32] | torch.Tensor, rows: Rows, n_items: int
) -> NDArray[np.float32]:
    """The block as a float32 array that may be masked in place: scorers hand over a fresh one."""
    block = torch.as_tensor(scores).detach().to("cpu", torch.float32).contiguous()
    if block.shape != (len(rows), n_items):
        raise TrainingError(
            f"the model scored {tuple(block.shape)} for {len(rows)} users and {n_items} videos",
            "score every video of the mart, in its order",
        )
    if not bool(torch.isfinite(block.sum())):  # one quick pass; no NaN or infinity survives a sum unseen
        raise TrainingError(
            f"scores of user row {int(rows[0])} and following are NaN or infinite", "train again"
        )
    own: NDArray[np.float32] = block.numpy()
    return own


def _mask(scores_BI: NDArray[np.float32], seen: sparse.csr_matrix) -> None:
    scores_BI[np.repeat(np.arange(len(scores_BI)), np.diff(seen.indptr)), seen.indices] = -np.inf


def _pairs(scores_BI: NDArray[np.float32], relevant_BI: sparse.csr_matrix) -> NDArray[np.int64]:
    """Pairs (relevant item, candidate) per user: [B, 2], the candidate scoring higher, and scoring level."""
    pairs_B2 = np.zeros((len(scores_BI), 2), np.int64)
    for row, scores_I in enumerate(scores_BI):
        items = relevant_BI.indices[relevant_BI.indptr[row] : relevant_BI.indptr[row + 1]]
        for start in range(0, len(items), 16):  # 16 at a time: the comparison stays in the core's own cache
            wanted = scores_I[items[start : start + 16], None]
            above = np.count_nonzero(scores_I > wanted)
            pairs_B2[row] += above, np.count_nonzero(scores_I >= wanted) - above
    return pairs_B2
