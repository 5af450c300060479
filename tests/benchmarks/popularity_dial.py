"""What `--less-popular` costs and buys: each metric at several strengths, one start and its dials for all.

python tests/benchmarks/popularity_dial.py --data DIR [--only WORD]
"""

import argparse
from dataclasses import replace
from pathlib import Path

from datasets import splits

from trainer.evaluation import evaluate
from trainer.start_maker import Chosen
from trainer.training import TrainingConfig, fit

STRENGTHS = (0.0, -0.3, 0.1, 0.3, 1.0, 3.0)
SHOWN = (
    "recall@20",
    "ndcg@20",
    "auc",
    "coverage@20",
    "entropy@20",
    "gini@20",
    "novelty@20",
    "dislike@20",
    "largest_maker_share@20",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--only", default="movielens-2149u, random", help="splits whose name has these words")
    asked = parser.parse_args()
    for split in splits(asked.data):
        if asked.only not in split.name:
            continue
        print(f"\n{split.name}\nstrength", *(f"{metric[:12]:>12}" for metric in SHOWN))
        chosen = None
        for strength in STRENGTHS:
            model = fit(split.mart, replace(TrainingConfig(), less_popular=strength), chosen=chosen)
            chosen = Chosen.from_plain(model.config["start_dials"])
            items_ID, history_ID = model.item_vectors()
            users_UD = model.user_vectors(model.histories(split.mart, "train"), history_ID)
            values = evaluate("dial", (users_UD, items_ID), split.holdout, slices={}, resamples=10).metrics
            print(f"{strength:8.2f}", *(f"{values[metric]:12.4f}" for metric in SHOWN), flush=True)


if __name__ == "__main__":
    main()
