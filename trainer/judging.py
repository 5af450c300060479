"""The model, the champion that serves and the baselines, scored on one holdout: every report begins here."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy import sparse

from trainer import metrics
from trainer.baselines import NAMES, fit_baselines
from trainer.errors import MartError
from trainer.evaluation import Evaluation, evaluate, is_in
from trainer.features import groups_of, shuffled
from trainer.gate import Champion
from trainer.holdout import Holdout, split_matrices
from trainer.importance import Permutation, permutation_importance
from trainer.mart import LIKE, SEEN_ONLY, TEST, TRAIN, VAL, Mart
from trainer.ranking import Scorer, rank
from trainer.trained import TrainedModel

OWN_NAME, CHAMPION_NAME = "two_tower", "champion"
SPLIT_NAMES = {VAL: "val", TEST: "test"}
IMPORTANCE_USERS = (
    2_000  # enough for two digits of NDCG; every feature group ranks the catalogue for each of them
)

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
    *,
    is_tuned: bool = False,
) -> Judgement:
    """Score everybody on the mart's holdout; histories are those of the training cut.

    `baselines` are names of trainer.baselines, with settings that did well on several sets, or tuned on
    held-out training likes (minutes); one that is refused (too large) is said through `on_scored`.
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
    for fitted in fit_baselines(holdout.train, like_times(mart, holdout.train), baselines, is_tuned=is_tuned):
        if fitted.baseline is None:
            on_scored(f"{fitted.name} is left out: {fitted.note}")
        else:
            scored.append(_score(fitted.name, fitted.baseline.scorer, holdout, on_scored))
    return Judgement(SPLIT_NAMES[holdout_split(mart)], scored)


def feature_importance(mart: Mart, model: TrainedModel, seed: int = 0) -> dict[str, float]:
    """NDCG@20 lost when a feature group is dealt to other videos, over some IMPORTANCE_USERS users."""
    holdout, histories = build_holdout(mart), model.histories(mart, "train")
    users = np.flatnonzero(np.diff(holdout.relevant.indptr))
    users = np.sort(np.random.default_rng(seed).permutation(users)[:IMPORTANCE_USERS])
    relevant, of_users = holdout.relevant[users], histories.take(users)
    n_relevant = np.diff(relevant.indptr).astype(np.int64)

    def metrics_of(group: str | None, order: Permutation | None) -> dict[str, float]:
        features = model.features
        if group is not None and order is not None:
            features = shuffled(features, model.vocabularies, group, torch.from_numpy(order))
        items_ND, history_ND = model.item_vectors(features)
        scorer = (model.user_vectors(of_users, history_ND), items_ND)
        lists = rank(scorer, np.arange(len(users), dtype=np.int64), holdout.seen[users], None, 20).lists
        return {"ndcg@20": float(np.nanmean(metrics.ndcg(is_in(lists, relevant), n_relevant, 20)))}

    groups = dict.fromkeys(groups_of(model.vocabularies), len(mart.catalogue))
    return dict(permutation_importance(groups, metrics_of, repeats=1, seed=seed))


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
