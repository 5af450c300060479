"""What the popularity-bias dial costs and buys: each metric at several strengths, for iALS or our towers.

    python tests/benchmarks/popularity_dial.py --data DIR [--only WORD] [--model ials|two_tower]

The dial is `evaluation.less_popular`: score - strength x log(1 + training likes).
"""

import argparse
from pathlib import Path

from datasets import Split, splits

from trainer.baselines import matrix_factors
from trainer.evaluation import evaluate, less_popular
from trainer.holdout import column_counts
from trainer.ranking import Scorer
from trainer.training import TrainingConfig, fit

STRENGTHS = (-0.02, 0.0, 0.01, 0.02, 0.05, 0.1, 0.2)
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


def scorer_of(model: str, split: Split) -> Scorer:
    if model == "ials":
        return matrix_factors(split.holdout.train).scorer
    towers = fit(split.mart, TrainingConfig())
    items_ID, history_ID = towers.item_vectors()
    return towers.user_vectors(towers.histories(split.mart, "train"), history_ID), items_ID


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--only", default="movielens-2149u, random", help="splits whose name has these words")
    parser.add_argument("--model", choices=["ials", "two_tower"], default="ials")
    asked = parser.parse_args()
    for split in splits(asked.data):
        if asked.only in split.name:
            scorer, popularity = scorer_of(asked.model, split), column_counts(split.holdout.train)
            print(f"\n{split.name}, {asked.model}\nstrength", *(f"{metric[:12]:>12}" for metric in SHOWN))
            for strength in STRENGTHS:
                dialled = less_popular(scorer, popularity, strength)
                values = evaluate("dial", dialled, split.holdout, slices={}, resamples=10).metrics
                print(f"{strength:8.2f}", *(f"{values[metric]:12.4f}" for metric in SHOWN), flush=True)


if __name__ == "__main__":
    main()
