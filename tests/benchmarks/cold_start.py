"""What content is worth: videos nobody has rated, and users of one, two and five likes.

    python tests/benchmarks/cold_start.py --data DIR [--set movietweetings] [--dial name=value]

Videos: a tenth of those with 5 likes or more lose every row (a second split: a random fifth of the other
rows). Users with a like left are asked for them, (a) among the withheld videos alone, (b) in the whole
catalogue; (c) their whole holdout, with the withheld videos ranked and with them left out.
Users: the other holdout, histories cut to the newest n likes, beside popularity.
"""

import argparse
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from towers_ranking import configured
from towers_sets import load_mart

from trainer.histories import Pairs, pairs_of
from trainer.mart import LIKE, NO_SPLIT, TEST, TRAIN, Mart, make_mart
from trainer.trained import TrainedModel
from trainer.training import fit

Floats = np.ndarray
SHARE, LEAST_LIKES, K = 0.1, 5, 20


def withhold(mart: Mart, seed: int = 0) -> tuple[Mart, np.ndarray]:
    """The mart without the training rows of some videos, and which videos [N]."""
    rows = mart.interactions
    likes = np.bincount(rows.item_index[rows.label == LIKE], minlength=len(mart.catalogue))
    can = np.flatnonzero(likes >= LEAST_LIKES)
    hidden = np.zeros(len(mart.catalogue), np.bool_)
    hidden[np.random.default_rng(seed).choice(can, int(len(can) * SHARE), replace=False)] = True
    split = np.where(hidden[rows.item_index] & (rows.split != NO_SPLIT), TEST, rows.split).astype(np.int8)
    kept = ~(hidden[rows.item_index] & (rows.split == NO_SPLIT))
    return make_mart(mart.catalogue, mart.user_keys, replace(rows, split=split).where(kept)), hidden


def ndcg_recall_percentile(scores: Floats, wanted: Pairs, allowed: np.ndarray) -> tuple[float, float, float]:
    """Means over users: Recall@20, NDCG@20, and the percentile of the wanted among what may be shown."""
    scores = np.where(allowed, scores, -np.inf)
    noise = np.random.default_rng(0).random(scores.shape)  # ties in random order
    order = np.lexsort((noise, -scores), axis=1)
    place = np.empty_like(order)
    np.put_along_axis(place, order, np.arange(scores.shape[1])[None, :], axis=1)
    ranks, counts = place[wanted.rows, wanted.items], np.diff(wanted.starts)
    hit = (ranks < K) & allowed[wanted.rows, wanted.items]
    gains = np.bincount(wanted.rows, hit / np.log2(ranks + 2.0), minlength=len(counts))
    ideal = np.cumsum(1 / np.log2(np.arange(K) + 2.0))[np.minimum(counts, K) - 1]
    recall = np.bincount(wanted.rows, hit, minlength=len(counts)) / counts
    share = 1 - ranks / np.maximum(allowed.sum(axis=1)[wanted.rows] - 1, 1)
    percentile = np.bincount(wanted.rows, share, minlength=len(counts)) / counts
    return float(recall.mean()), float((gains / ideal).mean()), float(percentile.mean())


def maker_and_tags(mart: Mart) -> Floats:
    """What a shop does without a model: the mean likes of the training videos of a video's maker and tags."""
    rows, catalogue = mart.interactions, mart.catalogue
    likes = np.bincount(
        rows.item_index[(rows.label == LIKE) & (rows.split == TRAIN)], minlength=len(catalogue)
    )
    of: dict[str, list[int]] = {}
    values = [
        [f"m{m}"] * bool(m) + [f"t{t}" for t in tags]
        for m, tags in zip(catalogue.maker, catalogue.tags, strict=True)
    ]
    for item in np.flatnonzero(likes):
        for value in values[item]:
            of.setdefault(value, []).append(int(likes[item]))
    means = {value: float(np.mean(counts)) for value, counts in of.items()}
    return np.array([np.mean([means[v] for v in one if v in means] or [0.0]) for one in values])


def content_neighbours(mart: Mart, model: TrainedModel, users: np.ndarray, hidden: np.ndarray) -> Floats:
    """Cosine of a user's mean content features with a video's: a content-only recommender."""
    f = model.features
    n_categories = int(f.category_index.max()) + 1
    onehot = np.zeros((len(f), n_categories), np.float32)
    np.add.at(
        onehot,
        (np.repeat(np.arange(len(f)), f.category_index.shape[1]), f.category_index.numpy().ravel()),
        f.category_weight.numpy().ravel(),
    )
    onehot[:, 0] = 0
    onehot *= np.log(len(f) / np.maximum((onehot > 0).sum(0), 1))
    dense = f.dense.numpy()
    x = np.concatenate(
        [
            onehot / np.maximum(np.linalg.norm(onehot, axis=1, keepdims=True), 1e-9),
            dense / np.maximum(np.linalg.norm(dense, axis=1, keepdims=True), 1e-9),
        ],
        axis=1,
    )
    likes = model.histories(mart, "train").likes.take(users)
    profile = np.zeros((len(users), x.shape[1]), np.float32)
    np.add.at(profile, likes.rows, x[likes.items])
    return profile @ x.T


def show(name: str, *values: float) -> None:
    print(f"  {name:44s}" + "".join(f"{value:9.4f}" for value in values), flush=True)


def videos(mart: Mart, model: TrainedModel, hidden: np.ndarray, most_users: int) -> None:
    """The three tables about withheld videos."""
    rows, n_users = mart.interactions, len(mart.user_keys)
    test = rows.where((rows.split == TEST) & (rows.label == LIKE))
    cold = pairs_of(test.where(hidden[test.item_index]), n_users)
    everything = pairs_of(test, n_users)
    histories = model.histories(mart, "train")
    users = np.flatnonzero((np.diff(cold.starts) > 0) & (np.diff(histories.likes.starts) > 0))
    if len(users) > most_users:
        users = np.sort(np.random.default_rng(1).choice(users, most_users, replace=False))
    cold, everything = cold.take(users), everything.take(users)
    seen = pairs_of(rows.where(rows.split != TEST), n_users).take(users)
    v_ND, h_ND = model.item_vectors()
    towers = model.user_vectors(histories.take(users), h_ND) @ v_ND.T
    n_likes = np.bincount(
        rows.item_index[(rows.label == LIKE) & (rows.split == TRAIN)], minlength=len(hidden)
    )
    free = np.ones(towers.shape, np.bool_)
    free[seen.rows, seen.items] = False
    by_kind = np.tile(maker_and_tags(mart), (len(users), 1))
    rivals = {
        "towers": towers,
        "mean likes of maker and tags": by_kind,
        "random": np.random.default_rng(2).random(towers.shape),
        "content neighbours of the likes": content_neighbours(mart, model, users, hidden),
    }
    print(
        f"{hidden.sum()} withheld videos, {len(users)} users, {len(cold.items)} likes of them"
        + " " * 12
        + "  recall     ndcg  percentile"
    )
    for name, scores in rivals.items():
        show(f"(a) among the withheld: {name}", *ndcg_recall_percentile(scores, cold, free & hidden))
    for name in ("towers", "random"):
        show(f"(b) in the whole catalogue: {name}", *ndcg_recall_percentile(rivals[name], cold, free))
    show(
        "(b) in the whole catalogue: popularity",
        *ndcg_recall_percentile(np.tile(n_likes, (len(users), 1)), cold, free),
    )
    show("(c) whole holdout, withheld ranked", *ndcg_recall_percentile(towers, everything, free))
    show("(c) whole holdout, withheld left out", *ndcg_recall_percentile(towers, everything, free & ~hidden))
    top = np.argsort(-np.where(free, towers, -np.inf), axis=1)[:, :K]
    show(
        "share of withheld in the lists of 20, in likes",
        float(hidden[top].mean()),
        len(cold.items) / len(everything.items),
    )


def similar(mart: Mart, model: TrainedModel, hidden: np.ndarray) -> None:
    """Whether the ten videos most similar to a withheld one were liked by the same people, against random."""
    rows = mart.interactions
    likes = rows.where(rows.label == LIKE)
    users_of = [set(likes.user_index[likes.item_index == item].tolist()) for item in range(len(hidden))]
    v_ND, _ = model.item_vectors()
    warm = np.flatnonzero(~hidden & (np.array([len(u) for u in users_of]) >= LEAST_LIKES))
    shared, chance, fresh = [], [], []
    rng = np.random.default_rng(3)
    for item in np.flatnonzero(hidden):
        score = v_ND @ v_ND[item]
        score[item] = -2
        fresh.append(hidden[np.argsort(-score)[:10]].mean())
        for into, others in ((shared, warm[np.argsort(-score[warm])[:10]]), (chance, rng.choice(warm, 10))):
            into.append(
                np.mean(
                    [
                        len(users_of[item] & users_of[o]) / np.sqrt(len(users_of[item]) * len(users_of[o]))
                        for o in others
                    ]
                )
            )
    show("similar videos: shared likers, at random", float(np.mean(shared)), float(np.mean(chance)))
    show("similar videos: share of withheld among ten", float(np.mean(fresh)))


def newcomers(mart: Mart, model: TrainedModel, most_users: int) -> None:
    """Users whose histories are cut to n likes, asked for their warm holdout; popularity beside."""
    rows, n_users = mart.interactions, len(mart.user_keys)
    likes = (rows.label == LIKE) & (rows.split == TRAIN)
    n_likes = np.bincount(rows.item_index[likes], minlength=len(mart.catalogue))
    wanted = pairs_of(
        rows.where((rows.split == TEST) & (rows.label == LIKE) & (n_likes[rows.item_index] > 0)),
        n_users,
        10**9,
        None,
    )
    histories = model.histories(mart, "train")
    users = np.flatnonzero((np.diff(wanted.starts) > 0) & (np.diff(histories.likes.starts) >= 5))
    if len(users) > most_users:
        users = np.sort(np.random.default_rng(1).choice(users, most_users, replace=False))
    wanted = wanted.take(users)
    v_ND, h_ND = model.item_vectors()
    none = Pairs(np.zeros(len(users) + 1, np.int64), np.zeros(0, np.int64), np.zeros(0, np.float32))
    full = histories.likes.take(users)
    print(f"{len(users)} users, their newest likes alone                recall     ndcg  percentile")
    for n in (0, 1, 2, 5):
        place = np.arange(len(full.items)) - full.starts[full.rows]
        cut = full.keep(place < n)
        u = model.user_vectors(type(histories)(cut, none, none, model.aggregates.compute(cut, none)), h_ND)
        free = np.ones((len(users), len(v_ND)), np.bool_)
        free[:, n_likes == 0] = False
        free[full.rows, full.items] = False  # the same videos may be shown at each n
        show(f"{n} likes: towers", *ndcg_recall_percentile(u @ v_ND.T, wanted, free))
    show("popularity", *ndcg_recall_percentile(np.tile(n_likes, (len(users), 1)), wanted, free))


def main() -> None:
    """Three tables for one set."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--set", default="movietweetings")
    parser.add_argument("--users", type=int, default=2000, help="at most so many")
    parser.add_argument("--dial", action="append", default=[])
    asked = parser.parse_args()
    mart, hidden = withhold(load_mart(asked.data, asked.set, "random"))
    started = time.perf_counter()
    model = fit(mart, configured(asked.dial))
    print(f"{asked.set} {' '.join(asked.dial)}: trained in {time.perf_counter() - started:.0f} s")
    videos(mart, model, hidden, asked.users)
    similar(mart, model, hidden)
    newcomers(mart, model, asked.users)


if __name__ == "__main__":
    main()
