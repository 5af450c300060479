"""Rows for scale: MovieTweetings blown up by copies, for throughput and memory only, never for quality.

Each of `copies` user copies keeps 95 % of the users' ratings; copy c lives in item block c % 8; a tenth of
its ratings move to a random other block, so that blocks are connected. 44 copies give 5.9 million rows,
900,000 users, 100,000 videos. Deterministic.
"""

import csv
import gzip
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

BLOCKS = 8


def read_ratings(data: Path) -> np.ndarray:
    """int64 [rows, 4]: user, item, rating 0-10, unix seconds."""
    with gzip.open(data / "interactions.csv.gz", "rt", encoding="utf-8") as file:
        rows = list(csv.reader(file))[1:]
    return np.array([[int(value) for value in row] for row in rows], dtype=np.int64)


def review_batches(data: Path, copies: int, seed: int = 0) -> Iterator[pd.DataFrame]:
    """One frame per copy with the columns of raw.reviews that a file has."""
    ratings = read_ratings(data)
    random = np.random.default_rng(seed)
    n_users = ratings[:, 0].max() + 1
    for copy in range(copies):
        kept = ratings[random.random(len(ratings)) < 0.95].copy()
        block = np.full(len(kept), copy % BLOCKS)
        moved = random.random(len(kept)) < 0.1
        block[moved] = random.integers(0, BLOCKS, moved.sum())
        users = kept[:, 0] + copy * n_users
        items = kept[:, 1] * BLOCKS + block
        stars = np.maximum(1, -(-kept[:, 2] // 2))
        yield pd.DataFrame(
            {
                "product_url": [f"https://www.imdb.com/title/tt{item}/" for item in items],
                "reviewer_id": [f"u{user}" for user in users],
                "stars": stars.astype(str),
                "reviewed_at": kept[:, 3].astype(str),
            }
        )


def videos(data: Path) -> pd.DataFrame:
    """The catalogue: every film once per block, with its maker and tags (`|` separated)."""
    films = pd.read_csv(data / "items.csv.gz", dtype=str)
    blocks = []
    for block in range(BLOCKS):
        ids = films["item_id"].astype(int) * BLOCKS + block
        blocks.append(
            pd.DataFrame(
                {
                    "external_id": "tt" + ids.astype(str),
                    "title": films["title"],
                    "maker": films["maker"],
                    "tags": films["tags"].fillna(""),
                    "product_url": "https://www.imdb.com/title/tt" + ids.astype(str) + "/",
                }
            )
        )
    return pd.concat(blocks, ignore_index=True)
