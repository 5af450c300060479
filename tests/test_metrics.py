"""Each metric against fractions written by hand, and against a slow twin in plain Python on random lists."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer import metrics

# One user, five positions: items 7 and 9 of three relevant ones are found at places 1 and 4.
HITS = np.array([[True, False, False, True, False]])
THREE = np.array([3])


def one(values: np.ndarray) -> float:
    assert values.shape == (1,)
    return float(values[0])


def test_hand_fractions_of_one_list() -> None:
    assert one(metrics.recall(HITS, THREE, 5)) == float(Fraction(2, 3))
    assert one(metrics.recall(HITS, THREE, 3)) == float(Fraction(1, 3))
    assert one(metrics.precision(HITS, THREE, 5)) == float(Fraction(2, 5))
    assert one(metrics.hit_rate(HITS, THREE, 5)) == 1
    # AP@5 = (1/1 + 2/4) / min(5, 3)
    assert one(metrics.average_precision(HITS, THREE, 5)) == pytest.approx(float(Fraction(1, 2)))
    # the ideal of three relevant items in five places is 1 + 1/log2(3) + 1/log2(4)
    ideal = 1 + 1 / math.log2(3) + 1 / 2
    assert one(metrics.ndcg(HITS, THREE, 5)) == pytest.approx((1 + 1 / math.log2(5)) / ideal)
    # at 2 the ideal holds two, not three
    assert one(metrics.ndcg(HITS, THREE, 2)) == pytest.approx(1 / (1 + 1 / math.log2(3)))


def test_precision_divides_by_k_even_where_the_list_is_shorter() -> None:
    assert one(metrics.precision(HITS, THREE, 10)) == float(Fraction(2, 10))
    assert one(metrics.ndcg(HITS, THREE, 10)) == one(metrics.ndcg(HITS, THREE, 5))


@pytest.mark.parametrize("metric", [metrics.recall, metrics.precision, metrics.hit_rate, metrics.ndcg])
def test_a_user_without_a_relevant_item_has_no_value(metric) -> None:
    assert math.isnan(one(metric(np.zeros((1, 5), bool), np.array([0]), 5)))


def test_auc_by_hand() -> None:
    # candidates 0.9 r, 0.5 x, 0.5 r, 0.1 x: pairs (0.9 > 0.5), (0.9 > 0.1), (0.5 = 0.5), (0.5 > 0.1)
    scores, relevant = np.array([0.9, 0.5, 0.5, 0.1]), [0, 2]
    above = sum(int((scores > scores[i]).sum()) for i in relevant)
    level = sum(int((scores == scores[i]).sum()) for i in relevant)
    value = metrics.auc(np.array([above]), np.array([level]), np.array([2]), np.array([4]))
    assert one(value) == float(Fraction(7, 8))


def test_auc_without_an_irrelevant_candidate_has_no_value() -> None:
    assert math.isnan(one(metrics.auc(np.array([1]), np.array([2]), np.array([2]), np.array([2]))))


def test_metrics_of_all_lists_by_hand() -> None:
    counts = np.array([2, 1, 1, 0])
    assert metrics.coverage(counts) == float(Fraction(3, 4))
    assert metrics.shannon_entropy(counts) == pytest.approx(1.5)  # 1/2·1 + 1/4·2 + 1/4·2
    # ascending 0 1 1 2, weights -3 -1 1 3: (0 - 1 + 1 + 6) / (4·3)
    assert metrics.gini(counts) == pytest.approx(float(Fraction(1, 2)))
    assert metrics.gini(np.array([3, 3, 3])) == 0
    assert metrics.gini(np.array([0, 0, 5])) == 1
    assert metrics.shannon_entropy(np.array([0, 0, 5])) == 0
    assert metrics.shannon_entropy(np.full(8, 2)) == pytest.approx(3)


def test_novelty_by_hand() -> None:
    information = metrics.self_information(np.array([8, 2, 0]), n_users=8)
    assert information.tolist() == [0, 2, 4]  # an item nobody liked counts as half a like
    lists = np.array([[0, 1, 2], [2, -1, -1], [-1, -1, -1]], np.int32)
    values = metrics.novelty(lists, information, 2)
    assert values[:2].tolist() == [1, 4]
    assert math.isnan(values[2])


def test_dislike_rate_by_hand() -> None:
    assert one(metrics.dislike_rate(HITS, np.array([4]), 5)) == float(Fraction(2, 4))
    assert math.isnan(one(metrics.dislike_rate(HITS, np.array([0]), 5)))


def test_largest_group_share_by_hand() -> None:
    groups = np.array([0, 0, 1, -1, -1, 0])
    lists = np.array([[0, 1, 2, 5], [3, 4, 2, -1], [3, 4, -1, -1], [-1, -1, -1, -1]], np.int32)
    shares = metrics.largest_group_share(lists, groups, 4)
    assert shares[:3].tolist() == [
        3 / 4,
        1 / 3,
        0,
    ]  # items without a maker make the list longer, nothing else
    assert math.isnan(shares[3])


# --- slow twins -----------------------------------------------------------------------------------------


def twin(hits: list[bool], n_relevant: int, k: int) -> dict[str, float]:
    """All per-user metrics of one list, written down from their definitions."""
    if n_relevant == 0:
        return dict.fromkeys(("recall", "precision", "hit_rate", "ndcg", "average_precision"), math.nan)
    found = hits[:k]
    gain = sum(1 / math.log2(place + 2) for place, hit in enumerate(found) if hit)
    ideal = sum(1 / math.log2(place + 2) for place in range(min(k, n_relevant)))
    precisions = [sum(found[: place + 1]) / (place + 1) for place, hit in enumerate(found) if hit]
    return {
        "recall": sum(found) / n_relevant,
        "precision": sum(found) / k,
        "hit_rate": float(any(found)),
        "ndcg": gain / ideal,
        "average_precision": sum(precisions) / min(k, n_relevant),
    }


lists_of_hits = st.lists(
    st.tuples(st.lists(st.booleans(), min_size=6, max_size=6), st.integers(0, 9)), min_size=1, max_size=8
)


@settings(deadline=None)
@given(lists_of_hits, st.integers(1, 9))
def test_list_metrics_equal_their_twins(users: list[tuple[list[bool], int]], k: int) -> None:
    # a list cannot hold more relevant items than there are
    users = [(hits, 0 if extra == 9 and not any(hits) else sum(hits) + extra) for hits, extra in users]
    hits_NK, n_relevant_N = np.array([h for h, _ in users]), np.array([n for _, n in users])
    expected = [twin(hits, n, k) for hits, n in users]
    for name in expected[0]:
        values = getattr(metrics, name)(hits_NK, n_relevant_N, k)
        np.testing.assert_allclose(values, [e[name] for e in expected], atol=1e-12, err_msg=name)
        known = values[~np.isnan(values)]
        assert np.all((known >= 0) & (known <= 1 + 1e-12))


@settings(deadline=None)
@given(st.lists(st.integers(0, 20), min_size=2, max_size=12))
def test_concentration_equals_its_twin(counts: list[int]) -> None:
    total = sum(counts)
    shares = [c / total for c in counts] if total else [0.0] * len(counts)
    # the mean absolute difference of all pairs, halved and divided by the mean, with I - 1 for I
    spread = sum(abs(a - b) for a in shares for b in shares) / 2
    expected = spread / (len(counts) - 1) if total else 0.0
    assert metrics.gini(np.array(counts)) == pytest.approx(expected, abs=1e-9)
    entropy = -sum(p * math.log2(p) for p in shares if p)
    assert metrics.shannon_entropy(np.array(counts)) == pytest.approx(entropy, abs=1e-9)
    assert metrics.coverage(np.array(counts)) == sum(c > 0 for c in counts) / len(counts)


@settings(deadline=None)
@given(
    st.lists(st.sampled_from([0.0, 0.25, 0.5, 1.0]), min_size=2, max_size=10),
    st.sets(st.integers(0, 9), min_size=1),
)
def test_auc_equals_all_pairs(scores: list[float], chosen: set[int]) -> None:
    relevant = sorted(i for i in chosen if i < len(scores)) or [0]
    others = [i for i in range(len(scores)) if i not in relevant]
    above = sum(s > scores[i] for i in relevant for s in scores)
    level = sum(s == scores[i] for i in relevant for s in scores)
    value = one(
        metrics.auc(np.array([above]), np.array([level]), np.array([len(relevant)]), np.array([len(scores)]))
    )
    if not others:
        assert math.isnan(value)
        return
    wins = sum((scores[i] > scores[j]) + (scores[i] == scores[j]) / 2 for i in relevant for j in others)
    assert value == pytest.approx(wins / (len(relevant) * len(others)))


@settings(deadline=None)
@given(
    st.lists(st.lists(st.integers(-1, 5), min_size=4, max_size=4), min_size=1, max_size=5), st.integers(1, 5)
)
def test_largest_group_share_equals_its_twin(rows: list[list[int]], k: int) -> None:
    groups = [0, 0, 1, 1, -1, 2]
    values = metrics.largest_group_share(np.array(rows, np.int32), np.array(groups), k)
    for row, value in zip(rows, values, strict=True):
        top = [item for item in row[:k] if item >= 0]
        named = [groups[item] for item in top if groups[item] >= 0]
        if not top:
            assert math.isnan(value)
        else:
            assert value == max((named.count(g) for g in named), default=0) / len(top)
