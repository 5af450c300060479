"""Users evaluated per second, beside a plain numpy loop over users.

    python tests/benchmarks/evaluation_speed.py [--large]

Both rank the whole catalogue of random vectors with 256 dimensions, leave out what was seen, and compute
Recall, NDCG and AUC; ours computes all its other metrics, slices and 1,000 bootstrap resamples as well. The
loop is timed on a sample of users. `--large` adds 50,000 users x 40,000 items.
"""

import argparse
import resource
import time

import numpy as np
from scipy import sparse

from trainer.evaluation import evaluate
from trainer.holdout import Holdout

SIZES = [(2_149, 13_049)]
LARGE = (50_000, 40_000)
LOOP_USERS = 200


def world(n_users: int, n_items: int) -> tuple[Holdout, np.ndarray, np.ndarray]:
    """About 40 seen and 10 relevant items a user, drawn with the long tail of a catalogue."""
    generator = np.random.default_rng(0)
    items = (n_items * generator.random(50 * n_users) ** 3).astype(np.int64)
    pairs = np.unique(np.repeat(np.arange(n_users), 50) * n_items + items)
    user, item, part = pairs // n_items, pairs % n_items, generator.random(len(pairs))

    def matrix(kept: np.ndarray) -> sparse.csr_matrix:
        ones = np.ones(int(kept.sum()), np.float32)
        return sparse.csr_matrix((ones, (user[kept], item[kept])), shape=(n_users, n_items))

    seen = matrix(part < 0.8)
    holdout = Holdout(seen, matrix((part >= 0.8) & (part < 0.98)), matrix(part >= 0.98), seen)
    vectors = [generator.normal(size=(n, 256)).astype(np.float32) for n in (n_users, n_items)]
    return holdout, vectors[0], vectors[1]


def loop(holdout: Holdout, users: np.ndarray, items: np.ndarray, n: int) -> tuple[float, float]:
    """The plain way: one user after the other. Returns mean Recall@20 and mean AUC."""
    recalls, aucs = [], []
    discounts = 1 / np.log2(np.arange(2, 22))
    for user in range(n):
        scores = items @ users[user]
        scores[holdout.seen[user].indices] = -np.inf
        order = np.argsort(-scores)
        relevant = holdout.relevant[user].indices
        if not len(relevant):
            continue
        hits = np.isin(order[:20], relevant)
        recalls.append(hits.sum() / len(relevant))
        (hits * discounts).sum() / discounts[: len(relevant)].sum()
        ranks = np.flatnonzero(np.isin(order, relevant))
        candidates = len(order) - holdout.seen[user].nnz
        below = candidates - 1 - ranks - np.arange(len(ranks))[::-1]
        aucs.append(below.sum() / (len(ranks) * (candidates - len(ranks))))
    return float(np.mean(recalls)), float(np.mean(aucs))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--large", action="store_true")
    for n_users, n_items in SIZES + [LARGE] * parser.parse_args().large:
        holdout, users, items = world(n_users, n_items)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        started = time.perf_counter()
        result = evaluate("random", (users, items), holdout)
        ours = len(result.user_rows) / (time.perf_counter() - started)
        extra = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
        started = time.perf_counter()
        sample = min(LOOP_USERS, n_users)
        recall, auc = loop(holdout, users, items, sample)
        plain = sample / (time.perf_counter() - started)
        first = result.user_rows < sample
        assert np.isclose(np.nanmean(result.per_user["recall@20"][first]), recall)
        assert np.isclose(np.nanmean(result.per_user["auc"][first]), auc)
        print(f"{n_users:,} users x {n_items:,} items: {ours:,.0f} users/s, {extra:,.0f} MB more; ", end="")
        print(f"plain loop {plain:,.0f} users/s; {ours / plain:.1f} times", flush=True)


if __name__ == "__main__":
    main()
