"""What one training step looks at: users with their likes split into history and targets, and candidate
videos.

The split is drawn anew each time, so a target is never in the history it is predicted from, and one pass
over a history serves many targets (a denoising autoencoder over users: Liang et al. 2018).
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from trainer.errors import UsageError
from trainer.histories import Histories, Ints, Pairs
from trainer.losses import NEVER

Floats = npt.NDArray[np.float64]
SAMPLERS = ("random", "popular", "hard")


@dataclass(frozen=True)
class Batch:
    """Some users of one step. `known` are all their likes; inputs and targets part them. Neither those nor
    what was only seen is ever a negative."""

    users: Ints
    inputs: Pairs
    targets: Pairs
    known: Pairs
    dislikes: Pairs
    seen: Pairs


@dataclass(frozen=True)
class Candidates:
    """The videos all users of a step are compared on, and log(count / expected count) of each."""

    items: Ints
    log_weights: npt.NDArray[np.float32]


def user_groups(likes: Pairs, likes_per_batch: int, rng: np.random.Generator) -> list[Ints]:
    """The users of each step of an epoch: each with a like once, about `likes_per_batch` likes a step."""
    counts = np.diff(likes.starts)
    order = rng.permutation(np.flatnonzero(counts))
    ends = np.cumsum(counts[order]) // likes_per_batch
    return np.split(order, np.flatnonzero(np.diff(ends)) + 1)


def batches(
    histories: Histories, groups: list[Ints], held_out: tuple[float, float], rng: np.random.Generator
) -> Iterator[Batch]:
    """A step's users with their likes split; `held_out`: a user's share of targets is drawn evenly between
    these two."""
    for users in groups:
        yield split_histories(users, histories.take(users), held_out, rng)


def split_histories(
    users: Ints, histories: Histories, held_out: tuple[float, float], rng: np.random.Generator
) -> Batch:
    """Targets and inputs of some users, who are those of `histories`: disjoint, at least one target each; a
    single like is a target alone."""
    known = histories.likes
    rows, counts = known.rows, np.diff(known.starts)
    share = rng.uniform(*held_out, len(users))
    draws = rng.random(len(rows))
    rank = np.lexsort((draws, rows))  # entries of each user in random order
    position = np.empty(len(rows), np.int64)
    position[rank] = np.arange(len(rows)) - known.starts[rows[rank]]
    n_targets = np.clip(np.floor(share * counts + rng.random(len(users))), 1, np.maximum(counts - 1, 1))
    is_target = position < n_targets[rows]
    inputs, targets = known.keep(~is_target), known.keep(is_target)
    return Batch(users, inputs, targets, known, histories.dislikes, histories.seen)


def whole_catalogue(n_items: int) -> Candidates:
    """Every video, each standing for itself: the exact softmax."""
    return Candidates(np.arange(n_items), np.zeros(n_items, np.float32))


def parse_mixture(text: str) -> dict[str, float]:
    """`random=0.6,hard=0.3,popular=0.1` as shares that add up to 1. Raises UsageError."""
    remedy = "write it as random=0.6,hard=0.3,popular=0.1"
    try:
        shares = {name.strip(): float(share) for name, share in (part.split("=") for part in text.split(","))}
    except ValueError:
        raise UsageError(f"--negatives {text!r} cannot be read", remedy) from None
    if unknown := shares.keys() - set(SAMPLERS):
        raise UsageError(f"--negatives names no sampler of ours: {', '.join(sorted(unknown))}", remedy)
    total = sum(shares.values())
    if min(shares.values()) < 0 or not 0 < total < float("inf"):
        raise UsageError(f"--negatives {text!r}: the shares add up to {total:g}", remedy)
    return {name: share / total for name, share in shares.items()}


@dataclass(frozen=True)
class Sampler:
    """Draws candidates from a mixture and says how often each was to be expected."""

    mixture: dict[str, float]
    n_draws: int
    popularity: Floats
    """[n_items], sums to 1: how often a video is the target of a step."""
    hard: Pairs | None = None
    """Per user the videos ranked high and not liked, mined from the current vectors; None before the
    warm-up ends."""

    def draw(self, batch: Batch, rng: np.random.Generator) -> Candidates:
        """In-batch targets and `n_draws` more, unique, with the logQ correction of the whole mixture.

        A candidate c seen n_c times stands for n_c / E_c videos, E_c = Σ_parts draws x probability; dislikes
        of the batch join with weight zero: they count only for their own user.
        """
        n_items = len(self.popularity)
        shares = dict(self.mixture)
        hard = self.hard.take(batch.users).items if self.hard is not None else np.zeros(0, np.int64)
        if not len(hard):  # nothing mined yet: its share goes to the uniform part
            shares["random"] = shares.get("random", 0.0) + shares.pop("hard", 0.0)
        drawn = [batch.targets.items]
        expected = len(batch.targets.items) * self.popularity
        for name, share in shares.items():
            if not (n := round(share * self.n_draws)):
                continue
            if name == "random":
                drawn.append(rng.integers(0, n_items, n))
                expected = expected + n / n_items
            elif name == "popular":
                drawn.append(rng.choice(n_items, n, p=self.popularity))
                expected = expected + n * self.popularity
            else:
                drawn.append(rng.choice(hard, n))
                expected = expected + n * np.bincount(hard, minlength=n_items) / len(hard)
        counts = np.bincount(np.concatenate(drawn), minlength=n_items)
        listed = np.union1d(np.flatnonzero(counts), batch.dislikes.items)
        seen = counts[listed]
        weights = np.where(seen > 0, np.log(np.maximum(seen, 1) / np.maximum(expected[listed], 1e-12)), NEVER)
        return Candidates(listed, weights.astype(np.float32))
