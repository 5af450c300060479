"""Hard negatives: videos the current vectors rank high for a user who has not liked them."""

import numpy as np
import numpy.typing as npt

from trainer.histories import Pairs

MINED = 32  # per user: enough to draw from for an epoch, before they are mined again
BLOCK = 512  # users whose scores are held at once


def mine(u_BD: npt.NDArray[np.float32], v_ND: npt.NDArray[np.float32], likes: Pairs) -> Pairs:
    """The best-ranked videos of each user that are none of his likes [B users, at most MINED each]."""
    kept = min(MINED, len(v_ND))
    blocks = []
    for begin in range(0, len(u_BD), BLOCK):
        part = np.arange(begin, min(begin + BLOCK, len(u_BD)))
        scores = u_BD[part] @ v_ND.T
        own = likes.take(part)
        scores[own.rows, own.items] = -np.inf
        top = np.argpartition(-scores, kept - 1, axis=1)[:, :kept]
        found = np.isfinite(np.take_along_axis(scores, top, axis=1))
        starts = np.concatenate(([0], np.cumsum(found.sum(axis=1))))
        blocks.append((starts, top[found]))
    counts = np.concatenate([np.diff(starts) for starts, _ in blocks])
    items = np.concatenate([items for _, items in blocks]).astype(np.int64)
    return Pairs(np.concatenate(([0], np.cumsum(counts))), items, np.ones(len(items), np.float32))
