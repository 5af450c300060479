"""Permutation importance on a model whose use of its features is known."""

import numpy as np
import pytest
from scipy import sparse

from trainer.errors import TrainingError
from trainer.evaluation import evaluate
from trainer.holdout import Holdout
from trainer.importance import permutation_importance


def test_what_the_model_uses_matters_and_what_it_ignores_does_not() -> None:
    generator = np.random.default_rng(0)
    kinds = generator.integers(0, 5, 100)
    features = {"kind": np.eye(5)[kinds], "colour": generator.normal(size=(100, 3))}
    taste = np.eye(5)[generator.integers(0, 5, 30)]
    relevant = sparse.csr_matrix((taste @ features["kind"].T).astype(np.float32))
    nothing = sparse.csr_matrix(relevant.shape, dtype=np.float32)
    holdout = Holdout(nothing, relevant, nothing, nothing)
    calls = []

    def metrics_of(group: str | None, order: np.ndarray | None) -> dict[str, float]:
        calls.append(group)
        used = {name: values[order] if name == group else values for name, values in features.items()}
        scores = taste @ used["kind"].T + 0 * used["colour"].sum(1)
        return evaluate("known", lambda rows: scores[rows], holdout, slices={}, resamples=5).metrics

    rows = permutation_importance({"colour": 100, "kind": 100}, metrics_of, repeats=2)
    assert [row.feature_name for row in rows] == ["kind", "colour"]
    assert rows[0].importance_score > 0.5
    assert rows[1].importance_score == 0
    assert calls == [None, "colour", "colour", "kind", "kind"]


def test_permutations_repeat_with_the_seed_and_differ_between_groups() -> None:
    seen: list[tuple[int, ...]] = []

    def metrics_of(_: str | None, order: np.ndarray | None) -> dict[str, float]:
        if order is not None:
            assert sorted(order) == list(range(50))
            seen.append(tuple(order))
        return {"ndcg@20": 1.0}

    permutation_importance({"a": 50, "b": 50}, metrics_of, repeats=2, seed=7)
    assert len(set(seen)) == 4
    first = list(seen)
    seen.clear()
    permutation_importance({"a": 50, "b": 50}, metrics_of, repeats=2, seed=7)
    assert seen == first


def test_a_metric_that_is_not_there_is_named() -> None:
    with pytest.raises(TrainingError, match=r"ndcg@20.*from auc"):
        permutation_importance({}, lambda *_: {"auc": 0.5})
