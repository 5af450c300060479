"""Ranking metrics, each with its definition and source; evaluation.py applies them to whole-catalogue lists.

Shapes: N users, K positions of a list (best first), I items. `hits_NK[n, k]` is whether position k of user
n's list is a relevant item; a list that ended early is padded with False. Functions that take `n_relevant_N`
return one float64 per user, NaN for a user without a relevant item: the mean is over the others. Functions of
`counts_I` look at all lists together: how often each item was recommended.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def recall(hits_NK: NDArray[np.bool_], n_relevant_N: NDArray[np.int64], k: int) -> Floats:
    """Recall@K = |top K ∩ relevant| / |relevant|: not capped at min(K, |relevant|).

    Manning, Raghavan, Schütze 2008, Introduction to Information Retrieval, equation 8.2, cut at K; the form
    of the LightGCN line of papers (Recall@20).
    """
    return _divide(hits_NK[:, :k].sum(1), n_relevant_N)


def precision(hits_NK: NDArray[np.bool_], n_relevant_N: NDArray[np.int64], k: int) -> Floats:
    """Precision@K = |top K ∩ relevant| / K, also where the catalogue had fewer than K candidates left.

    Manning, Raghavan, Schütze 2008, equation 8.1 and section 8.4 (precision at k).
    """
    return np.where(n_relevant_N > 0, hits_NK[:, :k].sum(1) / k, np.nan)


def hit_rate(hits_NK: NDArray[np.bool_], n_relevant_N: NDArray[np.int64], k: int) -> Floats:
    """HitRate@K = 1 where the first K hold at least one relevant item, else 0.

    Deshpande, Karypis 2004, Item-Based Top-N Recommendation Algorithms, section 6.1.
    """
    return np.where(n_relevant_N > 0, hits_NK[:, :k].any(1).astype(np.float64), np.nan)


def ndcg(hits_NK: NDArray[np.bool_], n_relevant_N: NDArray[np.int64], k: int) -> Floats:
    """NDCG@K = Σ_k hit_k / log2(k + 1)  /  Σ_(k <= min(K, |relevant|)) 1 / log2(k + 1), k from 1.

    Järvelin, Kekäläinen 2002, Cumulated gain-based evaluation of IR techniques, with binary gains; the ideal
    list holds min(K, |relevant|) relevant items.
    """
    discounts_K = 1 / np.log2(np.arange(2, k + 2))
    gains_N = hits_NK[:, :k].astype(np.float64) @ discounts_K[: hits_NK.shape[1]]
    ideals_K = np.concatenate([[0.0], np.cumsum(discounts_K)])
    return _divide(gains_N, ideals_K[np.minimum(n_relevant_N, k)])


def average_precision(hits_NK: NDArray[np.bool_], n_relevant_N: NDArray[np.int64], k: int) -> Floats:
    """AP@K = Σ_(k <= K) hit_k Precision@k  /  min(K, |relevant|); its mean over users is MAP@K.

    Manning, Raghavan, Schütze 2008, equation 8.8, cut at K; the denominator is that of Kaggle's MAP@K and of
    the
    `implicit` package, so that a list of K relevant items scores 1.
    """
    top_NK = hits_NK[:, :k].astype(np.float64)
    precisions_NK = np.cumsum(top_NK, axis=1) / np.arange(1, top_NK.shape[1] + 1)
    return _divide((top_NK * precisions_NK).sum(1), np.minimum(n_relevant_N, k))


def dislike_rate(disliked_hits_NK: NDArray[np.bool_], n_disliked_N: NDArray[np.int64], k: int) -> Floats:
    """dislike@K = |top K ∩ disliked| / |disliked|: the share of the holdout's dislikes that was recommended.

    The fallout of van Rijsbergen 1979, Information Retrieval, chapter 7, over the items judged non-relevant:
    recall of what must not be recalled. Read it beside recall@K, on the same scale: a list at random has both
    equal. NaN for a user without a dislike in the holdout.
    """
    return _divide(disliked_hits_NK[:, :k].sum(1), n_disliked_N)


def auc(
    above_N: NDArray[np.int64],
    level_N: NDArray[np.int64],
    n_relevant_N: NDArray[np.int64],
    n_candidates_N: NDArray[np.int64],
) -> Floats:
    """AUC = P(a relevant item outscores an irrelevant one), ties counted half, over the unseen catalogue per
    user.

    Hanley, McNeil 1982 (the Mann-Whitney form); per user as in Rendle et al. 2009, BPR, section 3.1.
    `above_N` and `level_N` count the pairs (relevant item, candidate) where the candidate scores higher, and
    where it scores the same; candidates include the relevant items themselves, whose r² pairs are subtracted
    here (each pair of two of them is level, or above once: r²/2 with ties halved). NaN without an irrelevant
    candidate.
    """
    lost_N = above_N + level_N / 2 - n_relevant_N.astype(np.float64) ** 2 / 2
    return 1 - _divide(lost_N, n_relevant_N * (n_candidates_N - n_relevant_N))


def coverage(counts_I: NDArray[np.int64]) -> float:
    """Share of the catalogue that is in at least one list. Ge, Delgado-Battenfeld, Jannach 2010, section
    2.2."""
    return float(np.count_nonzero(counts_I) / len(counts_I))


def shannon_entropy(counts_I: NDArray[np.int64]) -> float:
    """H = -Σ p_i log2 p_i in bits, p_i the share of recommendations that are item i; log2(I) when all are
    equal.

    Shani, Gunawardana 2011, Evaluating Recommendation Systems, section 8.3.3.2 (sales diversity).
    """
    shares = counts_I[counts_I > 0] / max(int(counts_I.sum()), 1)
    return float(-(shares * np.log2(shares)).sum()) + 0.0  # + 0.0: one single item gives 0, not -0


def gini(counts_I: NDArray[np.int64]) -> float:
    """G = 1/(I-1) Σ_j (2j - I - 1) p_(j), shares in ascending order: 0 all items equally often, 1 one item
    only.

    Shani, Gunawardana 2011, section 8.3.3.2; the whole catalogue counts, also what was never recommended.
    """
    n_items, total = len(counts_I), int(counts_I.sum())
    if n_items < 2 or total == 0:
        return 0.0
    places = 2 * np.arange(1, n_items + 1) - n_items - 1
    return float((places * np.sort(counts_I)).sum() / (total * (n_items - 1)))


def self_information(popularity_I: NDArray[np.int64], n_users: int) -> Floats:
    """-log2(n_i / U) in bits per item: how surprising it is that a user of the training split liked it.

    Zhou et al. 2010, Solving the apparent diversity-accuracy dilemma, equation 4. An item nobody liked counts
    as half a like, so that it stays finite and above every item with one.
    """
    return -np.log2(np.maximum(popularity_I, 0.5) / max(n_users, 1))


def novelty(lists_NK: NDArray[np.int32], information_I: Floats, k: int) -> Floats:
    """Mean self-information of a user's first K items; NaN for an empty list. Source: `self_information`."""
    top_NK = lists_NK[:, :k]
    return _divide(np.where(top_NK >= 0, information_I[top_NK], 0.0).sum(1), (top_NK >= 0).sum(1))


def largest_group_share(lists_NK: NDArray[np.int32], group_I: NDArray[np.int64], k: int) -> Floats:
    """Largest share of a user's first K items that one group (a maker) holds; items of no group are -1.

    The top-1 concentration ratio CR1 of industrial economics, per list: 1 when one maker fills it, 1/K when
    all differ. Items without a maker count in the list's length, not as a maker. NaN for an empty list.
    """
    top_NK = lists_NK[:, :k]
    groups_NK = np.sort(np.where(top_NK >= 0, group_I[top_NK], -1), axis=1)
    run_N = np.zeros(len(groups_NK), np.int64)
    longest_N = np.zeros(len(groups_NK), np.int64)
    previous_N = np.full(len(groups_NK), -1, np.int64)
    for column_N in groups_NK.T:  # equal groups are neighbours: the longest run is the largest group
        run_N = np.where(column_N < 0, 0, np.where(column_N == previous_N, run_N + 1, 1))
        longest_N = np.maximum(longest_N, run_N)
        previous_N = column_N
    return _divide(longest_N, (top_NK >= 0).sum(1))


def _divide(part: NDArray[np.generic], whole: NDArray[np.generic]) -> Floats:
    """part / whole in float64, NaN where whole is 0."""
    whole_N = np.asarray(whole, np.float64)
    empty = whole_N == 0
    return np.where(empty, np.nan, np.asarray(part, np.float64) / np.where(empty, 1.0, whole_N))
