"""Features come from the training split only, survive a file, and take what a catalogue throws at them."""

import json

import numpy as np
import pytest
import torch

from towers_world import catalogue, interactions
from trainer.errors import ModelMismatchError
from trainer.features import Vocabularies, encode, fit_vocabularies, groups_of, shuffled
from trainer.mart import make_mart

TITLES = [f"夏の思い出 {i} 日本語のタイトル number {i % 7}" for i in range(80)]


def mart_with_content():
    n = 80
    makers = [f"m{i % 3}" if i != 5 else None for i in range(n)]
    makers[79] = makers[78] = "only in test"
    price = np.linspace(100, 5000, n)
    price[3] = np.nan
    price[4] = np.inf
    rows = [(u, i, 1, 0) for u in range(4) for i in range(70)] + [
        (u, i, 1, 2) for u in range(4) for i in (78, 79)
    ]
    tags = [["a", "b"] if i % 2 else ["a"] for i in range(n)]
    columns = {"maker": makers, "price": price, "tags": tags, "title": [*TITLES[:-1], ""]}
    return make_mart(catalogue(n, **columns), [f"review:{u}" for u in range(4)], interactions(rows))


def test_nothing_of_the_test_split_is_in_a_vocabulary() -> None:
    vocabularies = fit_vocabularies(mart_with_content())
    assert "only in test" not in vocabularies.categories["maker"]
    assert len(vocabularies.videos) == 70
    mean, _ = vocabularies.numbers["log_price"]
    price = np.linspace(100, 5000, 80)[:70]
    assert mean == pytest.approx(np.log1p(np.delete(price, [3, 4])).mean())


def test_missing_and_broken_values_become_unknown() -> None:
    mart = mart_with_content()
    vocabularies = fit_vocabularies(mart)
    features = encode(mart.catalogue, vocabularies)
    assert torch.isfinite(features.dense).all()
    assert features.dense[3, :2].tolist() == features.dense[4, :2].tolist() == [0.0, 0.0]
    assert features.id_index[79] == 0
    assert features.id_index[:70].tolist() == list(range(1, 71))
    weights = features.category_weight[1]
    assert weights[weights > 0].tolist() == pytest.approx([1.0, 0.5, 0.5])
    text = features.dense[:, 2 * len(vocabularies.numbers) :]
    assert (text[79] == 0).all()
    assert (text[78] != 0).any()


def test_vocabularies_survive_their_file() -> None:
    mart = mart_with_content()
    vocabularies = fit_vocabularies(mart)
    again = Vocabularies.from_json(json.loads(json.dumps(vocabularies.to_json())))
    for one, other in zip(
        encode(mart.catalogue, vocabularies).__dict__.values(),
        encode(mart.catalogue, again).__dict__.values(),
        strict=True,
    ):
        assert torch.equal(one, other)
    with pytest.raises(ModelMismatchError, match="numbers"):
        Vocabularies.from_json({"videos": [], "categories": {}, "text": None})


def test_a_catalogue_of_ids_alone_has_no_content() -> None:
    rows = [(0, 0, 1, 0), (1, 1, 1, 0)]
    mart = make_mart(catalogue(2), ["review:a", "review:b"], interactions(rows))
    vocabularies = fit_vocabularies(mart)
    assert groups_of(vocabularies) == ["id"]
    assert encode(mart.catalogue, vocabularies).dense.shape == (2, 0)


def test_shuffling_a_group_leaves_the_others() -> None:
    mart = mart_with_content()
    vocabularies = fit_vocabularies(mart)
    features = encode(mart.catalogue, vocabularies)
    order = torch.arange(79, -1, -1)
    for group in groups_of(vocabularies):
        moved = shuffled(features, vocabularies, group, order)
        changed = [n for n in features.__dict__ if not torch.equal(getattr(moved, n), getattr(features, n))]
        expected = {"id": ["id_index"]}.get(
            group, ["category_index"] if group in vocabularies.categories else ["dense"]
        )
        assert set(changed) - {"category_weight"} == set(expected), group
