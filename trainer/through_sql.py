"""Evaluation of what really serves: the lists of the SQL functions, for holdout users, from the training cut.

Each stage adds one thing that may cost quality, so the loss has an address: `exact` ranks the whole
catalogue, `index` goes through HNSW, `filters` also limits the videos per maker and diversifies. `exact`
must agree with the evaluation in numpy; the difference between the first two is what the index costs.

The lists come from recsys.recommend: public.recommend_videos without the question who may ask. Holdout
users are reviewers too, and the live decisions must stay out. Shapes: N users, K places.

`write_ann_recall` keeps what the index costs where marts.rpt_model_health reads it.
"""

from dataclasses import dataclass
from typing import LiteralString

import numpy as np
from numpy.typing import NDArray

from trainer import metrics
from trainer.database import Connection
from trainer.errors import ReleaseError
from trainer.evaluation import is_in
from trainer.holdout import Holdout
from trainer.mart import Mart

K = 20
STAGES: dict[str, LiteralString] = {
    "exact": "is_exact => true",
    "index": "is_exact => false",
    "filters": "max_per_maker => 3, diversity => 0.2",
}
LISTS: LiteralString = """
    select asked.place - 1, listed.rank - 1, listed.video_id::text
    from unnest(%s::text[]) with ordinality as asked (user_key, place)
    cross join lateral recsys.recommend(
        asked.user_key, %s, version => %s, is_training_cut => true, {}
    ) as listed
"""


@dataclass(frozen=True)
class Stage:
    """One way of asking: its quality, and how many of the exact list's places it kept."""

    version: str
    n_users: int
    name: str
    recall: float
    ndcg: float
    kept: float


def evaluate_through_sql(
    connection: Connection, mart: Mart, holdout: Holdout, n_users: int = 500, seed: int = 0
) -> list[Stage]:
    """The stages in order, for `n_users` users with a relevant video in the holdout, chosen at random.

    Raises ReleaseError before the first promotion, or when nobody can be asked about.
    """
    row = connection.execute("select recsys.active_version()").fetchone()
    if row is None or row[0] is None:
        raise ReleaseError("no version serves", "train and promote one with `python -m trainer`")
    candidates = np.flatnonzero(np.diff(holdout.relevant.indptr) > 0)
    if not len(candidates):
        raise ReleaseError(
            "the holdout has no user to ask for", "raise the dbt variable val_ratio or test_ratio"
        )
    rng = np.random.default_rng(seed)
    users = np.sort(rng.choice(candidates, min(n_users, len(candidates)), replace=False))
    relevant = holdout.relevant[users]
    n_relevant = np.diff(relevant.indptr).astype(np.int64)
    keys = [mart.user_keys[user] for user in users]
    places = {video: place for place, video in enumerate(mart.catalogue.video_ids)}
    stages: list[Stage] = []
    exact_NK = np.empty((0, K), np.int32)
    for name, arguments in STAGES.items():
        lists_NK = _lists(connection, LISTS.format(arguments), (keys, K, row[0]), places)
        if name == "exact":
            exact_NK = lists_NK
        hits_NK = is_in(lists_NK, relevant)
        stages.append(
            Stage(
                str(row[0]),
                len(users),
                name,
                float(np.nanmean(metrics.recall(hits_NK, n_relevant, K))),
                float(np.nanmean(metrics.ndcg(hits_NK, n_relevant, K))),
                _share_kept(exact_NK, lists_NK),
            )
        )
    return stages


def write_ann_recall(connection: Connection, split: str, stages: list[Stage]) -> None:
    """The index's share of the exact lists, as metric `ann_recall@20` of model `index`; an older one goes."""
    index = next(stage for stage in stages if stage.name == "index")
    connection.execute(
        """
        insert into recsys.evaluations (model_version, model_name, split, metric, value, n_users)
        values (%s, 'index', %s, %s, %s, %s)
        on conflict (model_version, model_name, split, slice, metric)
        do update set value = excluded.value, n_users = excluded.n_users, evaluated_at = now()
        """,
        (index.version, split, f"ann_recall@{K}", index.kept, index.n_users),
    )


def _lists(
    connection: Connection,
    statement: LiteralString,
    values: tuple[list[str], int, str],
    places: dict[str, int],
) -> NDArray[np.int32]:
    """[N, K] catalogue indices by rank; -1 where a list ends, or names a video newer than the marts."""
    lists_NK = np.full((len(values[0]), K), -1, np.int32)
    for user, rank, video in connection.execute(statement, values):
        lists_NK[user, rank] = places.get(video, -1)
    return lists_NK


def _share_kept(exact_NK: NDArray[np.int32], lists_NK: NDArray[np.int32]) -> float:
    pairs = zip(exact_NK.tolist(), lists_NK.tolist(), strict=True)
    shared = sum(len(set(exact) & set(listed) - {-1}) for exact, listed in pairs)
    return shared / max(int(np.count_nonzero(exact_NK >= 0)), 1)
