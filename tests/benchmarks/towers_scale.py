"""Seconds and memory of training on synthetic likes; says nothing about quality.

    python tests/benchmarks/towers_scale.py --users 30000 --videos 40000 --likes 1000000 [--epochs 2]
                                            [--untuned]

The same under `torchrun --nproc-per-node 2` trains in two processes; rates are of all of them together.
"""

import argparse
import resource
import time

import numpy as np

from trainer.mart import Catalogue, Interactions, make_mart
from trainer.process_group import join_group, leave_group
from trainer.start_maker import Chosen
from trainer.training import TrainingConfig, fit
from trainer.training_worker import follow


def main() -> None:
    """One training; a line per epoch, then seconds and the peak of resident memory."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in (("users", 30_000), ("videos", 40_000), ("likes", 1_000_000), ("epochs", 2)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--untuned", action="store_true", help="the default dials instead of the best")
    args = parser.parse_args()
    rng = np.random.default_rng(0)
    # user and video popularity by powers; a taste per user pulls likes into one of 50 blocks of the catalogue
    user = (args.users * rng.random(args.likes) ** 1.5).astype(np.int64)
    block = (user * 7919) % 50
    item = ((args.videos // 50) * rng.random(args.likes) ** 2).astype(np.int64) * 50 + block
    pairs = np.unique(user * args.videos + item)
    n = len(pairs)
    none, nan, zero = [None] * args.videos, np.full(args.videos, np.nan), np.zeros(args.videos)
    lists: list[list[str]] = [[] for _ in range(args.videos)]
    counts = zero.astype(np.int32)
    catalogue = Catalogue(
        [f"{i:08d}" for i in range(args.videos)], *[none] * 8, lists, lists,
        nan, nan, nan, zero.astype(np.float32), counts, counts,
    )  # fmt: skip
    rows = Interactions(
        (pairs // args.videos).astype(np.int32),
        (pairs % args.videos).astype(np.int32),
        np.ones(n, np.int8),
        np.ones(n, np.float32),
        np.full(n, np.nan),
        np.zeros(n, np.int8),
        np.zeros(n, np.bool_),
    )
    keys = [f"review:{u:09d}" for u in range(args.users)]
    group = join_group()
    config = TrainingConfig(epochs=args.epochs, refit=False, patience=99)
    if group.rank:
        follow(
            make_mart(catalogue, keys, rows.where(rows.user_index % group.size == group.rank)), config, group
        )
        leave_group(group)
        return
    mart = make_mart(catalogue, keys, rows)
    started = time.perf_counter()
    fit(
        mart,
        config,
        lambda r: print(
            f"  epoch {r.epoch}: {n / max(r.seconds, 1e-9):,.0f} likes/s, {r.seconds:.1f} s", flush=True
        ),
        chosen=Chosen.before(config.history) if args.untuned else None,
        group=group,
    )
    leave_group(group)
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"{n:,} likes, {args.users:,} users, {args.videos:,} videos: {seconds:.0f} s, peak {peak:.2f} GiB")


if __name__ == "__main__":
    main()
