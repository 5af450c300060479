"""The mart's rows as the holdout that metrics and gate use: test where there is one, else val."""

import numpy as np
import numpy.typing as npt
from scipy import sparse

from trainer.errors import MartError
from trainer.evaluation import Holdout
from trainer.mart import DISLIKE, LIKE, SEEN_ONLY, TEST, TRAIN, VAL, Mart

SPLIT_NAMES = {VAL: "val", TEST: "test"}


def holdout_split(mart: Mart) -> int:
    """TEST where any row is in it, else VAL. Raises MartError where both are empty."""
    split = mart.interactions.split
    for candidate in (TEST, VAL):
        if bool((split == candidate).any()):
            return candidate
    raise MartError(
        "no row of marts.fct_interactions is in val or test", "raise the dbt variable val_ratio or test_ratio"
    )


def build_holdout(mart: Mart) -> Holdout:
    """Matrices [users, videos] of the mart: seen in training, liked and disliked in the holdout."""
    rows, makers = mart.interactions, mart.catalogue.maker
    in_train, in_holdout = rows.split == TRAIN, rows.split == holdout_split(mart)
    names = sorted({maker for maker in makers if maker})
    codes = {name: code for code, name in enumerate(names)}
    return Holdout(
        seen=matrix(mart, in_train | (rows.label == SEEN_ONLY)),
        relevant=matrix(mart, in_holdout & (rows.label == LIKE)),
        disliked=matrix(mart, in_holdout & (rows.label == DISLIKE)),
        train=training_likes(mart),
        makers_I=np.array([codes[m] if m else -1 for m in makers], np.int64) if names else None,
        maker_names=names,
    )


def training_likes(mart: Mart) -> sparse.csr_matrix:
    """Likes of the training split [users, videos], ones: what every baseline is fitted on."""
    rows = mart.interactions
    return matrix(mart, (rows.split == TRAIN) & (rows.label == LIKE))


def matrix(mart: Mart, mask: npt.NDArray[np.bool_]) -> sparse.csr_matrix:
    """The rows of a mask as ones [users, videos]; rows are sorted by user and item already."""
    rows = mart.interactions
    users, items = rows.user_index[mask], rows.item_index[mask]
    shape = (len(mart.user_keys), len(mart.catalogue))
    return sparse.csr_matrix((np.ones(len(users), np.float32), (users, items)), shape)
