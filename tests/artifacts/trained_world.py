"""A small world with everything a catalogue can have, and towers trained on it within a second or two."""

import copy
import uuid
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from trainer.histories import HistoryConfig
from trainer.mart import Catalogue, Interactions, Mart, make_mart
from trainer.trained import TrainedModel
from trainer.training import TrainingConfig, fit

N_VIDEOS, N_USERS = 240, 60
TASTES = 6


def video_id(number: int) -> str:
    """The uuid of a video, in the order of its number."""
    return str(uuid.UUID(int=(number + 1) << 64 | 0x8000_0000_0000_0000))


def catalogue(n_videos: int = N_VIDEOS, *, seed: int = 0) -> Catalogue:
    """Six kinds of video: maker, tags, words of the title and price tell the kind."""
    rng = np.random.default_rng(seed)
    kind = np.arange(n_videos) % TASTES
    words = ["海辺の夏休み", "静かな図書館", "雪山の冒険", "deep space", "old harbour", "猫と料理"]
    nothing: list[str | None] = [None] * n_videos
    return Catalogue(
        video_ids=[video_id(n) for n in range(n_videos)],
        external_id=[f"abc{n:05d}" for n in range(n_videos)],
        title=[f"{words[k]} 第{n}話" for n, k in enumerate(kind)],
        description=nothing,
        maker=[f"maker {k}" if n % 11 else None for n, k in enumerate(kind)],
        label=nothing,
        series=nothing,
        director=nothing,
        genre=nothing,
        tags=[[f"tag {k}", f"tag {(k + n) % 4}"] for n, k in enumerate(kind)],
        performers=[[] for _ in kind],
        price=np.where(rng.random(n_videos) < 0.9, 300.0 + 200 * kind, np.nan),
        duration_seconds=np.full(n_videos, np.nan),
        released_on=15_000.0 + 300 * kind + np.arange(n_videos),
        popularity=np.zeros(n_videos, np.float32),
        n_likes=np.zeros(n_videos, np.int32),
        n_dislikes=np.zeros(n_videos, np.int32),
    )


def without_content(full: Catalogue, *, keep: tuple[str, ...] = ()) -> Catalogue:
    """The catalogue with only some of its columns filled."""
    n = len(full)
    empty = {
        "title": [None] * n,
        "maker": [None] * n,
        "tags": [[] for _ in range(n)],
        "price": np.full(n, np.nan),
        "released_on": np.full(n, np.nan),
    }
    return replace(full, **{name: value for name, value in empty.items() if name not in keep})


def mart(videos: Catalogue | None = None, *, seed: int = 0) -> Mart:
    """Everybody likes one kind and dislikes the next; reviewers and app users."""
    rng = np.random.default_rng(seed)
    videos = videos or catalogue()
    rows = []
    for user in range(N_USERS):
        kind = user % TASTES
        liked = rng.choice(np.arange(kind, N_VIDEOS, TASTES), 12, replace=False)
        disliked = rng.choice(np.arange((kind + 1) % TASTES, N_VIDEOS, TASTES), 3, replace=False)
        rows += [(user, item, 1) for item in liked] + [(user, item, 0) for item in disliked]
    user_index, item_index, label = np.array(rows).T
    interactions = Interactions(
        user_index.astype(np.int32),
        item_index.astype(np.int32),
        label.astype(np.int8),
        np.ones(len(rows), np.float32),
        1.7e9 + 86_400.0 * rng.integers(0, 300, len(rows)),
        np.where(rng.random(len(rows)) < 0.8, 0, 1).astype(np.int8),
        np.zeros(len(rows), np.bool_),
    )
    keys = [f"app:{uuid.UUID(int=n + 1)}" if n % 2 else f"review:{n}" for n in range(N_USERS)]
    return make_mart(videos, keys, interactions)


def train(world: Mart, **dials: Any) -> TrainedModel:
    """Towers after one epoch: real weights in every layer."""
    # a half life, weights by place, and fewer likes than most people have: all have to be the same everywhere
    history = HistoryConfig(max_likes=10, half_life_days=90.0, recency_power=0.4)
    settings = {"embedding_dim": 32, "epochs": 1, "refit": False, "hidden_units": 16, "history": history}
    return fit(world, TrainingConfig(**{**settings, **dials}))


def with_other_weights(model: TrainedModel) -> TrainedModel:
    """The same towers, every weight moved a little."""
    torch.manual_seed(1)
    towers = copy.deepcopy(model.towers)
    for weight in towers.parameters():
        weight.data += 0.1 * torch.randn_like(weight)
    return replace(model, towers=towers)
