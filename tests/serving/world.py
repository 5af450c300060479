"""A small world whose vectors are known: marts made by hand (with the contract's columns), random towers, and
the user tower written a second time in numpy, straight from the formula."""

import uuid
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import numpy as np

from trainer.database import Connection
from trainer.release import VersionBundle

MARTS = """
create schema if not exists marts;
create table marts.decision_labels (decision text primary key, label smallint);
insert into marts.decision_labels
values ('like', 1), ('swipe_like', 1), ('nope', 0), ('swipe_nope', 0), ('skip', null);
create table marts.dim_videos (
    video_id uuid primary key, title text, maker text, price numeric, duration_seconds integer,
    released_on date, tags text[], n_likes bigint, n_dislikes bigint, popularity real
);
create table marts.fct_interactions (
    user_key text not null, video_id uuid not null, label smallint, weight real not null default 1,
    source text not null, match_rule text, occurred_at timestamptz, split text,
    is_seen_only boolean not null, is_split_from_file boolean not null default false,
    primary key (user_key, video_id)
);
"""
EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Event:
    """A row of the marts: label 1, 0 or None (seen only)."""

    user_key: str
    video: int
    label: int | None
    day: float | None
    split: str | None = "train"
    is_split_from_file: bool = False


@dataclass(frozen=True)
class World:
    """N videos of D dimensions, users with histories, one random tower."""

    video_ids: list[str]
    item_vectors: np.ndarray
    history_vectors: np.ndarray
    layers: dict[str, tuple[np.ndarray, np.ndarray]]
    config: dict
    events: list[Event]
    prices: np.ndarray
    durations: np.ndarray
    years: np.ndarray
    makers: list[str]
    tags: list[list[str]]
    user_keys: list[str] = field(default_factory=list)

    @property
    def dim(self) -> int:
        return self.item_vectors.shape[1]

    def history(self, user_key: str, split: str | None = None) -> dict[int, list[tuple[float, str, int]]]:
        """label (-1: only seen) -> (day, video id, video) newest first, cut to what the tower reads; `split`
        narrows what has one."""
        chosen: dict[int, list[tuple[float, str, int]]] = {0: [], 1: [], -1: []}
        for event in self.events:
            hidden = event.is_split_from_file and event.split == "test"
            if (
                event.user_key == user_key
                and (event.label is None or split in (None, event.split))
                and not hidden
            ):
                day = -np.inf if event.day is None else event.day
                label = -1 if event.label is None else event.label
                chosen[label].append((day, self.video_ids[event.video], event.video))
        most = self.config["history"]["max_likes"]
        limits = {1: most, -1: most, 0: self.config["history"]["max_dislikes"]}
        return {
            label: sorted(rows, key=lambda r: (-r[0], r[1]))[: limits[label]]
            for label, rows in chosen.items()
        }

    def user_vector(self, user_key: str, split: str | None = None) -> np.ndarray | None:
        """u, from the formula of the contract, in float64."""
        history = self.history(user_key, split)
        if not history[1]:
            return None
        x = self.tower_input(history)
        (skip, skip_bias) = self.layers["skip"]
        u = skip @ x + skip_bias
        if "hidden" in self.layers:
            hidden, hidden_bias = self.layers["hidden"]
            u = u + self.layers["output"][0] @ np.maximum(hidden @ x + hidden_bias, 0)
        return u / np.linalg.norm(u)

    def tower_input(self, history: dict[int, list[tuple[float, str, int]]]) -> np.ndarray:
        """x = [p; q; aggregates]."""
        pooled = [self._pool(self.weighed(history, *labels)) for labels in ((1, -1), (0,))]
        return np.concatenate([*pooled, self._aggregates(history)])

    def weighed(
        self, history: dict[int, list[tuple[float, str, int]]], *labels: int
    ) -> list[tuple[float, int]]:
        """(w, video) of the rows of some labels."""
        shares = {-1: self.config["history"]["seen_weight"]}
        return [pair for label in labels for pair in self._weighed(history[label], shares.get(label, 1.0))]

    def _weighed(self, rows: list[tuple[float, str, int]], share: float) -> list[tuple[float, int]]:
        half_life = self.config["history"]["half_life_days"]
        power = self.config["history"]["recency_power"]
        weighed = []
        for place, (day, _, video) in enumerate(rows, 1):
            known = half_life is not None and np.isfinite(day)
            weight = (0.5 ** ((rows[0][0] - day) / half_life) if known else 1.0) * place**-power
            weighed.append((share * weight, video))
        return weighed

    def _pool(self, weighed: list[tuple[float, int]]) -> np.ndarray:
        pooled, mass = np.zeros(self.dim), 0.0
        for weight, video in weighed:
            pooled += weight * self.history_vectors[video].astype(float)
            mass += weight
        return pooled / mass ** self.config["history"]["pooling_exponent"] if mass else pooled

    def _aggregates(self, history: dict[int, list[tuple[float, str, int]]]) -> np.ndarray:
        liked = [video for _, _, video in history[1]]
        raw = {
            "log_n_likes": np.log1p(len(liked)),
            "log_n_dislikes": np.log1p(len(history[0])),
            "mean_log_price": _mean(np.log1p(self.prices[liked])),
            "mean_log_duration": _mean(np.log1p(self.durations[liked])),
            "mean_release_year": _mean(self.years[liked]),
        }
        scaled = [(raw[a["name"]] - a["mean"]) / a["std"] for a in self.config["aggregates"]]
        return np.nan_to_num(np.array(scaled))

    def bundle(self, version: str, users: list[str] | None = None, **changes: object) -> VersionBundle:
        """The world as a version; `users` get a stored vector (default: every user with a like)."""
        keys = [key for key in (users or self.user_keys) if self.history(key)[1]]
        vectors = [self.user_vector(key) for key in keys]
        rows = []
        for name, (weights, biases) in self.layers.items():
            rows += [
                (name, k, w.tolist(), float(b)) for k, (w, b) in enumerate(zip(weights, biases, strict=True))
            ]
        bundle = VersionBundle(
            version=version,
            embedding_dim=self.dim,
            video_ids=self.video_ids,
            item_vectors=self.item_vectors,
            history_vectors=self.history_vectors,
            user_keys=keys,
            user_vectors=np.array(vectors, np.float32).reshape(len(keys), self.dim),
            tower_rows=rows,
            config=self.config,
        )
        return replace(bundle, **changes)


def _mean(values: np.ndarray) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else np.nan


def app_user(number: int) -> str:
    """The uuid of the app's user `number`."""
    return str(uuid.UUID(int=0xA000_0000_0000_0000_0000 + number))


def make_world(
    *,
    n_videos: int = 60,
    n_users: int = 12,
    dim: int = 16,
    hidden_units: int = 8,
    half_life_days: float | None = 30.0,
    recency_power: float = 0.4,
    seen_weight: float = 0.25,
    events_per_user: int = 12,
    max_likes: int = 8,
    seed: int = 0,
) -> World:
    """Random vectors and histories; even users are app users, odd ones reviewers; some times are unknown."""
    rng = np.random.default_rng(seed)
    items = rng.normal(size=(n_videos, dim))
    items /= np.linalg.norm(items, axis=1, keepdims=True)
    names = ["log_n_likes", "log_n_dislikes", "mean_log_price", "mean_log_duration", "mean_release_year"]
    width = 2 * dim + len(names)
    layers = {"skip": (rng.normal(size=(dim, width)) / width**0.5, rng.normal(size=dim) * 0.1)}
    if hidden_units:
        layers["hidden"] = (
            rng.normal(size=(hidden_units, width)) / width**0.5,
            rng.normal(size=hidden_units),
        )
        layers["output"] = (rng.normal(size=(dim, hidden_units)) / hidden_units**0.5, np.zeros(dim))
    layers = {name: (w.astype(np.float32), b.astype(np.float32)) for name, (w, b) in layers.items()}
    keys = [f"app:{app_user(u)}" if u % 2 == 0 else f"review:{u}" for u in range(n_users)]
    events = []
    for key in keys:
        for place, video in enumerate(rng.choice(n_videos, events_per_user, replace=False)):
            label = None if place == 0 else int(rng.random() < 0.7)
            day = None if rng.random() < 0.1 else float(rng.integers(0, 300 * 24)) / 24
            split = None if label is None else ("val" if place == 1 else "train")
            events.append(Event(key, int(video), label, day, split))
    prices = rng.integers(100, 3000, n_videos).astype(float)
    prices[rng.random(n_videos) < 0.2] = np.nan
    days = rng.integers(10000, 20000, n_videos)
    return World(
        video_ids=sorted(str(uuid.UUID(bytes=rng.bytes(16))) for _ in range(n_videos)),
        item_vectors=items.astype(np.float32),
        history_vectors=rng.normal(size=(n_videos, dim)).astype(np.float32),
        layers=layers,
        config={
            "history": {
                "max_likes": max_likes,
                "max_dislikes": 3,
                "pooling_exponent": 0.5,
                "half_life_days": half_life_days,
                "recency_power": recency_power,
                "seen_weight": seen_weight,
            },
            "aggregates": [{"name": name, "mean": 0.5 + k, "std": 2.0 + k} for k, name in enumerate(names)],
            "hidden_units": hidden_units,
        },
        events=events,
        prices=prices,
        durations=rng.integers(600, 9000, n_videos).astype(float),
        years=days / 365.25,
        makers=[f"maker {k % 7}" for k in range(n_videos)],
        tags=[["all", *(["rare"] if k % 20 == 0 else []), f"tag {k % 5}"] for k in range(n_videos)],
        user_keys=keys,
    )


def unequal_lengths(n_videos: int, rng: np.random.Generator) -> np.ndarray:
    """[N] of how long videos are in the ranking coordinates of a model of real ratings: half below .054, a
    tenth above .14 and a hundredth above .56 (measured: .054, .17, .58)."""
    return np.minimum(0.95, 0.054 * (2 * rng.random(n_videos)) ** -0.6)


def of_lengths(ranked: np.ndarray, alike: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Unit vectors [N, D] as training makes them: ranking coordinates of these lengths, the rest fills up."""
    parts = [
        part / np.linalg.norm(part, axis=1, keepdims=True) * length[:, None]
        for part, length in ((ranked, lengths), (alike, np.sqrt(1 - lengths**2)))
    ]
    return np.concatenate(parts, axis=1).astype(np.float32)


def with_unequal_lengths(world: World, n_ranked: int, seed: int = 0) -> World:
    """The same world with such vectors, and a tower whose users lie in the first `n_ranked` coordinates."""
    items = world.item_vectors
    lengths = unequal_lengths(len(items), np.random.default_rng(seed))
    layers = {name: (weights.copy(), biases.copy()) for name, (weights, biases) in world.layers.items()}
    for name in {"skip", "output"} & layers.keys():
        for array in layers[name]:
            array[n_ranked:] = 0
    return replace(
        world,
        item_vectors=of_lengths(items[:, :n_ranked], items[:, n_ranked:], lengths),
        layers=layers,
        config=world.config | {"n_ranked": n_ranked},
    )


def fill_catalogue(connection: Connection, world: World) -> None:
    """public.videos, tags and video_tags."""
    rows = [
        (video, f"ext-{k}", f"Title {k}", world.makers[k], EPOCH - timedelta(days=k))
        for k, video in enumerate(world.video_ids)
    ]
    names = sorted({tag for tags in world.tags for tag in tags})
    tagged = [(video, tag) for video, tags in zip(world.video_ids, world.tags, strict=True) for tag in tags]
    with connection.cursor() as cursor:
        cursor.executemany(
            "insert into public.videos (id, external_id, title, maker, created_at, source)"
            " values (%s, %s, %s, %s, %s, 'test')",
            rows,
        )
        cursor.executemany("insert into public.tags (name) values (%s)", [(name,) for name in names])
        cursor.executemany(
            "insert into public.video_tags (video_id, tag_id) select %s, id from public.tags where name = %s",
            tagged,
        )


def fill_marts(connection: Connection, world: World) -> None:
    """marts.*, as dbt would have built them from reviews and a decisions file."""
    connection.execute(MARTS)
    days = np.round(world.years * 365.25).astype(int)
    videos = [
        (
            video,
            f"Title {k}",
            world.makers[k],
            None if np.isnan(world.prices[k]) else int(world.prices[k]),
            int(world.durations[k]),
            int(days[k]),
            world.tags[k],
        )
        for k, video in enumerate(world.video_ids)
    ]
    events = [
        (
            event.user_key,
            world.video_ids[event.video],
            event.label,
            "review" if event.user_key.startswith("review") else "decision",
            None if event.day is None else EPOCH - timedelta(days=300 - event.day),
            event.split,
            event.label is None,
            event.is_split_from_file,
        )
        for event in world.events
    ]
    with connection.cursor() as cursor:
        cursor.executemany(
            "insert into marts.dim_videos"
            " (video_id, title, maker, price, duration_seconds, released_on, tags)"
            " values (%s, %s, %s, %s, %s, date '1970-01-01' + %s, %s)",
            videos,
        )
        cursor.executemany(
            "insert into marts.fct_interactions (user_key, video_id, label, source, occurred_at, split,"
            " is_seen_only, is_split_from_file) values (%s, %s, %s, %s, %s, %s, %s, %s)",
            events,
        )
