"""Every dial of training, its default, and what stops at the door."""

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import torch

from trainer.errors import UsageError
from trainer.histories import HistoryConfig
from trainer.sampling import parse_mixture


@dataclass(frozen=True)
class TrainingConfig:
    """Every dial but those of the start and of histories, which are chosen per mart on held-out rows
    (choose_start.py). What each is worth: tests/benchmarks/towers_ablations.py and README, Decisions.
    """

    embedding_dim: int = 256
    epochs: int = 20
    """At most; early stopping usually ends sooner."""
    patience: int = 3
    """Epochs without a better validation before training stops; the best epoch is kept, the start unless
    one is better beyond doubt (course.py)."""
    batch_size: int = 8192
    """Likes per step (not users: a step costs and learns about the same on sparse and on dense data)."""
    lr: float = 1e-4
    temperature: float | None = None
    """Fixed while training; a learned one was no better. None: the likeliest one at the start."""
    loss: Literal["softmax", "bce", "hinge"] = "softmax"
    margin: float = 1.0
    negatives: str = "random=0.5,popular=0.5"
    n_negatives: int = 4096
    exact_candidates: int = 4096
    """Catalogues up to this size are compared as a whole: no sampling, no correction."""
    held_out: tuple[float, float] = (0.2, 0.8)
    """Share of a user's likes that are targets in a step, drawn evenly between the two."""
    dislike_weight: float = 2.0
    """An explicit dislike counts as this many ordinary negatives."""
    hidden_units: int = 0
    start: Literal["regression", "random"] = "regression"
    use_content: bool = True
    less_popular: float = 0.0
    """Of a standard deviation of personal scores: how much what is liked a standard deviation more often than
    others loses, after training. Below 0: gains."""
    gradient_norm: float = 5.0
    refit: bool = True
    """After early stopping on a held-out tenth: train again on everything for the epochs found."""
    seed: int = 0
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Of the products in a step; weights and sums stay float32. auto: bfloat16 on cuda."""
    history: HistoryConfig = field(default_factory=HistoryConfig)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def check_config(config: TrainingConfig) -> None:
    """Stop dials that cannot work. Raises UsageError with the option and its value."""
    positive = {
        "--embedding-dim": config.embedding_dim,
        "--epochs": config.epochs,
        "--batch-size": config.batch_size,
        "--lr": config.lr,
    }
    for name, value in positive.items():
        if not 0 < value < float("inf"):
            raise UsageError(f"{name} is {value}", "it must be above 0")
    if not abs(config.less_popular) < float("inf"):
        raise UsageError(f"--less-popular is {config.less_popular}", "it must be a number, 0 for no change")
    if config.less_popular and config.start == "random":
        raise UsageError(
            f"--less-popular {config.less_popular:g} has nothing to move after --start random",
            "its vectors have no coordinate of popularity: leave one of the two out",
        )
    if config.embedding_dim < 4:
        raise UsageError(f"--embedding-dim is {config.embedding_dim}", "it must be at least 4")
    parse_mixture(config.negatives)


def choose_device(name: str) -> torch.device:
    """`auto` takes cuda, then mps, then cpu. Raises UsageError when a device asked for is not there."""
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        return torch.device(next(kind for kind, there in available.items() if there))
    if not available.get(name, False):
        raise UsageError(f"--device {name} is not available on this machine", "use --device auto or cpu")
    return torch.device(name)
