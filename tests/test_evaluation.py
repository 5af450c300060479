"""Evaluation against a slow twin that sorts every list in Python; blocks, ties, slices and intervals."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from trainer import ranking
from trainer.bootstrap import intervals
from trainer.errors import TrainingError
from trainer.evaluation import evaluate
from trainer.holdout import Holdout, Slice, default_slices, split_matrices, tail_items
from trainer.ranking import rank, top_k


def matrix(rows: list[list[int]], n_items: int) -> sparse.csr_matrix:
    starts = np.cumsum([0] + [len(row) for row in rows])
    items = np.array([item for row in rows for item in row], np.int32)
    return sparse.csr_matrix((np.ones(len(items), np.float32), items, starts), shape=(len(rows), n_items))


def best(scores: np.ndarray, seen: list[int], k: int) -> list[int]:
    """The slow twin of a list: sorted by score, then index; -1 to fill it up."""
    order = sorted((i for i in range(len(scores)) if i not in seen), key=lambda i: (-scores[i], i))
    return (order + [-1] * k)[:k]


def random_holdout(seed: int, n_users: int = 40, n_items: int = 60) -> tuple[Holdout, np.ndarray]:
    generator = np.random.default_rng(seed)
    seen, relevant, disliked, train = [], [], [], []
    for _ in range(n_users):
        items = generator.permutation(n_items)
        n_seen, n_relevant, n_disliked = generator.integers(0, [8, 6, 4])
        seen.append(sorted(items[:n_seen].tolist()))
        train.append(sorted(items[: n_seen // 2].tolist()))
        relevant.append(sorted(items[n_seen : n_seen + n_relevant].tolist()))
        disliked.append(sorted(items[n_seen + n_relevant : n_seen + n_relevant + n_disliked].tolist()))
    holdout = Holdout(
        seen=matrix(seen, n_items),
        relevant=matrix(relevant, n_items),
        disliked=matrix(disliked, n_items),
        train=matrix(train, n_items),
        makers=generator.integers(-1, 4, n_items),
        maker_names=["a", "b", "c", "d"],
    )
    # few values, so that ties are everywhere
    return holdout, generator.integers(0, 12, (n_users, n_items)).astype(np.float32)


# --- lists ----------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**32 - 1), st.integers(1, 300), st.integers(1, 60), st.integers(1, 5))
def test_top_k_equals_a_sort_with_ties_by_index(seed: int, n_items: int, k: int, n_values: int) -> None:
    generator = np.random.default_rng(seed)
    scores = generator.integers(0, n_values * 20, (3, n_items)).astype(np.float32)
    hidden = generator.random((3, n_items)) < 0.3
    masked = np.where(hidden, -np.inf, scores).astype(np.float32)
    expected = [best(scores[row], np.flatnonzero(hidden[row]).tolist(), k) for row in range(3)]
    assert top_k(masked, k).tolist() == expected


def test_a_list_ends_where_the_candidates_end() -> None:
    scores = np.array([[1.0, -np.inf, 3.0], [-np.inf] * 3], np.float32)
    assert top_k(scores, 5).tolist() == [[2, 0, -1, -1, -1], [-1] * 5]


def test_constant_scores_rank_by_index() -> None:
    assert top_k(np.zeros((2, 1_000), np.float32), 3).tolist() == [[0, 1, 2], [0, 1, 2]]


def test_the_size_of_a_block_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    holdout, scores = random_holdout(1)
    users = np.arange(40)
    whole = rank(lambda rows: scores[rows], users, holdout.seen, holdout.relevant, 10)
    monkeypatch.setattr(ranking, "BLOCK_SCORES", 60 * 7)  # seven users at a time
    blocked = rank(lambda rows: scores[rows], users, holdout.seen, holdout.relevant, 10)
    for name in ("lists", "above", "level", "n_candidates"):
        np.testing.assert_array_equal(getattr(whole, name), getattr(blocked, name))


def test_vectors_score_by_their_dot_product() -> None:
    holdout, _ = random_holdout(2)
    generator = np.random.default_rng(0)
    users = generator.normal(size=(40, 8)).astype(np.float32)
    items = generator.normal(size=(60, 8)).astype(np.float32)
    by_vectors = evaluate("vectors", (users, items), holdout, slices={}, resamples=10)
    by_block = evaluate("block", lambda rows: users[rows] @ items.T, holdout, slices={}, resamples=10)
    np.testing.assert_array_equal(by_vectors.lists, by_block.lists)


def test_a_scorer_is_not_changed_by_what_it_hid() -> None:
    """Masking happens in place: scores of the caller that survive a call would leak -inf into the next."""
    holdout, scores = random_holdout(3)
    before = scores.copy()
    evaluate("copying", lambda rows: scores[rows], holdout, slices={}, resamples=10)
    np.testing.assert_array_equal(scores, before)


# --- the whole evaluation -------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_evaluation_equals_its_slow_twin(seed: int) -> None:
    holdout, scores = random_holdout(seed)
    result = evaluate("twin", lambda rows: scores[rows], holdout, ks=(5, 70), resamples=10)
    users = [u for u in range(40) if holdout.relevant[u].nnz + holdout.disliked[u].nnz]
    assert result.user_rows.tolist() == users
    recalls, aucs, dislikes, recommended = [], [], [], set()
    for position, user in enumerate(users):
        seen = holdout.seen[user].indices.tolist()
        relevant = set(holdout.relevant[user].indices.tolist())
        disliked = set(holdout.disliked[user].indices.tolist())
        expected = best(scores[user], seen, 5)
        assert result.lists[position, :5].tolist() == expected
        recommended |= set(expected)
        if relevant:
            recalls.append(len(relevant & set(expected)) / len(relevant))
            rest = [i for i in range(60) if i not in seen and i not in relevant]
            wins = sum(
                (scores[user, r] > scores[user, i]) + (scores[user, r] == scores[user, i]) / 2
                for r in relevant
                for i in rest
            )
            aucs.append(wins / (len(relevant) * len(rest)))
            assert result.per_user["auc"][position] == pytest.approx(aucs[-1])
        else:
            assert math.isnan(result.per_user["recall@5"][position])
        if disliked:
            dislikes.append(len(disliked & set(expected)) / len(disliked))
    assert result.metrics["recall@5"] == pytest.approx(np.mean(recalls))
    assert result.metrics["auc"] == pytest.approx(np.mean(aucs))
    assert result.metrics["dislike@5"] == pytest.approx(np.mean(dislikes))
    assert result.metrics["coverage@5"] == len(recommended) / 60
    assert result.n_users("recall@5") == len(recalls)
    assert result.n_users("dislike@5") == len(dislikes)
    assert result.metrics["recall@70"] == 1  # K above the candidates: everything is found


def test_a_perfect_model_scores_one_and_its_mirror_image_nothing() -> None:
    holdout, _ = random_holdout(4)
    truth = holdout.relevant.toarray()
    right = evaluate("oracle", lambda rows: truth[rows], holdout, resamples=10).metrics
    wrong = evaluate("mirror", lambda rows: -truth[rows], holdout, resamples=10).metrics
    for metric in ("recall@10", "ndcg@10", "map@10", "hit_rate@10", "auc"):
        assert right[metric] == pytest.approx(1)
    assert wrong["auc"] == pytest.approx(0)
    assert wrong["recall@10"] == 0


def test_rows_for_the_registry_name_everything_once() -> None:
    holdout, scores = random_holdout(5)
    result = evaluate("towers", lambda rows: scores[rows], holdout, resamples=50)
    rows = result.rows("test")
    assert len({(row.slice, row.metric) for row in rows}) == len(rows)
    recall = next(row for row in rows if row.slice == "all" and row.metric == "recall@20")
    assert (recall.model_name, recall.split) == ("towers", "test")
    assert recall.low is not None and recall.high is not None
    assert recall.low <= recall.value <= recall.high
    gini = next(row for row in rows if row.slice == "all" and row.metric == "gini@20")
    assert gini.low is None
    assert gini.n_users == len(result.user_rows)
    assert not any(math.isnan(row.value) for row in rows)


@pytest.mark.parametrize(
    ("scores", "fact"),
    [
        (np.full((40, 60), np.nan), "NaN or infinite"),
        (np.full((40, 60), np.inf), "NaN or infinite"),
        (np.zeros((40, 59)), "59"),
    ],
)
def test_scores_that_do_not_fit_stop_at_the_door(scores: np.ndarray, fact: str) -> None:
    holdout, _ = random_holdout(6)
    with pytest.raises(TrainingError, match=fact):
        evaluate("broken", lambda rows: scores[rows].astype(np.float32), holdout)


def test_vectors_of_two_models_stop_at_the_door() -> None:
    holdout, _ = random_holdout(6)
    with pytest.raises(TrainingError, match="8 dimensions, item vectors 9"):
        evaluate("mixed", (np.zeros((40, 8), np.float32), np.zeros((60, 9), np.float32)), holdout)


# --- the holdout and its slices -------------------------------------------------------------------------


def test_a_leaked_answer_stops_at_the_door() -> None:
    with pytest.raises(TrainingError, match="1 likes of the holdout were seen"):
        Holdout(matrix([[0, 1]], 3), matrix([[1, 2]], 3), matrix([[]], 3), matrix([[0]], 3))


def test_a_holdout_without_likes_stops_at_the_door() -> None:
    with pytest.raises(TrainingError, match="no likes"):
        Holdout(matrix([[0]], 3), matrix([[]], 3), matrix([[2]], 3), matrix([[0]], 3))


def test_split_matrices_keep_every_row_where_it_belongs() -> None:
    #        train like, train dislike, seen only, test like, test dislike, val like (left out)
    user = np.array([0, 0, 0, 0, 0, 0], np.int32)
    item = np.array([0, 1, 2, 3, 4, 5], np.int32)
    holdout = split_matrices(
        (1, 6),
        user,
        item,
        label=np.array([1, 0, -1, 1, 0, 1], np.int8),
        held_out=np.array([0, 0, 0, 1, 1, 0], bool),
        in_training=np.array([1, 1, 1, 0, 0, 0], bool),
        makers=["x", None, "", "x", "y", "x"],
    )
    assert holdout.train.indices.tolist() == [0]
    assert holdout.seen.indices.tolist() == [0, 1, 2]
    assert holdout.relevant.indices.tolist() == [3]
    assert holdout.disliked.indices.tolist() == [4]
    assert holdout.makers is not None
    assert holdout.makers.tolist() == [0, -1, -1, 0, 1, 0]
    assert "maker: x" in default_slices(holdout)


def test_the_tail_is_the_least_popular_fifth_of_the_likes() -> None:
    # likes 50, 30, 12, 6, 2, 0: the last four hold 20 of 100
    assert tail_items(np.array([50, 30, 12, 6, 2, 0])).tolist() == [False, False, True, True, True, True]


def test_an_item_slice_asks_for_its_items_only_and_ranks_them_all() -> None:
    holdout, scores = random_holdout(7)
    wanted = np.arange(60) < 20
    result = evaluate(
        "sliced", lambda rows: scores[rows], holdout, slices={"first": Slice(items=wanted)}, resamples=10
    ).slices["first"]
    recalls = []
    for user in range(40):
        relevant = {i for i in holdout.relevant[user].indices.tolist() if i < 20}
        if relevant:
            listed = best(scores[user], holdout.seen[user].indices.tolist(), 10)
            recalls.append(len(relevant & set(listed)) / len(relevant))
    assert result.metrics["recall@10"] == pytest.approx(np.mean(recalls))
    assert result.n_users("recall@10") == len(recalls)


def test_user_slices_partition_the_users() -> None:
    holdout, scores = random_holdout(8)
    result = evaluate("sliced", lambda rows: scores[rows], holdout, resamples=10)
    parts = [part for name, part in result.slices.items() if name.startswith("users:")]
    assert sum(part.n_users("recall@10") for part in parts) == result.n_users("recall@10")
    weighted = sum(part.metrics["recall@10"] * part.n_users("recall@10") for part in parts)
    assert weighted / result.n_users("recall@10") == pytest.approx(result.metrics["recall@10"])


# --- how sure -------------------------------------------------------------------------------------------


def test_the_interval_is_the_textbook_one_for_many_users() -> None:
    values = np.random.default_rng(0).normal(3, 2, 4_000)
    low, high = intervals(values[:, None], seed=1)
    half = 1.96 * values.std() / math.sqrt(4_000)
    assert low[0] == pytest.approx(values.mean() - half, abs=half / 5)
    assert high[0] == pytest.approx(values.mean() + half, abs=half / 5)


def test_intervals_skip_users_without_a_value_and_repeat_with_the_seed() -> None:
    values = np.array([[1.0, np.nan], [2.0, np.nan], [np.nan, np.nan], [4.0, np.nan]])
    low, high = intervals(values, seed=3)
    assert 1 <= low[0] < high[0] <= 4
    assert math.isnan(low[1]) and math.isnan(high[1])
    again = intervals(values, seed=3)
    assert (again[0][0], again[1][0]) == (low[0], high[0])
    assert intervals(values, seed=4, resamples=50)[0][0] != intervals(values, seed=5, resamples=50)[0][0]


def test_pairing_sees_a_small_difference_that_two_intervals_hide() -> None:
    generator = np.random.default_rng(0)
    champion = generator.random(500)
    challenger = champion + generator.normal(0.005, 0.02, 500)
    low, _ = intervals((challenger - champion)[:, None])
    assert low[0] > 0
    apart = intervals(np.stack([champion, challenger], axis=1))
    assert apart[0][1] < apart[1][0]  # the two intervals overlap


def test_evaluation_repeats_exactly() -> None:
    holdout, _ = random_holdout(10)
    vectors = torch.randn(40, 8).numpy(), torch.randn(60, 8).numpy()
    first, second = (evaluate("same", vectors, holdout, resamples=50) for _ in range(2))
    assert first.rows("val") == second.rows("val")
