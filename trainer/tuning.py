"""Search for better dials, on held-out training rows alone: the holdout is never looked at.

The study lies in one file: more trials later go on from those that are there.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainer.errors import UsageError
from trainer.mart import Mart
from trainer.trained import EpochRecord
from trainer.training import TrainingConfig, fit

if TYPE_CHECKING:
    from optuna import Trial

FILE_NAME = "tuning.db"
SEARCHED = ("lr", "batch_size", "hidden_units")  # the start chooses its own dials; see choose_start.py


def tune(mart: Mart, config: TrainingConfig, n_trials: int, out_dir: Path, say: Callable[[str], None]) -> str:
    """The best options found so far, as they are written behind `python -m trainer`.

    The defaults are the first trial, so that nothing worse than them is ever proposed. Raises UsageError:
    Optuna is not installed, or the number of trials is not positive.
    """
    if n_trials < 1:
        raise UsageError(f"--trials is {n_trials}", "it must be at least 1")
    optuna = _optuna()
    out_dir.mkdir(parents=True, exist_ok=True)
    study = optuna.create_study(
        study_name=f"{mart.data_hash[:12]} in {config.embedding_dim} dimensions",
        storage=f"sqlite:///{(out_dir / FILE_NAME).resolve()}",
        direction="maximize",
        load_if_exists=True,
        # another seed each time, or a resumed study would try the same again
        sampler=optuna.samplers.TPESampler(seed=config.seed + 1),
    )
    done = len(study.trials)
    if done:
        say(f"{done} trials are known already, best validation ndcg {study.best_value:.4f}")
        study.sampler = optuna.samplers.TPESampler(seed=config.seed + 1 + done)
    else:
        study.enqueue_trial({name: getattr(config, name) for name in SEARCHED})

    def score(trial: "Trial") -> float:
        found = best(fit(mart, suggested(trial, config)).curve)
        dials = ", ".join(f"{name} {value:g}" for name, value in trial.params.items())
        say(f"trial {trial.number}: {dials}: validation ndcg {found:.4f}")
        return found

    study.optimize(score, n_trials=n_trials)
    say(f"best validation ndcg {study.best_value:.4f}, with the defaults {study.trials[0].value:.4f}")
    return " ".join(
        f"--{name.replace('_', '-')} {value:g}" if name == "lr" else f"--{name.replace('_', '-')} {value}"
        for name, value in study.best_params.items()
    )


def suggested(trial: "Trial", config: TrainingConfig) -> TrainingConfig:
    """The dials of one trial; more epochs than by default, for rates that need them."""
    return replace(
        config,
        refit=False,
        epochs=2 * config.epochs,
        lr=trial.suggest_float("lr", 1e-5, 3e-3, log=True),
        batch_size=trial.suggest_categorical("batch_size", [2048, 4096, 8192, 16384]),
        hidden_units=trial.suggest_categorical("hidden_units", [0, 64, 128]),
    )


def best(curve: list[EpochRecord]) -> float:
    """The best validation of a curve, the start's included. Raises UsageError where there is none."""
    values = [record.val_ndcg for record in curve if record.val_ndcg is not None]
    if not values:
        raise UsageError("there are too few training rows to hold some out", "load more reviews, then tune")
    return max(values)


def _optuna() -> Any:
    try:
        import optuna  # noqa: PLC0415  # an extra: everything else works without it
    except ImportError:
        raise UsageError("Optuna is not installed", "pip install -e '.[tune]'") from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna
