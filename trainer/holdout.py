"""The holdout: what was seen, what is relevant, what is disliked, and the slices that are looked at apart.

Shapes: U users, I items; every matrix is [U, I] with the same rows and columns.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from trainer.errors import TrainingError

# Training likes of a user, upper ends of the slices; seed B's cold start is "few likes", 5 is where lists
# turn good.
COLD_USER_EDGES = (0, 2, 5, 20)
# Tail items: the least popular items that together hold this share of the training likes (the 80/20 rule).
TAIL_SHARE = 0.2


@dataclass(frozen=True)
class Slice:
    """Some users, or some of the relevant items, of the holdout; the whole catalogue is ranked all the
    same."""

    users: NDArray[np.bool_] | None = None
    items: NDArray[np.bool_] | None = None


@dataclass(frozen=True)
class Holdout:
    """What lists are judged by; every matrix is [U, I] with the same rows and columns.

    `seen`: likes, dislikes and seen-only rows of the training cut, never recommended again. `relevant` and
    `disliked`: the holdout's likes and dislikes. `train`: the training likes, for novelty and the default
    slices. `makers`: a code per item, -1 where it has none; `maker_names` by code.
    """

    seen: sparse.csr_matrix
    relevant: sparse.csr_matrix
    disliked: sparse.csr_matrix
    train: sparse.csr_matrix
    makers: NDArray[np.int64] | None = None
    maker_names: Sequence[str] = ()

    def __post_init__(self) -> None:
        """Raises TrainingError where shapes differ, nothing is relevant, or an answer was already seen."""
        shapes = {m.shape for m in (self.seen, self.relevant, self.disliked, self.train)}
        if len(shapes) > 1:
            raise TrainingError(
                f"the holdout's matrices have shapes {sorted(shapes)}", "build all from one mart"
            )
        if self.relevant.nnz == 0:
            raise TrainingError(
                "the holdout has no likes to be judged by",
                "load more decisions, or raise the dbt variable val_ratio or test_ratio",
            )
        leaked = _pattern(self.relevant).multiply(_pattern(self.seen)).nnz
        if leaked:
            raise TrainingError(
                f"{leaked} likes of the holdout were seen in training", "every user-video pair has one split"
            )


def split_matrices(
    shape: tuple[int, int],
    user_index: NDArray[np.int32],
    item_index: NDArray[np.int32],
    *,
    label: NDArray[np.int8],
    held_out: NDArray[np.bool_],
    in_training: NDArray[np.bool_],
    makers: Sequence[str | None] | None = None,
) -> Holdout:
    """A Holdout from the mart's columns: label 1, 0 or -1 (seen only), and which rows are in which cut.

    A seen-only row belongs to the training cut; a row in neither (the validation split of a run with a test
    split) is left out altogether. `makers`: the maker of each item, None or empty where unknown.
    """

    def matrix(rows: NDArray[np.bool_]) -> sparse.csr_matrix:
        ones = np.ones(int(rows.sum()), np.float32)
        return sparse.csr_matrix((ones, (user_index[rows], item_index[rows])), shape=shape)

    names = sorted({maker for maker in makers or () if maker})
    codes = {name: code for code, name in enumerate(names)}
    return Holdout(
        seen=matrix(in_training),
        relevant=matrix(held_out & (label == 1)),
        disliked=matrix(held_out & (label == 0)),
        train=matrix(in_training & (label == 1)),
        makers=np.array([codes.get(maker or "", -1) for maker in makers], np.int64) if makers else None,
        maker_names=names,
    )


def default_slices(holdout: Holdout, n_makers: int = 5) -> dict[str, Slice]:
    """Users by training likes, tail and unrated items, and the makers with the most likes in the holdout."""
    n_likes_U = np.diff(holdout.train.indptr)
    popularity_I = column_counts(holdout.train)
    slices, low = {}, 0
    for high in COLD_USER_EDGES:
        label = f"{low}" if low == high else f"{low}-{high}"
        slices[f"users: {label} likes"] = Slice(users=(n_likes_U >= low) & (n_likes_U <= high))
        low = high + 1
    slices[f"users: {low}+ likes"] = Slice(users=n_likes_U >= low)
    slices["items: tail"] = Slice(items=tail_items(popularity_I))
    slices["items: unrated"] = Slice(items=popularity_I == 0)
    if holdout.makers is not None:
        wanted = holdout.makers[holdout.relevant.indices]
        counts = np.bincount(wanted[wanted >= 0], minlength=len(holdout.maker_names))
        for maker in np.argsort(-counts, kind="stable")[:n_makers]:
            if counts[maker]:
                in_maker = holdout.makers == maker
                slices[f"maker: {holdout.maker_names[int(maker)]}"] = Slice(items=in_maker)
    return slices


def tail_items(popularity_I: NDArray[np.int64], share: float = TAIL_SHARE) -> NDArray[np.bool_]:
    """The least popular items that together hold at most `share` of the likes (unrated ones included)."""
    order = np.argsort(popularity_I, kind="stable")
    tail = np.zeros(len(popularity_I), bool)
    tail[order[np.cumsum(popularity_I[order]) <= share * popularity_I.sum()]] = True
    return tail


def column_counts(matrix: sparse.csr_matrix) -> NDArray[np.int64]:
    """Rows that hold each item, [I]."""
    return np.bincount(matrix.indices, minlength=matrix.shape[1]).astype(np.int64)


def _pattern(matrix: sparse.csr_matrix) -> sparse.csr_matrix:
    return sparse.csr_matrix((np.ones(matrix.nnz, np.int8), matrix.indices, matrix.indptr), matrix.shape)
