"""What all baselines are: a name, the settings they were fitted with, and scores by user row."""

from dataclasses import dataclass

from trainer.ranking import Scorer


@dataclass(frozen=True)
class Baseline:
    """A fitted model; `scorer` goes to `evaluation.evaluate` as it is."""

    name: str
    settings: dict[str, float]
    scorer: Scorer
