"""The three losses against numbers worked out by hand, and the sampled softmax against the full one."""

import math

import numpy as np
import pytest
import torch

from trainer.histories import Pairs
from trainer.losses import NEVER, Block, bce_loss, hinge_loss, softmax_loss
from trainer.sampling import Batch, Sampler


def block(logits: list[list[float]], weights: list[list[float]], targets: list[tuple[int, int]]) -> Block:
    rows, columns = (torch.tensor(side) for side in zip(*targets, strict=True))
    return Block(torch.tensor(logits), torch.tensor(weights), rows, columns, torch.ones(len(targets)))


def test_softmax_of_one_target_by_hand() -> None:
    # e^1 against e^1, twice e^0 and a masked e^9: -log(e / (e + e + 2))
    found = softmax_loss(block([[1.0, 1.0, 0.0, 9.0]], [[NEVER, 0.0, math.log(2), NEVER]], [(0, 0)]))
    assert found.item() == pytest.approx(-math.log(math.e / (2 * math.e + 2)), abs=1e-6)


def test_a_sister_target_is_no_negative() -> None:
    alone = softmax_loss(block([[1.0, 5.0, 0.0]], [[NEVER, NEVER, 0.0]], [(0, 0)]))
    assert alone.item() == pytest.approx(-math.log(math.e / (math.e + 1)), abs=1e-6)


def test_a_user_without_negatives_costs_nothing() -> None:
    assert softmax_loss(block([[1.0]], [[NEVER]], [(0, 0)])).item() == pytest.approx(0.0, abs=1e-6)


def test_bce_by_hand() -> None:
    found = bce_loss(block([[2.0, 0.0, -1.0]], [[NEVER, 0.0, 0.0]], [(0, 0)]))
    negatives = (math.log(2) + math.log(1 + math.exp(-1))) / 2
    assert found.item() == pytest.approx(math.log(1 + math.exp(-2)) + negatives, abs=1e-6)


def test_hinge_by_hand() -> None:
    found = hinge_loss(block([[2.0, 1.5, -3.0]], [[NEVER, 0.0, 0.0]], [(0, 0)]), margin=1.0)
    assert found.item() == pytest.approx((0.5 + 0.0) / 2, abs=1e-6)


@pytest.mark.parametrize("mixture", [{"random": 1.0}, {"random": 0.6, "hard": 0.3, "popular": 0.1}])
def test_sampled_sum_stands_for_the_catalogue(mixture: dict[str, float]) -> None:
    """E[Σ w_c exp(s_c)] over draws = Σ exp(s_i): without the correction of the mixture it is far off."""
    rng = np.random.default_rng(0)
    n = 30
    scores, popularity = rng.normal(size=n), rng.dirichlet(np.full(n, 0.3))
    starts = np.array([0, 3])
    pairs = Pairs(starts, np.array([1, 4, 7]), np.ones(3, np.float32))
    nothing = Pairs(np.array([0, 0]), np.array([], np.int64), np.array([], np.float32))
    batch = Batch(np.array([0]), nothing, nothing, nothing, nothing, nothing)
    sampler = Sampler(mixture, 20, popularity, pairs)
    draws = [sampler.draw(batch, rng) for _ in range(4000)]
    sums = [np.exp(scores[d.items] + d.log_weights).sum() for d in draws]
    plain = [np.exp(scores[d.items]).sum() for d in draws]
    full = np.exp(scores).sum()
    error = np.std(sums) / math.sqrt(len(sums))
    assert abs(np.mean(sums) - full) < 4 * error
    assert abs(np.mean(plain) - full) > 20 * error
