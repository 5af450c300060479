"""Whom dials and epochs are validated on: held-out likes, for the kind of people the holdout asks."""

from dataclasses import replace

import numpy as np
import pytest

from towers_world import catalogue, interactions
from trainer.held_out import held_out_rows
from trainer.mart import LIKE, TEST, TRAIN, Mart, make_mart
from trainer.validation import Validation

N_USERS, N_VIDEOS = 4000, 60


def world() -> Mart:
    """Half of the people have 3 likes, half 20; a fifth of all likes is withheld by chance."""
    rng = np.random.default_rng(0)
    rows = [
        (user, int(item), LIKE, TEST if rng.random() < 0.2 else TRAIN)
        for user in range(N_USERS)
        for item in rng.choice(N_VIDEOS, 3 if user % 2 else 20, replace=False)
    ]
    users = [f"review:{user:04d}" for user in range(N_USERS)]
    return make_mart(catalogue(N_VIDEOS), users, interactions(rows))


def validation_of(mart: Mart) -> Validation:
    rows, held = mart.interactions, held_out_rows(mart)
    return Validation.of(mart, (rows.split == TRAIN) & ~held, held, seed=0)


def share_of_few(users: np.ndarray, weights: np.ndarray) -> float:
    return float(weights[users % 2 == 1].sum() / weights.sum())


def test_people_of_few_likes_count_as_often_as_in_the_holdout() -> None:
    mart = world()
    rows, validation = mart.interactions, validation_of(mart)
    asked = np.intersect1d(rows.user_index[rows.split == TEST], rows.user_index[rows.split == TRAIN])
    in_holdout = share_of_few(asked, np.ones(len(asked)))
    unweighted = share_of_few(validation.users, np.ones(len(validation.users)))
    assert unweighted < in_holdout - 0.05  # what the weights are for
    assert share_of_few(validation.users, validation.weights) == pytest.approx(in_holdout, abs=0.02)
    assert validation.weights.mean() == pytest.approx(1)


def test_where_time_says_who_is_held_out_everybody_counts_the_same() -> None:
    mart = world()
    rows = mart.interactions
    later = np.where(rows.split == TEST, 2.0, 1.0) * 1e9 + np.arange(len(rows))
    ordered = replace(mart, interactions=replace(rows, occurred_at=later))
    assert set(validation_of(ordered).weights) == {1.0}


def test_the_mean_of_weighted_gains_is_the_ndcg() -> None:
    validation = validation_of(world())
    rng = np.random.default_rng(1)
    u, v = rng.standard_normal((len(validation.users), 8)), rng.standard_normal((N_VIDEOS, 8))
    u, v = u.astype(np.float32), v.astype(np.float32)
    plain = replace(validation, weights=np.ones(len(validation.users))).gains(u, v)
    expected = np.average(plain, weights=validation.weights)
    assert validation.ndcg(u, v) == pytest.approx(expected)
    assert validation.ndcg(u, v) != pytest.approx(plain.mean(), rel=1e-4)
