"""Which training rows stand in for the holdout while dials and epochs are chosen. The holdout itself is
never read: only whether its rows lie in the future, so that what is chosen is chosen for the same task."""

from typing import Literal

import numpy as np
import numpy.typing as npt

from trainer.mart import SEEN_ONLY, TEST, TRAIN, VAL, Interactions, Mart

Mask = npt.NDArray[np.bool_]
Shape = Literal["random", "each user's last", "after a date"]

NEARLY_ALL = 0.95  # clocks differ and days are coarse: a few rows out of order do not make a random split
SHARE = 0.1


def held_out_rows(mart: Mart) -> Mask:
    """The val rows where there is a test split, else a tenth of train of the holdout's own shape [rows]."""
    rows = mart.interactions
    if (rows.split == TEST).any() and (rows.split == VAL).any():
        return np.equal(rows.split, VAL)
    shape = holdout_shape(rows)
    if shape == "after a date":
        return _after_a_date(rows)
    return _each_users_last(rows, len(mart.user_keys)) if shape == "each user's last" else hashed_tenth(mart)


def usable_rows(mart: Mart, mask: Mask) -> Mask:
    """The training rows of `mask`, and what was seen without a label as far as no holdout hides in it.

    Seen-only rows have no split. They join only where the split is ours (then no seen row is in a holdout)
    and not from after the training rows; a split that came with the file may have held them out.
    """
    rows = mart.interactions
    newest = np.max(rows.occurred_at[mask & ~np.isnan(rows.occurred_at)], initial=-np.inf)
    seen = (rows.label == SEEN_ONLY) & ~(rows.occurred_at > newest) & ~rows.is_file_split.any()
    usable: Mask = (mask & (rows.split == TRAIN)) | seen
    return usable


def holdout_shape(rows: Interactions) -> Shape:
    """Whether the holdout (test, else val) follows the training rows in time: globally, per user, or not
    at all."""
    held = rows.split == (TEST if (rows.split == TEST).any() else VAL)
    known = ~np.isnan(rows.occurred_at)
    held, train = held & known, (rows.split == TRAIN) & known
    if held.sum() < 10 or train.sum() < 10:
        return "random"
    cut = np.quantile(rows.occurred_at[train], 0.99)
    if (rows.occurred_at[held] >= cut).mean() >= NEARLY_ALL:
        return "after a date"
    newest = np.full(int(rows.user_index.max()) + 1, -np.inf)
    np.maximum.at(newest, rows.user_index[train], rows.occurred_at[train])
    follows = rows.occurred_at[held] >= newest[rows.user_index[held]]
    return "each user's last" if follows.mean() >= NEARLY_ALL else "random"


def hashed_tenth(mart: Mart) -> Mask:
    """A tenth of the training rows, the same on every machine; a user's only training rows are never all
    taken."""
    rows = mart.interactions
    train = rows.split == TRAIN
    mixed = rows.user_index.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    mixed ^= rows.item_index.astype(np.uint64) * np.uint64(0xC2B2AE3D27D4EB4F)
    mixed ^= mixed >> np.uint64(31)
    mixed *= np.uint64(0xD6E8FEB86659FD93)
    held = train & ((mixed >> np.uint64(40)) % np.uint64(round(1 / SHARE)) == 0)
    n_train = np.bincount(rows.user_index[train], minlength=len(mart.user_keys))
    n_held = np.bincount(rows.user_index[held], minlength=len(mart.user_keys))
    has_more: Mask = (n_train > n_held)[rows.user_index]
    taken: Mask = np.logical_and(held, has_more)
    return taken


def _after_a_date(rows: Interactions) -> Mask:
    train = (rows.split == TRAIN) & ~np.isnan(rows.occurred_at)
    cut = float(np.quantile(rows.occurred_at[train], 1 - SHARE))
    late: Mask = np.logical_and(train, rows.occurred_at >= cut)
    return late


def _each_users_last(rows: Interactions, n_users: int) -> Mask:
    train = np.flatnonzero((rows.split == TRAIN) & ~np.isnan(rows.occurred_at))
    order = train[np.lexsort((-rows.occurred_at[train], rows.user_index[train]))]
    counts = np.bincount(rows.user_index[train], minlength=n_users)
    users = rows.user_index[order]
    place = np.arange(len(order)) - (np.cumsum(counts) - counts)[users]
    held = np.zeros(len(rows), np.bool_)
    held[order[place < np.floor(counts[users] * 2 * SHARE)]] = True
    return held
