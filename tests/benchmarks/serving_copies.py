"""A version as large as wanted, made of the one that serves in some database: itself, and copies of it.

A copy's tastes are turned by `TURN` of their length and its popularities moved by `SHIFT`, so that every
popular video gets near copies: harder to search than a catalogue that grows by what few people like.
"""

from dataclasses import dataclass

import numpy as np

from serving.world import app_user
from trainer import release
from trainer.database import Address, connect
from trainer.towers import LONGEST_SCORE

TURN, SHIFT = 0.6, 0.02
FEWEST_EVENTS = 3


@dataclass(frozen=True)
class Original:
    """What serves there: vectors [M, D], the tower, and some users' histories as (user, video, label)."""

    video_vectors: np.ndarray
    history_vectors: np.ndarray
    tower_rows: list[tuple[str, int, list[float], float]]
    config: dict
    events: list[tuple[int, int, int]]


def read_original(where: Address, n_users: int) -> Original:
    """The active version of a database, and users of its marts with `FEWEST_EVENTS` or more."""
    with connect(where) as connection:
        videos = connection.execute(
            "select video_id, embedding::real[], history_embedding::real[] from recsys.video_embeddings"
            " where model_version = recsys.active_version() order by video_id"
        ).fetchall()
        tower = connection.execute(
            "select layer, unit, weights::real[], bias from recsys.user_tower"
            " where model_version = recsys.active_version()"
        ).fetchall()
        config = connection.execute(
            "select config from recsys.embedding_model_versions where is_active"
        ).fetchone()
        events = connection.execute(
            """
            select users.place, facts.video_id, facts.label
            from marts.fct_interactions as facts
            inner join (
                select user_key, row_number() over (order by md5(user_key)) - 1 as place
                from marts.fct_interactions
                where label is not null
                group by user_key
                having count(*) >= %s
                order by md5(user_key)
                limit %s
            ) as users on users.user_key = facts.user_key
            where facts.label is not null
            """,
            (FEWEST_EVENTS, n_users),
        ).fetchall()
    place = {video: k for k, (video, _, _) in enumerate(videos)}
    return Original(
        np.array([row[1] for row in videos], np.float32),
        np.array([row[2] for row in videos], np.float32),
        tower,
        config[0] if config else {},
        [(user, place[video], label) for user, video, label in events if video in place],
    )


def copied(original: Original, video_ids: list[str], n_users: int) -> release.VersionBundle:
    """The version over so many videos; the vectors of users are left to `refresh_changed_users`."""
    rng, n_ranked = np.random.default_rng(0), int(original.config["n_ranked"])
    parts, n = [original.video_vectors], len(original.video_vectors)
    while len(parts) * n < len(video_ids):
        parts.append(_copy(original.video_vectors, n_ranked, rng))
    dim = original.video_vectors.shape[1]
    whatever = np.zeros((n_users, dim), np.float32)
    whatever[:, 0] = 1
    return release.VersionBundle(
        version="202601010000",
        embedding_dim=dim,
        video_ids=video_ids,
        item_vectors=np.concatenate(parts)[: len(video_ids)],
        history_vectors=np.tile(original.history_vectors, (len(parts), 1))[: len(video_ids)],
        user_keys=[f"app:{app_user(k)}" for k in range(n_users)],
        user_vectors=whatever,
        tower_rows=original.tower_rows,
        config=original.config,
    )


def _copy(vectors: np.ndarray, n_ranked: int, rng: np.random.Generator) -> np.ndarray:
    copy = vectors.copy()
    taste, ranked, alike = copy[:, : n_ranked - 1], copy[:, :n_ranked], copy[:, n_ranked:]
    turn = rng.normal(size=taste.shape).astype(np.float32)
    turn *= TURN * np.linalg.norm(taste, axis=1, keepdims=True) / np.linalg.norm(turn, axis=1, keepdims=True)
    taste += turn
    taste /= (1 + TURN**2) ** 0.5
    copy[:, n_ranked - 1] += SHIFT * rng.normal(size=len(copy)).astype(np.float32)
    ranked *= np.minimum(1, LONGEST_SCORE / np.linalg.norm(ranked, axis=1, keepdims=True))
    alike *= np.sqrt(1 - (ranked**2).sum(axis=1, keepdims=True)) / np.linalg.norm(
        alike, axis=1, keepdims=True
    )
    return copy
