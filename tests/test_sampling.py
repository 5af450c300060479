"""A step's users, targets and candidates: what must never meet does not."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from trainer.errors import UsageError
from trainer.hard_negatives import mine
from trainer.histories import Histories, Pairs
from trainer.losses import NEVER
from trainer.sampling import Batch, Sampler, batches, parse_mixture, user_groups, whole_catalogue
from trainer.step import block_of


def ragged(*lists: list[int]) -> Pairs:
    starts = np.cumsum([0, *(len(items) for items in lists)])
    flat = np.array([item for items in lists for item in items], np.int64)
    return Pairs(starts, flat, np.ones(len(flat), np.float32))


LIKES = ragged([0, 1, 2, 3, 4], [5], [], [2, 6])
DISLIKES = ragged([9], [], [], [8])
SEEN = ragged([7], [], [3], [])


def epoch_of(likes_per_batch: int, held_out: tuple[float, float], seed: int) -> Iterator[Batch]:
    rng = np.random.default_rng(seed)
    histories = Histories(LIKES, DISLIKES, SEEN, np.zeros((4, 0), np.float32))
    return batches(histories, user_groups(LIKES, likes_per_batch, rng), held_out, rng)


def test_a_target_is_never_in_its_own_history() -> None:
    for seed in range(50):
        for batch in epoch_of(4, (0.1, 0.9), seed):
            inputs = set(zip(batch.inputs.rows, batch.inputs.items, strict=True))
            targets = set(zip(batch.targets.rows, batch.targets.items, strict=True))
            assert not inputs & targets
            assert inputs | targets == set(zip(batch.known.rows, batch.known.items, strict=True))
            assert (np.diff(batch.targets.starts) >= 1).all()


def test_what_was_only_seen_is_input_and_never_a_negative() -> None:
    batch = next(epoch_of(100, (0.5, 0.5), 0))
    user = int(np.flatnonzero(batch.users == 0)[0])
    assert batch.seen.take(np.array([user])).items.tolist() == [7]
    block = block_of(torch.zeros(len(batch.users), 10), batch, whole_catalogue(10), 10, dislike_weight=2.0)
    assert block.log_weights[user, 7] == NEVER
    assert (block.log_weights[:, 7] == NEVER).sum() == 1


def test_an_epoch_shows_every_user_with_a_like_once() -> None:
    seen = np.concatenate([batch.users for batch in epoch_of(3, (0.2, 0.8), 1)])
    assert sorted(seen) == [0, 1, 3]


def test_a_dislike_of_the_batch_weighs_nothing_for_the_others() -> None:
    batch = next(epoch_of(100, (0.5, 0.5), 0))
    popularity = np.bincount(LIKES.items, minlength=10) / len(LIKES.items)
    drawn = Sampler({"popular": 1.0}, 50, popularity).draw(batch, np.random.default_rng(0))
    assert (drawn.log_weights[np.isin(drawn.items, [8, 9])] == NEVER).all()


def test_hard_negatives_are_the_best_ranked_that_are_not_liked() -> None:
    v = np.eye(50, dtype=np.float32)
    u = np.linspace(1, 0, 50, dtype=np.float32)[None, :]
    mined = mine(u, v, ragged([0, 2]))
    assert set(mined.items) == set(range(34)) - {0, 2}


def test_a_mixture_is_read_and_scaled_to_one() -> None:
    assert parse_mixture("random=6, hard=3,popular=1") == {"random": 0.6, "hard": 0.3, "popular": 0.1}


@pytest.mark.parametrize(
    "text", ["random", "random=x", "viral=1", "random=0", "random=-1,popular=2", "random=nan"]
)
def test_a_mixture_that_cannot_be_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--negatives"):
        parse_mixture(text)
