"""What each dial of training is worth: the default, then one thing moved at a time, on the same split.

    python tests/benchmarks/towers_ablations.py --data DIR [--set movietweetings] [--only WORD]

From the default start, whose dials are chosen once. One line per run: Recall@20 and NDCG@20 of the holdout,
the epoch that was kept (0: the start), seconds; those of the default hold the choice of the dials.
"""

import argparse
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from towers_ranking import configured, holdout
from towers_sets import load_mart

from trainer import training_worker
from trainer.sampling import Batch, Candidates
from trainer.start_maker import Chosen
from trainer.training import fit
from trainer.training_config import TrainingConfig
from trainer.training_run import Run

# sampled: the default compares small catalogues as a whole, where there is no mixture to speak of
SAMPLED = ["exact_candidates=0"]
LEARNED = "learned temperature, from the likeliest"
RUNS: dict[str, list[str]] = {
    "default": [],
    "from a random start": ["start=random", "lr=1e-3", "epochs=30", "patience=3"],
    "no training, the start alone": ["lr=1e-12", "epochs=1"],
    "ids only, no content": ["use_content=False"],
    "negatives half random, half popular": SAMPLED,
    "negatives 60/30/10 random, hard, popular": [*SAMPLED, "negatives=random=0.6,hard=0.3,popular=0.1"],
    "negatives 60/30/10, five epochs": [
        *SAMPLED, "negatives=random=0.6,hard=0.3,popular=0.1", "epochs=5", "patience=5",
    ],
    "loss bce": ["loss=bce"],
    "loss hinge": ["loss=hinge"],
    "temperature 0.1, not the likeliest": ["temperature=0.1"],
    LEARNED: [],
    "64 dimensions": ["embedding_dim=64"],
    "128 dimensions": ["embedding_dim=128"],
    "history kept whole but a fifth": ["held_out=(0.2, 0.2)"],
    "history dropped but a fifth": ["held_out=(0.8, 0.8)"],
    "one target per user and step": ["held_out=(0.0, 0.0)"],
    "pooling exponent 0 (sum)": ["start.pooling_exponent=0.0"],
    "pooling exponent 0.5": ["start.pooling_exponent=0.5"],
    "pooling exponent 1 (mean)": ["start.pooling_exponent=1.0"],
    "recency power 0 (no order)": ["start.recency_power=0.0"],
    "recency power 0.3": ["start.recency_power=0.3"],
    "recency power 0.5": ["start.recency_power=0.5"],
    "recency power 1": ["start.recency_power=1.0"],
    "seen weight 0 (likes alone)": ["start.seen_weight=0.0"],
    "seen weight 0.3": ["start.seen_weight=0.3"],
    "64 hidden units": ["hidden_units=64"],
    "dislikes as ordinary negatives": ["dislike_weight=1.0"],
    "bfloat16": ["precision=bfloat16"],
    "rate x 4": [f"lr={4 * TrainingConfig.lr}"],
}  # fmt: skip


class LearnedTemperature(Run):
    """The same, its scale a weight among the others."""

    @classmethod
    def begin(cls, *what: Any) -> "LearnedTemperature":
        run = super().begin(*what)
        run.log_factor = torch.zeros((), requires_grad=True)
        # a hundred times the rate of the tables: the logarithm of a scale of 8 has to move by tenths
        run.optimizers[0].add_param_group({"params": [run.log_factor], "lr": 100 * run.config.lr})
        return run

    def loss(self, batch: Batch, candidates: Candidates) -> torch.Tensor:
        fixed = self.scale
        self.scale = fixed * self.log_factor.exp()
        loss = super().loss(batch, candidates)
        self.scale = fixed
        return loss


def main() -> None:
    """A line per run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--set", default="movietweetings")
    parser.add_argument("--split", default="random")
    parser.add_argument("--only", default="", help="runs whose name has this word")
    asked = parser.parse_args()
    mart = load_mart(asked.data, asked.set, asked.split)
    print(f"{asked.set}, {asked.split}, {torch.get_num_threads()} threads")
    print(f"{'':44s}{'recall@20':>10s}{'ndcg@20':>9s}{'epoch':>8s}{'seconds':>9s}")
    chosen = None
    for name, dials in RUNS.items():
        if asked.only not in name and name != "default":
            continue
        started = time.perf_counter()
        of_start = {
            name: float(value) for name, value in (d[6:].split("=") for d in dials if d.startswith("start."))
        }
        here = replace(chosen, **of_start) if chosen else None
        training_worker.Run = LearnedTemperature if name == LEARNED else Run
        model = fit(mart, configured([d for d in dials if not d.startswith("start.")]), chosen=here)
        seconds = time.perf_counter() - started
        if chosen is None:
            chosen = Chosen.from_plain(model.config["start_dials"])
        recall, ndcg, _ = holdout(model, mart)
        kept = model.config["best_epoch"]
        print(f"{name:44s}{recall:10.4f}{ndcg:9.4f}{kept:8d}{seconds:9.1f}", flush=True)


if __name__ == "__main__":
    main()
