"""Baselines on worlds whose answer is known, and against the textbook formula done densely in float64."""

import math
import sys
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from scipy import sparse

from trainer.baselines import (
    NAMES,
    ease,
    fit_baselines,
    item_knn,
    matrix_factors,
    popularity,
    recent_popularity,
)
from trainer.errors import TrainingError
from trainer.evaluation import evaluate
from trainer.holdout import Holdout
from trainer.ials import fold_in, ials, ials_loss
from trainer.ranking import block_scorer

DAY = 86_400.0


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Worlds this small gain nothing from a second thread, and wait for it when the machine is busy."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def random_likes(n_users: int, n_items: int, seed: int = 0, density: float = 0.2) -> sparse.csr_matrix:
    dense = np.random.default_rng(seed).random((n_users, n_items)) < density
    return sparse.csr_matrix(dense.astype(np.float32))


def checkerboard(side: int = 40) -> Holdout:
    """User u likes the videos of its own colour; one of them, on the diagonal, is withheld."""
    colour = (np.arange(side)[:, None] + np.arange(side)) % 2 == 0
    diagonal = np.eye(side, dtype=bool)
    likes = sparse.csr_matrix((colour & ~diagonal).astype(np.float32))
    withheld = sparse.csr_matrix(diagonal.astype(np.float32))
    return Holdout(likes, withheld, sparse.csr_matrix((side, side), dtype=np.float32), likes)


def scores(baseline, rows: list[int]) -> np.ndarray:
    return np.asarray(block_scorer(baseline.scorer)(np.array(rows)))


@pytest.mark.parametrize(
    "fit",
    [
        lambda likes: item_knn(likes, neighbours=40, shrinkage=1.0),
        lambda likes: ease(likes, reg=1.0),
        lambda likes: matrix_factors(likes, factors=4, alpha=0.1, reg=0.02),
    ],
    ids=["item_knn", "ease", "ials"],
)
def test_the_withheld_diagonal_comes_first(fit) -> None:
    world = checkerboard()
    result = evaluate("checkerboard", fit(world.train).scorer, world, slices={}, resamples=10)
    assert result.metrics["ndcg@10"] == 1
    blind = evaluate("popularity", popularity(world.train).scorer, world, slices={}, resamples=10)
    assert blind.metrics["ndcg@10"] < 0.5


# --- popularity -----------------------------------------------------------------------------------------


def test_popularity_is_the_number_of_likes() -> None:
    likes = sparse.csr_matrix(np.array([[1, 1, 0], [1, 0, 0]], np.float32))
    assert scores(popularity(likes), [1, 0]).tolist() == [[2, 1, 0], [2, 1, 0]]


def dated(likes: sparse.csr_matrix, times: list[float]) -> sparse.csr_matrix:
    return sparse.csr_matrix((np.array(times), likes.indices, likes.indptr), shape=likes.shape)


def test_recent_likes_weigh_more() -> None:
    likes = sparse.csr_matrix(np.array([[1, 1], [1, 0]], np.float32))
    # item 0 twice, 20 and 10 days before the newest like, which is item 1's: 1/4 + 1/2 against 1
    times = dated(likes, [0.0, 20 * DAY, 10 * DAY])
    assert scores(recent_popularity(likes, times, 10.0), [0])[0].tolist() == [0.75, 1.0]
    # an undated like weighs the mean of the dated ones
    times = dated(likes, [math.nan, 20 * DAY, 10 * DAY])
    assert scores(recent_popularity(likes, times, 10.0), [0])[0].tolist() == [1.25, 1.0]


def test_without_times_recency_is_popularity_and_says_so() -> None:
    likes = sparse.csr_matrix(np.array([[1, 1], [1, 0]], np.float32))
    for times in (None, dated(likes, [math.nan, math.nan, 5.0])):
        fallback = recent_popularity(likes, times, 10.0)
        assert fallback.settings == {"half_life_days": math.inf}
        assert scores(fallback, [0])[0].tolist() == [2, 1]


# --- item-kNN and EASE ----------------------------------------------------------------------------------


def test_item_knn_equals_the_formula() -> None:
    likes = random_likes(30, 20, seed=1)
    X = likes.toarray().astype(np.float64)
    together, n = X.T @ X, X.sum(0)
    similar = together / (np.sqrt(np.outer(n, n)) + 5.0)
    np.fill_diagonal(similar, 0)
    for j in range(20):  # only the four nearest of each column, the lower index first
        order = sorted(range(20), key=lambda i: (-np.float32(similar[i, j]), i))
        similar[order[4:], j] = 0
    got = scores(item_knn(likes, neighbours=4, shrinkage=5.0), list(range(30)))
    np.testing.assert_allclose(got, X @ similar, atol=1e-5)


def test_item_knn_takes_items_nobody_likes() -> None:
    likes = sparse.csr_matrix(np.array([[1, 0, 1], [1, 0, 1]], np.float32))
    got = scores(item_knn(likes, neighbours=5, shrinkage=0.0), [0])
    np.testing.assert_allclose(got, [[1, 0, 1]], atol=1e-6)


@pytest.mark.parametrize(("n_users", "n_items"), [(60, 25), (25, 60)], ids=["by items", "by users"])
def test_ease_equals_the_formula_from_either_side(n_users: int, n_items: int) -> None:
    likes = random_likes(n_users, n_items, seed=2)
    X = likes.toarray().astype(np.float64)
    P = np.linalg.inv(X.T @ X + 10 * np.eye(n_items))
    B = -P / np.diag(P)  # B_ij = -P_ij / P_jj: columns are divided
    np.fill_diagonal(B, 0)
    got = scores(ease(likes, reg=10.0), list(range(n_users)))
    np.testing.assert_allclose(got, X @ B, atol=2e-5)
    assert np.abs(X @ B - X @ B.T).max() > 0.05  # the transposed matrix, a known mistake, would be seen


def test_ease_minimises_its_own_loss() -> None:
    """Any small change of a column off its diagonal makes the ridge loss larger."""
    likes = random_likes(50, 12, seed=3)
    X = likes.toarray().astype(np.float64)
    B = np.linalg.lstsq(X, scores(ease(likes, reg=5.0), list(range(50))), rcond=None)[0]

    def loss(weights: np.ndarray) -> float:
        return float(((X - X @ weights) ** 2).sum() + 5.0 * (weights**2).sum())

    generator = np.random.default_rng(0)
    for _ in range(20):
        change = generator.normal(0, 1e-2, B.shape)
        np.fill_diagonal(change, 0)
        assert loss(B + change) > loss(B)


def test_ease_says_why_it_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    # by sys.modules: the package's attribute of this name is the function
    monkeypatch.setattr(sys.modules["trainer.baselines.ease"], "LARGEST_SIDE", 10)
    with pytest.raises(TrainingError, match="11 x 11 inverse, above the 10"):
        ease(random_likes(12, 11))
    assert ease(random_likes(12, 10)).name == "ease"
    refused = next(iter(fit_baselines(random_likes(12, 11), names=["ease"])))
    assert refused.baseline is None
    assert "inverse" in refused.note


# --- iALS -----------------------------------------------------------------------------------------------


def exact_als(likes: np.ndarray, y: np.ndarray, rounds: int, alpha: float, reg: float) -> np.ndarray:
    """Scores after alternating exact solves in float64, one dense system per row, from item factors `y`."""

    def solve(rows: np.ndarray, other: np.ndarray) -> np.ndarray:
        gram = alpha * other.T @ other
        solved = np.zeros((len(rows), other.shape[1]))
        for u, row in enumerate(rows):
            liked = other[row > 0]
            ridge = reg * ((row > 0).sum() + alpha * len(other))
            if len(liked):
                system = gram + liked.T @ liked + ridge * np.eye(other.shape[1])
                solved[u] = np.linalg.solve(system, liked.sum(0))
        return solved

    for _ in range(rounds):
        x = solve(likes, y)
        y = solve(likes.T, x)
    return solve(likes, y) @ y.T


def test_ials_arrives_where_exact_als_does() -> None:
    likes = random_likes(50, 30, seed=4)
    x, y = ials(likes, factors=6, iterations=300, alpha=0.2, reg=0.02, seed=1)
    expected = exact_als(likes.toarray(), y.astype(np.float64), 1, 0.2, 0.02)
    np.testing.assert_allclose(
        x @ y.T, expected, atol=2e-3
    )  # a fixed point: one exact round does not move it


def test_many_steps_are_the_exact_solution() -> None:
    """With the item factors fixed, conjugate gradients in the eigenbasis solve the dense system."""
    likes = random_likes(40, 30, seed=5)
    y = np.random.default_rng(0).normal(0, 0.5, (30, 6)).astype(np.float32)
    expected = exact_als(likes.toarray(), y.astype(np.float64), 0, 0.1, 0.01)
    np.testing.assert_allclose(fold_in(y, likes, alpha=0.1, reg=0.01) @ y.T, expected, atol=1e-4)


def test_the_loss_falls_with_every_iteration() -> None:
    likes = random_likes(80, 50, seed=6)
    losses = [
        ials_loss(likes, *ials(likes, factors=8, iterations=n, alpha=0.1, reg=0.01), alpha=0.1, reg=0.01)
        for n in range(1, 8)
    ]
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < losses[0] < likes.nnz


def test_the_loss_is_the_one_in_the_docstring() -> None:
    likes = random_likes(7, 5, seed=7, density=0.4)
    x, y = np.random.default_rng(1).normal(size=(7, 3)), np.random.default_rng(2).normal(size=(5, 3))
    dense, s = likes.toarray(), x @ y.T
    expected = (dense * (s - 1) ** 2).sum() + 0.3 * (s**2).sum()
    expected += sum(0.1 * (dense[u].sum() + 0.3 * 5) * (x[u] ** 2).sum() for u in range(7))
    expected += sum(0.1 * (dense[:, i].sum() + 0.3 * 7) * (y[i] ** 2).sum() for i in range(5))
    assert ials_loss(likes, x, y, alpha=0.3, reg=0.1) == pytest.approx(expected)


def test_confidence_pulls_a_pair_towards_one() -> None:
    likes = random_likes(40, 30, seed=8)
    row, column = 0, int(likes.indices[0])
    sure = likes.copy()
    sure.data[0] = 50
    plain, pulled = (np.matmul(*_pair(ials(m, factors=4, alpha=0.5, reg=0.02))) for m in (likes, sure))
    assert abs(pulled[row, column] - 1) < abs(plain[row, column] - 1)


def _pair(factors: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    return factors[0], factors[1].T


def test_factors_repeat_with_the_seed_and_blocks_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    likes = random_likes(60, 40, seed=9)
    first, second = ials(likes, factors=8, seed=3), ials(likes, factors=8, seed=3)
    np.testing.assert_array_equal(first[0], second[0])
    assert not np.array_equal(first[0], ials(likes, factors=8, seed=4)[0])
    monkeypatch.setattr("trainer.ials.BLOCK_ROWS", 7)
    blocked = ials(likes, factors=8, seed=3)
    np.testing.assert_allclose(blocked[0] @ blocked[1].T, first[0] @ first[1].T, atol=1e-4)


def test_rows_without_likes_have_no_factors() -> None:
    likes = sparse.csr_matrix(np.array([[1, 0, 1], [0, 0, 0]], np.float32))
    x, y = ials(likes, factors=2)
    assert not x[1].any() and not y[1].any()
    assert x[0].any()


@pytest.mark.parametrize("value", [0.0, -1.0, math.nan, math.inf])
def test_confidences_must_be_positive(value: float) -> None:
    likes = random_likes(5, 5, seed=10)
    likes.data[0] = value
    with pytest.raises(TrainingError, match="confidence"):
        ials(likes, factors=2)


def test_nothing_to_learn_from_stops_at_the_door() -> None:
    with pytest.raises(TrainingError, match="no interactions"):
        ials(sparse.csr_matrix((3, 3), dtype=np.float32), factors=2)


# --- all of them ----------------------------------------------------------------------------------------


def test_every_baseline_is_fitted_tuned_and_timed() -> None:
    world = checkerboard(24)
    times = world.train.copy()
    times.data = np.linspace(0, 100 * DAY, times.nnz)
    fitted = list(fit_baselines(world.train, times))
    assert tuple(f.name for f in fitted) == NAMES
    for one in fitted:
        assert one.baseline is not None, one.note
        assert one.fit_seconds >= 0
        assert scores(one.baseline, [0, 5]).shape == (2, 24)


def test_tuning_takes_the_better_settings() -> None:
    """Two worlds of opposite half-lives: liked next is what was liked lately, or what always was."""
    generator = np.random.default_rng(0)
    n_users, n_days = 600, 300
    times = generator.uniform(0, n_days, (n_users, 2))
    fashion = np.clip(times // 5 + generator.integers(0, 2, times.shape), 0, 60).astype(int)
    habit = generator.choice(61, times.shape, p=np.arange(61, 0, -1) / np.arange(62).sum())
    chosen = {}
    for name, item in (("fashion", fashion), ("habit", habit)):
        item[:, 1] = np.where(item[:, 1] == item[:, 0], (item[:, 1] + 1) % 61, item[:, 1])
        at = sparse.csr_matrix(
            ((times * DAY).ravel() + 1, (np.repeat(np.arange(n_users), 2), item.ravel())), (n_users, 61)
        )
        likes = at.copy()
        likes.data = np.ones_like(likes.data, dtype=np.float32)
        (one,) = fit_baselines(likes, at, names=["recent_popularity"])
        assert one.baseline is not None
        chosen[name] = one.baseline.settings["half_life_days"]
    assert chosen["fashion"] == 7
    assert chosen["habit"] > 7


def test_an_unknown_baseline_is_named() -> None:
    with pytest.raises(TrainingError, match="no baseline 'magic'"):
        list(fit_baselines(random_likes(3, 3), names=["magic"]))
