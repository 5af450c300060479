"""Where training starts, in closed form: the item-item regression of EASE and the factors of iALS
(factor_part.py), blended into one linear recommender in the dimensions of the towers.

With A = W X D^-a (X users x videos, W a user's row sum to the power -c, D the columns' sums of W X) and
A ~ U s V', ridge regression of A on itself with a zero diagonal (Steck 2019) is, off the diagonal, V f V'
with column j scaled by 1 / (1 - l_j), where f = s^2 / (s^2 + penalty) and l_j = Σ f V_j^2, the leverage of
video j. So a video speaks in a history through D^-a V f^1/2 and is scored through D^b V f^1/2 / (1 - l):
EASE's own quality from a truncated SVD, where its 40,000 x 40,000 inverse needs 7 GB.

Two linear recommenders make one whose item vectors stand side by side; the blend keeps its best approximation
of rank R, on the users there are (`blend`).

A score needs lengths and a cosine has none. The lengths go where the user has a zero: coordinates are
[ranking R | popularity 1 | similarity D - R - 1]; the last part fills every vector to length one, along a
direction of its own per video, so that the cosine of two videos still means likeness.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from trainer.linear import gram_root, leading_directions

Floats = npt.NDArray[np.float32]

FEWEST = 0.3  # of a like of usual weight: what a video counts at least
RANKING_SHARE = 0.875  # R / D: .75 costs the ranking 1 % of its NDCG; similar videos need few directions
SPREAD_USERS = 512  # whose scores say how far those of a recommender lie apart


@dataclass(frozen=True)
class Dials:
    """What of the start is chosen on held-out rows (choose_start.py)."""

    scaling: tuple[float, float] = (0.25, 0.2)
    """c and a: how little active users and popular videos weigh in the spectrum."""
    penalty: float = 16.0
    """In units of the smallest kept squared singular value."""
    score_exponent: float = 0.1
    """b: how much a video's popularity counts in its score beyond the regression."""
    popularity: float = 0.0
    """Weight of a score that is the same for every user, in standard deviations of the personal one."""
    popularity_half_life: float | None = None
    """Days after which a like counts half in that score."""
    factor_weight: float = 0.1
    """iALS: the weight of a pair that was not observed."""
    factor_reg: float = 0.006
    """iALS: its ridge, in shares of how often a user or video occurs."""
    factor_share: float = 0.5
    """How much of a personal score is iALS's, the rest EASE's; each in its own standard deviations."""


@dataclass(frozen=True)
class Part:
    """One linear recommender: a user is the sum of heard [N, R] over a history, a score its product with
    scored [N, R]."""

    heard: Floats
    scored: Floats


@dataclass(frozen=True)
class Spectrum:
    """Leading directions V [N, R] and singular values [R] of the scaled likes; counts [N] in likes of users
    of usual activity; the exponent a of the scaling."""

    directions: Floats
    values: Floats
    counts: Floats
    item_exponent: float

    def shrunk(self, penalty: float) -> Floats:
        """f [R]: what the ridge leaves of each direction, the penalty in units of the smallest s^2."""
        kept: Floats = self.values**2 / (self.values**2 + penalty * self.values[-1] ** 2)
        return kept


@dataclass(frozen=True)
class Start:
    """embedding [N, D] of unit rows, history [N, D], bias [D] of the skip layer, `n_ranking` coordinates
    in use."""

    embedding: Floats
    history: Floats
    bias: Floats
    n_ranking: int
    unknown: Floats
    """[2 D]: embedding and history of a video nobody liked, before its content is added."""


def ranking_dim(dim: int) -> int:
    """How many of D coordinates hold personal scores."""
    return max(1, min(int(dim * RANKING_SHARE), dim - 2))


def spectrum_of(
    matrix: sp.csr_matrix, dim: int, seed: int, scaling: tuple[float, float] = Dials.scaling
) -> Spectrum:
    """The spectrum of likes [users, N]; fewer directions than asked for where the matrix has no more."""
    user_exponent, item_exponent = scaling
    activity = np.maximum(np.asarray(matrix.sum(axis=1)).ravel(), FEWEST)
    weighted = sp.diags(activity**-user_exponent) @ matrix
    counts = np.asarray(weighted.sum(axis=0)).ravel() * (matrix.sum() / max(weighted.sum(), 1e-9))
    counts = np.maximum(counts, FEWEST).astype(np.float32)
    scaled = sp.csr_matrix(weighted @ sp.diags(counts**-item_exponent), dtype=np.float32)
    rank = max(1, min(ranking_dim(dim), min(matrix.shape) - 1))
    directions, values = leading_directions(scaled, rank, seed=seed)
    return Spectrum(directions, np.maximum(values, 1e-6), counts, item_exponent)


def regression_part(spectrum: Spectrum, dials: Dials) -> Part:
    """The regression of EASE from a spectrum."""
    v, counts, shrunk = spectrum.directions, spectrum.counts, spectrum.shrunk(dials.penalty)
    leverage = np.minimum((v**2) @ shrunk, 0.95)
    heard = v * np.sqrt(shrunk) * (counts**-spectrum.item_exponent)[:, None]
    scored = v * np.sqrt(shrunk) * (counts**dials.score_exponent / (1 - leverage))[:, None]
    return Part(heard, scored)


def blend(parts: list[tuple[Part, float]], pooling: sp.csr_matrix, rank: int) -> Part:
    """The sum of some recommenders by their shares, in `rank` coordinates.

    `pooling` [B, N] are histories of some users. With U = pooling · heard and V = scored, all parts beside
    each other, the matrix of rank R nearest to the scores U V' is cut off its singular value decomposition
    (Eckart and Young 1936), which needs no more than the Gram matrices of U and V.
    """
    users = [np.asarray(pooling @ part.heard, dtype=np.float32) for part, _ in parts]
    few = slice(0, SPREAD_USERS)
    scales = [
        share / (float(np.std(u[few] @ part.scored.T, axis=1).mean()) or 1.0)
        for u, (part, share) in zip(users, parts, strict=True)
    ]
    u = np.concatenate([u * scale for u, scale in zip(users, scales, strict=True)], axis=1)
    heard = np.concatenate(
        [part.heard * scale for (part, _), scale in zip(parts, scales, strict=True)], axis=1
    )
    scored = np.concatenate([part.scored for part, _ in parts], axis=1)
    (root_u, back_u), (root_v, back_v) = gram_root(u), gram_root(scored)
    left, values, right = np.linalg.svd(root_u @ root_v.T, full_matrices=False)
    # all singular values on the side of histories: orthonormal columns leave the lengths of videos as even
    # as they can be, and an approximate index needs that
    to_heard, to_scored = back_u @ (left[:, :rank] * values[:rank]), back_v @ right[:rank].T
    return Part((heard @ to_heard).astype(np.float32), (scored @ to_scored).astype(np.float32))


def start_of(part: Part, spectrum: Spectrum, dials: Dials, popularity: Floats, dim: int) -> Start:
    """Both item tables and the bias: a recommender's scores and `popularity` [N], standardised to mean 0 and
    deviation 1, under a cosine; the directions of the spectrum as likeness."""
    scored, n_ranking = part.scored, part.scored.shape[1]
    history = part.heard / max(float(np.linalg.norm(part.heard, axis=1).mean()), 1e-9)
    # one standard deviation of a personal score: histories of some popular videos, over the catalogue
    typical = np.argsort(-spectrum.counts)[:256]
    spread = float(np.std(history[typical] @ scored.T)) or 1.0
    seen = np.concatenate([scored, (dials.popularity * spread * popularity)[:, None]], axis=1)
    seen = seen / max(float(np.linalg.norm(seen, axis=1).max()), 1e-9)
    embedding, padded = (np.zeros((len(scored), dim), np.float32) for _ in range(2))
    embedding[:, : n_ranking + 1] = seen
    rest = np.sqrt(np.maximum(1 - (seen**2).sum(axis=1), 0))
    directions = spectrum.directions * np.sqrt(spectrum.shrunk(dials.penalty))
    likeness = _likeness(directions, dim - n_ranking - 1)
    embedding[:, n_ranking + 1 :] = rest[:, None] * likeness
    padded[:, :n_ranking] = history
    bias = np.zeros(dim, np.float32)
    bias[n_ranking] = 1.0
    # unliked: no personal part, the popularity of the least liked, the first axis of likeness
    unknown = np.zeros(2 * dim, np.float32)
    unknown[n_ranking : n_ranking + 2] = seen[:, n_ranking].min(), 1.0
    return Start(embedding, padded, bias, n_ranking, unknown)


def random_start(n_items: int, dim: int, seed: int) -> Start:
    """Gaussian rows, for comparison."""
    rng = np.random.default_rng(seed)
    embedding, history = (rng.standard_normal((n_items, dim)).astype(np.float32) for _ in range(2))
    embedding /= np.linalg.norm(embedding, axis=1, keepdims=True)
    return Start(
        embedding, history * dim**-0.5, np.zeros(dim, np.float32), dim, np.full(2 * dim, 1e-7, np.float32)
    )


def popularity_scores(
    items: npt.NDArray[np.integer], times: npt.NDArray[np.float64], n_items: int, half_life_days: float | None
) -> Floats:
    """log(1 + likes, each halved per half life before the newest), standardised over videos [N]."""
    weights = np.ones(len(items))
    if half_life_days is not None and not np.isnan(times).all():
        days = (np.nanmax(times) - times) / 86_400.0
        weights = np.nan_to_num(0.5 ** (days / half_life_days), nan=0.0)
    raw = np.log1p(np.bincount(items, weights, minlength=n_items))
    standardised: Floats = ((raw - raw.mean()) / max(float(raw.std()), 1e-9)).astype(np.float32)
    return standardised


def _likeness(directions: Floats, width: int) -> Floats:
    """Unit rows [N, width]: the leading directions of each video, or the first axis for one without any."""
    part = np.zeros((len(directions), width), np.float32)
    part[:, : min(width, directions.shape[1])] = directions[:, :width]
    norms = np.linalg.norm(part, axis=1)
    part[norms < 1e-9] = np.eye(1, width, dtype=np.float32)
    part /= np.maximum(np.linalg.norm(part, axis=1, keepdims=True), 1e-9)
    return part
