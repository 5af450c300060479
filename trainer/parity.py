"""The gate before anything leaves: the files compute what the trained model computes, in numbers and ranking.

Each check runs the file itself in onnxruntime, on real rows and on every boundary, beside PyTorch.
"""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch

from trainer.errors import ModelMismatchError
from trainer.features import ItemFeatures, texts_of
from trainer.histories import Histories, Pairs
from trainer.mart import Catalogue
from trainer.onnx_session import Session, run_items, run_users
from trainer.precision import Precision
from trainer.trained import TrainedModel

Floats = npt.NDArray[np.float32]

N_ROWS = 1000
N_RANKED = 100  # users whose list of the whole catalogue is compared
TOP = 20
PAIRS_PER_RUN = 100_000  # 100,000 x 256 x 4 bytes x 2: some 200 MB
# Largest difference of a number, smallest share of equal top-20 lists, by the form the numbers are kept in.
# float32: the order of additions; float16: 2^-11 of a coordinate; int8: half a step of 1/127 of the largest
# one, and what a rotation had to drop; int4: of 1/7. A file below its line would rank for somebody else.
LINES = {"float32": (1e-5, 0.999), "float16": (1e-3, 0.98), "int8": (1e-1, 0.5), "int4": (1e-1, 0.5)}


@dataclass(frozen=True)
class Parity:
    """How one file compares with PyTorch."""

    n_rows: int
    largest_difference: float
    tolerance: float
    top_20_overlap: float
    smallest_overlap: float

    @property
    def holds(self) -> bool:
        """Whether both figures are within their lines; NaN is not."""
        return self.largest_difference <= self.tolerance and self.top_20_overlap >= self.smallest_overlap

    def check(self, name: str) -> "Parity":
        """Itself, or ModelMismatchError when the file computes something else."""
        if not self.holds:
            raise ModelMismatchError(
                f"{name} differs from PyTorch by {self.largest_difference:.2g} (allowed {self.tolerance:.2g})"
                f" and shares {self.top_20_overlap:.1%} of the top 20 (wanted {self.smallest_overlap:.1%})",
                "nothing was published; report it with the version's model_meta.json",
            )
        return self


def check_scores(session: Session, users_UD: Floats, items_ID: Floats, form: str, seed: int = 0) -> Parity:
    """Random pairs, every corner of both maps, ids outside them (score 0), and whole lists of some users."""
    rng = np.random.default_rng(seed)
    n_users, n_items = len(users_UD), len(items_ID)
    corners = [-(2**63), -1, 0, 2**31, 2**63 - 1]
    user_idx = np.array([*corners, n_users - 1, n_users] * 7, np.int64)
    item_idx = np.repeat(np.array([*corners, n_items - 1, n_items], np.int64), 7)
    user_idx = np.concatenate([user_idx, rng.integers(0, n_users, N_ROWS)])
    item_idx = np.concatenate([item_idx, rng.integers(0, n_items, N_ROWS)])
    known = (user_idx >= 0) & (user_idx < n_users) & (item_idx >= 0) & (item_idx < n_items)
    expected = np.where(
        known, (users_UD[user_idx * known] * items_ID[item_idx * known]).sum(axis=1, dtype=np.float64), 0
    )
    difference = np.abs(session.run({"user_idx": user_idx, "item_idx": item_idx})[0] - expected).max()
    some = rng.permutation(n_users)[:N_RANKED]
    overlaps = [_overlap(users_UD[u] @ items_ID.T, _scores_of(session, int(u), n_items)) for u in some]
    tolerance, smallest = LINES[form]
    return Parity(len(user_idx), float(difference), tolerance, float(np.mean(overlaps)), smallest)


def check_users(session: Session, model: TrainedModel, histories: Histories, seed: int = 0) -> Parity:
    """Real histories and the edges of what a history can be, and the lists that follow from the vectors."""
    items_ND, history_ND = model.item_vectors()
    rng = np.random.default_rng(seed)
    real = histories.take(rng.permutation(len(histories))[:N_ROWS])
    both = [
        real,
        edge_histories(len(history_ND), histories.aggregates.shape[1], model.history.max_likes, rng),
    ]
    found = np.concatenate([run_users(session, part, history_ND) for part in both])
    expected = np.concatenate([model.user_vectors(part, history_ND) for part in both])
    overlaps = [
        _overlap(a @ items_ND.T, b @ items_ND.T)
        for a, b in zip(expected[:N_RANKED], found[:N_RANKED], strict=True)
    ]
    tolerance, smallest = LINES["float32"]
    difference = float(np.abs(found - expected).max())
    return Parity(len(found), difference, 10 * tolerance, float(np.mean(overlaps)), smallest)


def check_items(
    session: Session,
    model: TrainedModel,
    catalogue: Catalogue,
    kept: Precision,
    of_categories: Precision | None = None,
) -> Parity:
    """Real videos, the same without their id (as new ones), a video of which nothing is known.

    A file that left the ids out (`coordinates` 0) is asked for new videos only. The line is that of the
    roughest of its tables.
    """
    rng = np.random.default_rng(0)
    chosen = rng.permutation(len(catalogue))[:N_ROWS]
    real = model.features.take(torch.from_numpy(chosen))
    new = replace(real, id_index=torch.zeros_like(real.id_index))
    nothing = ItemFeatures(*(torch.zeros_like(tensor[:1]) for tensor in real.__dict__.values()))
    texts = texts_of(catalogue, chosen)
    asked = [(new, texts), (nothing, [""])]
    asked = asked if kept.coordinates == 0 else [(real, texts), *asked]
    found = [run_items(session, features, said, model.vocabularies) for features, said in asked]
    expected = [model.item_vectors(features) for features, _ in asked]
    pairs = [pair for both in zip(found, expected, strict=True) for pair in zip(*both, strict=True)]
    difference = max(float(np.abs(a - b).max() / max(np.abs(b).max(), 1)) for a, b in pairs)
    ours, theirs = found[0][0], expected[0][0]
    overlaps = [_overlap(theirs[i] @ theirs.T, ours[i] @ ours.T) for i in range(min(N_RANKED, len(ours)))]
    forms = {kept.form, of_categories.form if of_categories else kept.form}
    tolerance, smallest = LINES[max(forms, key=list(LINES).index)]
    n_rows = sum(len(vectors) for vectors, _ in found)
    return Parity(n_rows, difference, 10 * tolerance, float(np.mean(overlaps)), smallest)


def edge_histories(n_items: int, n_aggregates: int, most: int, rng: np.random.Generator) -> Histories:
    """Nothing; one like; only dislikes; the longest history; all weight on one; aggregates far out."""
    lengths = [(0, 0), (1, 0), (0, 3), (most, 5), (4, 4), (2, 0), (2, 0)]
    likes, dislikes = ([n[side] for n in lengths] for side in (0, 1))
    seen = [0, 2, 0, most, 0, 0, 1]
    aggregates = np.zeros((len(lengths), n_aggregates), np.float32)
    aggregates[5], aggregates[6] = 8, -8  # eight standard deviations
    uneven = np.ones(sum(likes), np.float32)
    uneven[-8:-5] = 1e-30  # three of four likes decades old
    return Histories(
        _pairs(likes, uneven, n_items, rng),
        _pairs(dislikes, np.ones(sum(dislikes), np.float32), n_items, rng),
        _pairs(seen, np.full(sum(seen), 0.3, np.float32), n_items, rng),
        aggregates,
    )


def _pairs(lengths: list[int], weights: Floats, n_items: int, rng: np.random.Generator) -> Pairs:
    starts = np.concatenate(([0], np.cumsum(lengths))).astype(np.int64)
    return Pairs(starts, rng.integers(0, n_items, sum(lengths)), weights)


def _scores_of(session: Session, user: int, n_items: int) -> Floats:
    items = np.arange(n_items, dtype=np.int64)
    return np.concatenate(
        [
            session.run({"user_idx": np.full(len(part), user, np.int64), "item_idx": part})[0]
            for part in np.array_split(items, -(-n_items // PAIRS_PER_RUN))
        ]
    )


def _overlap(expected: Floats, found: Floats) -> float:
    """Share of the top 20 by `expected` among the top 20 by `found`; a tie at the end is no difference."""
    k = min(TOP, len(expected))
    top = np.argpartition(-found, k - 1)[:k]
    kth = -np.partition(-expected, k - 1)[k - 1]
    return float((expected[top] >= kth - 1e-6).mean())
