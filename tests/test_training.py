"""Training finds what is known to be there, the same each time, and stops at what it cannot use."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from towers_world import catalogue, checkerboard, interactions
from trainer.errors import MartError, ModelMismatchError, TrainingError, UsageError
from trainer.held_out import held_out_rows, holdout_shape
from trainer.histories import AggregateTable, Histories, HistoryConfig, Pairs, build_histories, pairs_of
from trainer.mart import LIKE, TEST, TRAIN, Mart, make_mart
from trainer.start_maker import Chosen
from trainer.trained import TrainedModel, load_model
from trainer.training import TrainingConfig, fit

# one thread: on a busy machine threads wait for each other longer than these small products take
torch.set_num_threads(1)

SMALL = TrainingConfig(embedding_dim=16, epochs=2, batch_size=512)


@pytest.fixture(scope="module")
def world() -> Mart:
    return checkerboard()


@pytest.fixture(scope="module")
def model(world: Mart) -> TrainedModel:
    return fit(world, SMALL)


def withheld_ranks(model: TrainedModel, mart: Mart) -> np.ndarray:
    """The rank of each withheld like among the videos its user has not liked in training, from 0."""
    v, h = model.item_vectors()
    scores = model.user_vectors(model.histories(mart, "train"), h) @ v.T
    rows = mart.interactions
    known = (rows.label == LIKE) & (rows.split == TRAIN)
    scores[rows.user_index[known], rows.item_index[known]] = -np.inf
    held = rows.split == TEST
    users, items = rows.user_index[held], rows.item_index[held]
    return (scores[users] > scores[users, items][:, None]).sum(axis=1)


def test_withheld_likes_come_back_on_top(world: Mart, model: TrainedModel) -> None:
    assert (withheld_ranks(model, world) <= 2).mean() > 0.9  # at random: .1


@pytest.mark.parametrize("dials", [
    {"loss": "bce"},
    {"loss": "hinge", "negatives": "random=0.6,hard=0.3,popular=0.1", "n_negatives": 64},
    {"exact_candidates": 10, "n_negatives": 64},
    {"hidden_units": 8},
    {"precision": "bfloat16"},
])  # fmt: skip
def test_every_way_of_training_learns_the_world(world: Mart, dials: dict) -> None:
    """From a random start: the closed form knows this world before the first step."""
    learning = replace(SMALL, start="random", lr=0.02, epochs=12, patience=12)
    assert (withheld_ranks(fit(world, replace(learning, **dials)), world) <= 2).mean() > 0.8


def test_a_seed_is_a_result(world: Mart, model: TrainedModel) -> None:
    again = fit(world, SMALL)
    for name, tensor in model.towers.state_dict().items():
        assert torch.equal(tensor, again.towers.state_dict()[name]), name
    assert [r.val_ndcg for r in again.curve] == [r.val_ndcg for r in model.curve]


def test_dials_once_chosen_make_the_same_start(world: Mart, model: TrainedModel) -> None:
    chosen = Chosen.from_plain(json.loads(json.dumps(model.config["start_dials"])))
    start = fit(world, SMALL, chosen=chosen).item_vectors()[0]
    assert np.array_equal(start, model.item_vectors()[0])
    other = replace(chosen, dials=replace(chosen.dials, penalty=100.0, scaling=(0.5, 0.5)))
    assert not np.array_equal(fit(world, SMALL, chosen=other).item_vectors()[0], start)


def test_vectors_have_unit_length_and_the_rows_for_sql_make_them(world: Mart, model: TrainedModel) -> None:
    v, h = model.item_vectors()
    histories = model.histories(world, "train")
    u = model.user_vectors(histories, h)
    assert np.allclose(np.linalg.norm(v, axis=1), 1, atol=1e-5)
    rows = [row for row in model.user_tower_rows() if row[0] == "skip"]
    weights, bias = np.array([row[2] for row in rows]), np.array([row[3] for row in rows])
    liked, disliked = (pairs.take(np.array([7])) for pairs in (histories.likes, histories.dislikes))
    exponent = model.history.pooling_exponent
    p, q = (
        (h[pairs.items] * pairs.weights[:, None]).sum(axis=0) / max(pairs.weights.sum(), 1e-6) ** exponent
        for pairs in (liked, disliked)
    )
    by_hand = weights @ np.concatenate([p, q, histories.aggregates[7]]) + bias
    assert np.allclose(by_hand / np.linalg.norm(by_hand), u[7], atol=1e-5)


def test_a_model_survives_its_file_and_refuses_another_ones(world: Mart, model: TrainedModel) -> None:
    again = load_model(model.state(), world.catalogue)
    assert np.array_equal(again.item_vectors()[0], model.item_vectors()[0])
    other = model.state()
    other["vocabularies"] = {**other["vocabularies"], "videos": other["vocabularies"]["videos"][:-1]}
    with pytest.raises(ModelMismatchError, match="n_videos: the weights have 40, the vocabularies 39"):
        load_model(other, world.catalogue)
    del other["weights"]
    with pytest.raises(ModelMismatchError, match="lacks weights"):
        load_model(other, world.catalogue)


def test_a_video_nobody_rated_stands_with_its_maker(world: Mart, model: TrainedModel) -> None:
    makers = [f"maker {i}" for i in range(4)]
    fresh = model.encode(catalogue(4, maker=makers, video_ids=[f"new {i}" for i in range(4)]))
    v, _ = model.item_vectors(fresh)
    u = model.user_vectors(model.histories(world, "train"))
    groups = np.arange(len(u)) % 4
    assert ((u @ v.T).argmax(axis=1) == groups).mean() > 0.9


def test_a_video_nobody_rated_is_ranked_and_found_by_its_content(world: Mart, model: TrainedModel) -> None:
    """In the whole catalogue, not only among new ones: above what its people never like."""
    makers = [f"maker {i}" for i in range(4)]
    fresh = model.encode(catalogue(4, maker=makers, video_ids=[f"new {i}" for i in range(4)]))
    (v, _), (known, h) = model.item_vectors(fresh), model.item_vectors()
    u = model.user_vectors(model.histories(world, "train"), h)
    users, kinds = np.arange(len(u)), np.arange(len(known)) % 4
    foreign = (u @ known.T)[kinds[None, :] != (users % 4)[:, None]].reshape(len(u), -1)
    assert ((u @ v.T)[users, users % 4] > np.quantile(foreign, 0.9, axis=1)).mean() > 0.9
    nearest = np.argsort(-(v @ known.T), axis=1)[:, :5]
    assert (kinds[nearest] == np.arange(4)[:, None]).mean() > 0.8
    assert np.allclose(np.linalg.norm(v, axis=1), 1, atol=1e-5)


def test_content_is_believed_no_more_than_the_likes_bear_out(world: Mart, model: TrainedModel) -> None:
    """Beside each video eight more of its maker that nobody touches: then a maker's name means little, though
    all that is known of it was liked."""
    makers = [f"maker {i % 4}" for i in range(40 + 320)]
    ignored = make_mart(catalogue(360, maker=makers), world.user_keys, world.interactions)
    doubting = fit(ignored, SMALL)
    assert model.config["start_dials"]["content_share"] == 1.0
    share = doubting.config["start_dials"]["content_share"]
    assert share < 1.0
    believing = fit(
        ignored,
        SMALL,
        chosen=replace(Chosen.from_plain(doubting.config["start_dials"]), content_share=1.0),
    )
    (v, h), (v_loud, h_loud) = doubting.item_vectors(), believing.item_vectors()
    assert v[:40] == pytest.approx(v_loud[:40], abs=1e-6)  # those that were met keep their vectors
    assert h == pytest.approx(h_loud, abs=1e-6)
    taste = slice(0, doubting.towers.n_ranked - 1)
    assert v[40:, taste] == pytest.approx(share * v_loud[40:, taste], abs=1e-6)
    assert np.abs(v[40:, taste]).max() > 1e-3


def test_a_rate_too_high_stops_with_the_step(world: Mart) -> None:
    with pytest.raises(TrainingError, match=r"epoch \d+, step \d+"):
        fit(world, replace(SMALL, lr=1e30, epochs=3, patience=9))


@pytest.mark.parametrize(("dials", "said"), [
    ({"lr": 0.0}, "--lr"), ({"lr": float("nan")}, "--lr"), ({"epochs": 0}, "--epochs"),
    ({"embedding_dim": 2}, "--embedding-dim"), ({"device": "tpu"}, "--device"),
    ({"negatives": "x=1"}, "--negatives"), ({"less_popular": float("nan")}, "--less-popular"),
    ({"less_popular": 0.3, "start": "random"}, "--start random"),
])  # fmt: skip
def test_a_dial_that_cannot_be_stops_at_the_door(world: Mart, dials: dict, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        fit(world, replace(SMALL, **dials))


@pytest.mark.parametrize(("rows", "said"), [
    ([(0, 0, 1, 0), (0, 1, 1, 0)], "one user"),
    ([(0, 0, 1, 0), (1, 0, 1, 0)], "one video"),
    ([(0, 0, 0, 0), (1, 1, 0, 0)], "no likes"),
    ([(0, 0, 1, 2), (1, 1, 1, 2)], "no likes"),
    ([(0, 0, 2, 0), (1, 1, 1, 0)], "label"),
])  # fmt: skip
def test_a_mart_without_anything_to_learn_stops_at_the_door(rows: list, said: str) -> None:
    with pytest.raises(MartError, match=said):
        make_mart(catalogue(3), ["review:a", "review:b"], interactions(rows))


def test_the_smallest_mart_trains() -> None:
    mart = make_mart(catalogue(2), ["review:a", "review:b"], interactions([(0, 0, 1, 0), (1, 1, 1, 0)]))
    v, h = fit(mart, SMALL).item_vectors()
    assert np.isfinite(v).all()
    assert np.isfinite(h).all()


def test_likes_alone_and_a_user_of_everything_train() -> None:
    rows = [(0, i, 1, 0) for i in range(500)] + [
        (u, i, 1, 0) for u in range(1, 30) for i in (u, u + 1, 2 * u)
    ]
    mart = make_mart(
        catalogue(501, description=[""] * 501),
        [f"review:{u:02d}" for u in range(30)],
        interactions(sorted(set(rows))),
    )
    model = fit(mart, SMALL)
    assert np.isfinite(model.user_vectors(model.histories(mart, "train"))).all()


def test_a_user_of_a_hundred_thousand_likes_trains_beside_the_others() -> None:
    n = 100_000
    rows = [(0, i, 1, 0) for i in range(n)] + [(u, u * k, 1, 0) for u in range(1, 20) for k in range(1, 6)]
    prices = np.where(np.arange(n) % 2, np.nan, 300.0)  # half of them unknown
    mart = make_mart(catalogue(n, price=prices), [f"review:{u:02d}" for u in range(20)], interactions(rows))
    model = fit(mart, replace(SMALL, epochs=1, refit=False))
    assert np.diff(model.histories(mart, "train").likes.starts).max() == model.history.max_likes
    assert np.isfinite(model.item_vectors()[0]).all()


def test_a_user_without_likes_has_a_vector(model: TrainedModel) -> None:
    none = Pairs(np.array([0, 0]), np.array([], np.int64), np.array([], np.float32))
    histories = Histories(none, none, none, model.aggregates.compute(none, none))
    assert np.allclose(np.linalg.norm(model.user_vectors(histories), axis=1), 1, atol=1e-5)


def test_the_holdout_is_recognised_by_its_times_and_never_taken() -> None:
    def mart(times: list[float], splits: list[int], shifted: bool) -> Mart:
        rows = [(u, i, 1, splits[i]) for u in range(20) for i in range(20)]
        when = [times[i] + (1000 * u if shifted else 0) for u in range(20) for i in range(20)]
        users = [f"review:{u:02d}" for u in range(20)]
        return make_mart(catalogue(20), users, interactions(rows, when))

    day, late = [float(i) for i in range(20)], [TRAIN] * 16 + [TEST] * 4
    for shifted, splits, shape in (
        (False, late, "after a date"),
        (True, late, "each user's last"),
        (False, [TRAIN, TRAIN, TEST, TRAIN] * 5, "random"),
    ):
        one = mart(day, splits, shifted)
        assert holdout_shape(one.interactions) == shape
        held = held_out_rows(one)
        assert 0.05 < held.sum() / (one.interactions.split == TRAIN).sum() < 0.25
        assert (one.interactions.split[held] == TRAIN).all()


def test_popular_videos_give_way_as_far_as_asked() -> None:
    """Nearly everybody likes video 0, beside six of ten of a kind."""
    rng = np.random.default_rng(0)
    rows = []
    for user in range(120):
        own = rng.choice(np.arange(user % 4, 40, 4), 6, replace=False)
        rows += [(user, item, 1, TRAIN) for item in {*own.tolist(), *([0] if user % 10 else [])}]
    mart = make_mart(catalogue(40), [f"review:{user:03d}" for user in range(120)], interactions(rows))
    places = []
    for strength in (-1.0, 0.0, 1.0, 9.0):
        model = fit(mart, replace(SMALL, less_popular=strength))
        v, h = model.item_vectors()
        assert np.linalg.norm(v, axis=1) == pytest.approx(np.ones(40), abs=1e-5)
        scores = model.user_vectors(model.histories(mart, "train"), h) @ v.T
        places.append(float((scores > scores[:, :1]).sum(axis=1).mean()))
    assert places == sorted(places)
    assert places[0] < 1 and places[3] > 30


def test_recency_halves() -> None:
    rows = interactions([(0, 0, 1, 0), (0, 1, 1, 0), (0, 2, 1, 0)], [0.0, 86_400.0 * 10, float("nan")])
    pairs = pairs_of(rows, 1, 10, half_life_days=10.0)
    assert pairs.items.tolist() == [1, 0, 2]  # newest first, unknown last
    assert pairs.weights.tolist() == pytest.approx([1.0, 0.5, 1.0])
    assert pairs_of(rows, 1, 2, HistoryConfig().half_life_days).items.tolist() == [1, 0]


def test_what_was_only_seen_joins_the_likes_of_who_has_some() -> None:
    """User 0 likes 0 and saw 3 and 4, user 1 saw 3 alone, user 2 likes 5."""
    rows = interactions(
        [(0, 0, 1, 0), (0, 1, 0, 0), (0, 3, -1, -1), (0, 4, -1, -1), (1, 3, -1, -1), (2, 5, 1, 0)],
        [9.0, 8.0, 2.0, 3.0, 4.0, 5.0],
    )
    world = make_mart(catalogue(6), [f"review:{user}" for user in range(3)], rows)
    nothing = AggregateTable([], np.zeros((6, 0)))
    found = build_histories(world, "train", HistoryConfig(seen_weight=0.3, recency_power=1.0), nothing)
    assert found.heard.starts.tolist() == [0, 3, 3, 4]
    assert found.heard.items.tolist() == [0, 4, 3, 5]
    assert found.heard.weights.tolist() == pytest.approx([1.0, 0.3, 0.15, 1.0])  # places of their own
    assert not len(build_histories(world, "train", HistoryConfig(), nothing).seen.items)


def test_what_was_only_seen_speaks_where_the_split_took_rows_at_random_and_is_ours() -> None:
    """A user's likes are of a kind or of any, half and half; what they saw is all of the kind."""

    def seen_weight(*, from_file: bool, last: bool) -> float:
        rng = np.random.default_rng(0)
        rows, times = [], []
        for user in range(200):
            own, anything = rng.permutation(np.arange(user % 4, 40, 4)), rng.permutation(40)
            likes = dict.fromkeys([*own[:2], *anything[:2]])
            rows += [(user, item, 1, TRAIN) for item in likes]
            rest = [item for item in own[2:] if item not in likes]
            rows += [(user, rest[0], 1, TEST), *((user, item, -1, -1) for item in rest[1:])]
            days = rng.permutation(100)[: len(rows) - len(times)].astype(float)
            days[len(likes)] = 1000.0 if last else days[len(likes)]
            times += days.tolist()
        found = replace(interactions(rows, times), is_file_split=np.full(len(rows), from_file))
        world = make_mart(catalogue(40), [f"review:{u:03d}" for u in range(200)], found)
        return float(fit(world, SMALL).config["start_dials"]["seen_weight"])

    assert seen_weight(from_file=False, last=False) > 0
    assert seen_weight(from_file=True, last=False) == 0
    assert seen_weight(from_file=False, last=True) == 0


def test_recency_goes_by_place_too() -> None:
    rows = interactions(
        [(0, 0, 1, 0), (0, 1, 1, 0), (0, 2, 1, 0), (1, 2, 1, 0)], [0.0, 86_400.0 * 10, 1.0, 5.0]
    )
    pairs = pairs_of(rows, 2, recency_power=0.5)
    assert pairs.items.tolist() == [1, 2, 0, 2]  # a user's newest is at place 1
    assert pairs.weights.tolist() == pytest.approx([1.0, 2**-0.5, 3**-0.5, 1.0])
    both = pairs_of(rows, 2, 2, 10.0, 0.5)
    assert both.weights.tolist() == pytest.approx([1.0, 2**-0.5 * 0.5 ** (1 - 1 / 864_000), 1.0])
