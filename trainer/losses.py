"""Losses over one block of logits: B users, C candidate videos, P (user, candidate) pairs.

`Block` says which candidates are targets and what each other candidate counts for; the three losses read
only that.
"""

from dataclasses import dataclass

import torch
from torch.nn import functional

NEVER = (
    -1e9
)  # a logit that takes part in nothing; finite, so that a row without negatives gives 0 and not nan


@dataclass(frozen=True)
class Block:
    """Logits and what they are compared with."""

    logits: torch.Tensor
    """[B, C] cosine / temperature."""
    log_weights: torch.Tensor
    """[B, C] or [1, C]: log of how many videos of the catalogue a candidate stands for (-log expected count
    + log count of the sample), NEVER for what a user must not be pushed from: own positives, hits of the
    mixture."""
    target_rows: torch.Tensor
    """[P] user of each target."""
    target_columns: torch.Tensor
    """[P] candidate of each target."""
    target_weights: torch.Tensor
    """[P] how much each target counts."""


def softmax_loss(block: Block) -> torch.Tensor:
    """Sampled softmax, several targets a user, each against the negatives only (its sister targets are
    masked).

    -log exp(s_t) / (exp(s_t) + Σ_c w_c exp(s_c)) = softplus(logsumexp(s_c + log w_c) - s_t): with w = count /
    expected count under the distribution really sampled, the sum is an unbiased stand-in for the one over the
    catalogue (Bengio & Senécal 2008; Yi et al. 2019 for the in-batch part).
    """
    negatives_B = torch.logsumexp(block.logits + block.log_weights, dim=1)
    targets_P = block.logits[block.target_rows, block.target_columns]
    return _mean(functional.softplus(negatives_B[block.target_rows] - targets_P), block.target_weights)


def bce_loss(block: Block) -> torch.Tensor:
    """Seed A: log loss of likes against sampled negatives and dislikes, both halves weighing the same."""
    targets_P = block.logits[block.target_rows, block.target_columns]
    weights_BC = torch.exp(block.log_weights.clamp(max=20.0))
    negatives = (functional.softplus(block.logits) * weights_BC).sum(dim=1) / weights_BC.sum(dim=1).clamp(
        min=1e-9
    )
    positives = _mean(functional.softplus(-targets_P), block.target_weights)
    return positives + _mean(negatives[block.target_rows], block.target_weights)


def hinge_loss(block: Block, margin: float) -> torch.Tensor:
    """Seed B: max(0, margin - positive + negative), in logits, averaged over weighted negatives."""
    targets_P = block.logits[block.target_rows, block.target_columns]
    weights_BC = torch.exp(block.log_weights.clamp(max=20.0)).expand_as(block.logits)
    gaps_PC = functional.relu(margin - targets_P[:, None] + block.logits[block.target_rows])
    weights_PC = weights_BC[block.target_rows]
    per_target = (gaps_PC * weights_PC).sum(dim=1) / weights_PC.sum(dim=1).clamp(min=1e-9)
    return _mean(per_target, block.target_weights)


def loss_of(name: str, block: Block, margin: float) -> torch.Tensor:
    """The loss by its name on the command line."""
    if name == "bce":
        return bce_loss(block)
    return hinge_loss(block, margin) if name == "hinge" else softmax_loss(block)


def _mean(values: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    return (values * weights).sum() / weights.sum().clamp(min=1e-9)
