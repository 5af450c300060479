"""Small marts made of arrays, whose right answers are known."""

import numpy as np

from trainer.mart import Catalogue, Interactions, Mart, make_mart


def catalogue(n: int, **columns: list) -> Catalogue:
    """n videos without anything but an id; `columns` overrides some lists or arrays."""
    none = [None] * n
    nan, zero = np.full(n, np.nan), np.zeros(n)
    defaults = {
        "video_ids": [f"{i:08x}-0000-4000-8000-000000000000" for i in range(n)],
        **dict.fromkeys(
            ("external_id", "title", "description", "maker", "label", "series", "director", "genre"), none
        ),
        "tags": [[] for _ in range(n)],
        "performers": [[] for _ in range(n)],
        **dict.fromkeys(("price", "duration_seconds", "released_on"), nan),
        "popularity": zero.astype(np.float32),
        "n_likes": zero.astype(np.int32),
        "n_dislikes": zero.astype(np.int32),
    }
    return Catalogue(**(defaults | columns))


def interactions(rows: list[tuple], times: list[float] | None = None) -> Interactions:
    """(user, item, label, split) tuples as columns."""
    user, item, label, split = (np.array(column) for column in zip(*rows, strict=True))
    n = len(rows)
    return Interactions(
        user.astype(np.int32),
        item.astype(np.int32),
        label.astype(np.int8),
        np.ones(n, np.float32),
        np.array(times, np.float64) if times else np.full(n, np.nan),
        split.astype(np.int8),
        np.zeros(n, np.bool_),
    )


def checkerboard(n_users: int = 120, n_items: int = 40, n_groups: int = 4, *, seed: int = 0) -> Mart:
    """Users like the videos of their own group only; one like of each is withheld (split test).

    A right model ranks the withheld one above every video of another group. Makers name the groups.
    """
    rng = np.random.default_rng(seed)
    rows = []
    for user in range(n_users):
        own = np.arange(user % n_groups, n_items, n_groups)
        withheld = rng.choice(own)
        liked = rng.choice(own, size=len(own) - 2, replace=False)
        rows += [(user, item, 1, 0) for item in liked if item != withheld]
        rows += [(user, (user + 1) % n_groups, 0, 0), (user, withheld, 1, 2)]
    makers = [f"maker {i % n_groups}" for i in range(n_items)]
    users = [f"review:{user:04d}" for user in range(n_users)]
    return make_mart(catalogue(n_items, maker=makers), users, interactions(rows))
