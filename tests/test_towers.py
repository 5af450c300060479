"""The towers as arithmetic, the closed form they start from, and the linear algebra under it."""

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from towers_world import catalogue, checkerboard
from trainer.factor_part import factor_part
from trainer.features import encode, fit_vocabularies
from trainer.histories import Pairs
from trainer.ials import ials
from trainer.item_tables import fill_content, write_start
from trainer.linear import leading_directions, ridge
from trainer.mart import TRAIN
from trainer.text import fit_text
from trainer.towers import TwoTowers, pool
from trainer.warm_start import Dials, Part, blend, popularity_scores, regression_part, spectrum_of, start_of


def low_rank(n: int = 300, m: int = 40, rank: int = 6) -> sp.csr_matrix:
    rng = np.random.default_rng(0)
    return sp.csr_matrix((rng.random((n, rank)) @ rng.random((rank, m)) > 1.6).astype(np.float32))


def test_leading_directions_are_those_of_the_dense_svd() -> None:
    matrix = low_rank()
    v, s = leading_directions(matrix, 5, seed=1)
    _, full, vt = np.linalg.svd(matrix.toarray(), full_matrices=False)
    assert np.allclose(s, full[:5], rtol=1e-3)
    assert np.allclose(np.abs((v * vt[:5].T).sum(axis=0)), 1, atol=1e-2)


def test_ridge_is_the_normal_equation() -> None:
    f, y = low_rank(), np.random.default_rng(1).standard_normal((300, 3)).astype(np.float32)
    dense = f.toarray()
    exact = np.linalg.solve(dense.T @ dense + 5 * np.eye(40), dense.T @ y)
    assert np.allclose(ridge(f, y, 5.0, n_iterations=80), exact, atol=1e-3)


def test_the_start_ranks_like_ease_when_nothing_is_cut_off() -> None:
    """All directions, no scaling of popularity: off its history each user's order is EASE's (Steck 2019)."""
    x = low_rank()
    spectrum = spectrum_of(x, 64, seed=0)
    assert spectrum.directions.shape[1] == 39
    penalty = 20.0
    dials = Dials(penalty=penalty / spectrum.values[-1] ** 2, score_exponent=0.2)
    start = start_of(regression_part(spectrum, dials), spectrum, dials, np.zeros(40, np.float32), 64)
    assert np.allclose(np.linalg.norm(start.embedding, axis=1), 1, atol=1e-5)
    counts = spectrum.counts
    weights = np.maximum(np.asarray(x.sum(axis=1)), 1) ** -0.25  # active users count for less
    weighted = weights * x.toarray()
    by_hand = weighted.sum(axis=0) * x.sum() / weighted.sum()
    assert np.allclose(counts, np.maximum(by_hand, 0.3))
    scaled = weighted * counts**-0.2
    inverse = np.linalg.inv(scaled.T @ scaled + penalty * np.eye(40))
    ease = -inverse / np.diag(inverse)
    expected = (x.toarray() * counts**-0.2) @ ease * counts**0.2
    found = (x @ start.history + start.bias) @ start.embedding.T
    unseen = x.toarray() == 0
    for e, f, free in zip(expected, found, unseen, strict=True):
        if 2 < free.sum() < 40:
            assert np.corrcoef(e[free], f[free])[0, 1] > 0.99


def test_a_blend_is_the_nearest_of_its_rank() -> None:
    """All coordinates: the weighted sum itself; fewer: as near as its singular values say (Eckart, Young)."""
    rng = np.random.default_rng(0)
    pooling = low_rank()
    one, other = (Part(*rng.standard_normal((2, 40, 12)).astype(np.float32)) for _ in range(2))
    users = pooling.toarray()
    singles = [users @ part.heard @ part.scored.T for part in (one, other)]
    wanted = sum(s * share / s.std(axis=1).mean() for s, share in zip(singles, (0.3, 0.7), strict=True))
    values = np.linalg.svd(wanted, compute_uv=False)
    for rank in (24, 9):
        part = blend([(one, 0.3), (other, 0.7)], pooling, rank)
        assert part.heard.shape == part.scored.shape == (40, rank)
        missed = np.linalg.norm(wanted - users @ part.heard @ part.scored.T)
        assert missed == pytest.approx(np.linalg.norm(values[rank:]), rel=1e-2, abs=1e-3 * float(values[0]))


def test_one_matrix_for_all_users_ranks_like_their_factors() -> None:
    x = low_rank()
    x = x[np.diff(x.indptr) > 0]
    dials = Dials(factor_weight=0.1, factor_reg=0.01)
    part = factor_part(x, x, dials, 8, seed=0)
    users, videos = ials(x, 8, 8, dials.factor_weight, dials.factor_reg, seed=0)
    exact, linear = users @ videos.T, x @ part.heard @ part.scored.T
    assert np.mean([np.corrcoef(e, f)[0, 1] for e, f in zip(exact, linear, strict=True)]) > 0.9


def test_the_start_in_the_towers_is_the_start() -> None:
    mart = checkerboard()
    rows = mart.interactions
    mask = (rows.label == 1) & (rows.split == TRAIN)
    x = sp.csr_matrix((np.ones(mask.sum(), np.float32), (rows.user_index[mask], rows.item_index[mask])))
    popularity = popularity_scores(rows.item_index[mask], rows.occurred_at[mask], 40, None)
    spectrum, dials = spectrum_of(x, 16, seed=0), Dials(popularity=1.0)
    start = start_of(regression_part(spectrum, dials), spectrum, dials, popularity, 16)
    vocabularies = fit_vocabularies(mart)
    features = encode(mart.catalogue, vocabularies)
    towers = TwoTowers(
        n_videos=40,
        n_categories=vocabularies.n_categories,
        n_dense=vocabularies.n_dense,
        n_aggregates=0,
        dim=16,
        hidden_units=0,
    )
    likes = Pairs(np.concatenate(([0], np.cumsum(x.getnnz(axis=1)))), x.indices, x.data)
    write_start(towers, features, start)
    fill_content(towers, features, likes)
    v, h = (tensor.detach().numpy() for tensor in towers.item(features))
    assert np.allclose(v, start.embedding, atol=1e-4)
    assert np.allclose(h, start.history, atol=1e-4)
    fresh = encode(catalogue(2, maker=["maker 1", None], video_ids=["x", "y"]), vocabularies)
    near = (towers.item(fresh)[1].detach().numpy() @ h.T)[0]
    assert near.reshape(-1, 4).mean(axis=0).argmax() == 1


def test_pooling_by_hand() -> None:
    h = torch.tensor([[1.0, 0.0], [0.0, 2.0], [5.0, 5.0]])
    pooled = pool(h, torch.tensor([0, 1]), torch.tensor([0, 2]), torch.tensor([1.0, 3.0]), exponent=0.5)
    assert torch.allclose(pooled, torch.tensor([[0.5, 3.0], [0.0, 0.0]]))


def test_recent_likes_make_recent_popularity() -> None:
    items, times = np.array([0, 0, 0, 1, 1]), np.array([0.0, 0.0, 0.0, 86_400.0 * 60, 86_400.0 * 60])
    assert popularity_scores(items, times, 3, None).argmax() == 0
    assert popularity_scores(items, times, 3, 30.0).argmax() == 1


def test_text_of_one_kind_lies_together_in_any_script() -> None:
    texts = [f"夏の海で泳ぐ物語 第{i}話" for i in range(40)] + [
        f"a winter mountain story, part {i}" for i in range(40)
    ]
    encoder = fit_text(texts)
    assert encoder is not None
    vectors = encoder.encode([*texts, "海で泳ぐ夏", "Winter in the MOUNTAINS", ""])
    vectors = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
    likeness = vectors[80:82] @ vectors[:80].T
    assert likeness[0, :40].mean() > likeness[0, 40:].mean() + 0.1
    assert likeness[1, 40:].mean() > likeness[1, :40].mean() + 0.1
    assert (vectors[82] == 0).all()
