"""The model, the champion that serves and the baselines, scored on one holdout: every report begins here."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from trainer.baselines import NAMES, fit_baselines
from trainer.errors import MartError
from trainer.evaluation import Evaluation, evaluate
from trainer.gate import Champion
from trainer.holdout import Holdout, split_matrices
from trainer.mart import LIKE, SEEN_ONLY, TEST, TRAIN, VAL, Mart
from trainer.ranking import Scorer
from trainer.trained import TrainedModel

OWN_NAME, CHAMPION_NAME = "two_tower", "champion"
SPLIT_NAMES = {VAL: "val", TEST: "test"}

Notify = Callable[[str], None]


@dataclass(frozen=True)
class Judgement:
    """Evaluations on one holdout, the model's own first (the champion's, where none was trained)."""

    split: str
    evaluations: list[Evaluation]

    @property
    def own(self) -> Evaluation:
        """The model that was trained now."""
        return self.evaluations[0]

    def metrics(self) -> dict[str, dict[str, float]]:
        """model -> metric -> value, undefined ones left out: for metrics.json and the registry."""
        return {
            evaluation.name: {name: value for name, value in evaluation.metrics.items() if np.isfinite(value)}
            for evaluation in self.evaluations
        }


def judge(
    mart: Mart,
    model: TrainedModel | None,
    champion: Champion | None,
    baselines: Sequence[str] = NAMES,
    on_scored: Notify = lambda line: None,
) -> Judgement:
    """Score everybody on the mart's holdout; histories are those of the training cut.

    `baselines` are names of trainer.baselines; one that is refused (too large) is said through `on_scored`.
    """
    holdout = build_holdout(mart)
    scored = []
    if model is not None:
        items_ND, history_ND = model.item_vectors()
        users_UD = model.user_vectors(model.histories(mart, "train"), history_ND)
        scored.append(_score(OWN_NAME, (users_UD, items_ND), holdout, on_scored))
    if champion is not None:
        vectors = (champion.user_vectors, champion.item_vectors)
        scored.append(_score(CHAMPION_NAME, vectors, holdout, on_scored))
    for fitted in fit_baselines(holdout.train, like_times(mart, holdout.train), baselines):
        if fitted.baseline is None:
            on_scored(f"{fitted.name} is left out: {fitted.note}")
        else:
            scored.append(_score(fitted.name, fitted.baseline.scorer, holdout, on_scored))
    return Judgement(SPLIT_NAMES[holdout_split(mart)], scored)


def holdout_split(mart: Mart) -> int:
    """TEST where any row is in it, else VAL. Raises MartError where both are empty."""
    for candidate in (TEST, VAL):
        if bool((mart.interactions.split == candidate).any()):
            return candidate
    raise MartError(
        "no row of marts.fct_interactions is in val or test", "raise the dbt variable val_ratio or test_ratio"
    )


def build_holdout(mart: Mart) -> Holdout:
    """The mart's rows as the holdout that metrics and gate use: test where there is one, else val."""
    rows = mart.interactions
    return split_matrices(
        (len(mart.user_keys), len(mart.catalogue)),
        rows.user_index,
        rows.item_index,
        label=rows.label,
        held_out=rows.split == holdout_split(mart),
        in_training=(rows.split == TRAIN) | (rows.label == SEEN_ONLY),
        makers=mart.catalogue.maker,
    )


def like_times(mart: Mart, likes: sparse.csr_matrix) -> sparse.csr_matrix | None:
    """Epoch seconds of the training likes, in their pattern, NaN where unknown; None where all are."""
    rows = mart.interactions
    times = rows.occurred_at[(rows.split == TRAIN) & (rows.label == LIKE)]
    if not np.isfinite(times).any():
        return None
    return sparse.csr_matrix((times, likes.indices, likes.indptr), likes.shape)


def _score(name: str, scorer: Scorer, holdout: Holdout, on_scored: Notify) -> Evaluation:
    evaluation = evaluate(name, scorer, holdout)
    values = evaluation.metrics
    on_scored(f"{name}: recall@20 {values['recall@20']:.4f}, ndcg@20 {values['ndcg@20']:.4f}")
    return evaluation
