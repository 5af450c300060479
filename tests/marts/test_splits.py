"""Splits against a slow twin in Python: for every user and row, for several ratios, for both strategies."""

import hashlib
import random
from collections.abc import Callable
from datetime import datetime
from fractions import Fraction
from math import floor

import pytest

from marts.conftest import Build
from marts.world import World, video_uuid
from trainer.database import Address, connect

N_USERS, N_VIDEOS = 40, 30


@pytest.fixture(scope="module")
def world(make_world: Callable[[], tuple[Address, World]]) -> Address:
    """Users with 1 to 30 reviews, some without a time, some split by the file, some of middle stars."""
    address, world = make_world()
    world.videos(*({"external_id": f"abc{n:05}"} for n in range(N_VIDEOS)))
    rng = random.Random(7)
    lines = []
    for user in range(N_USERS):
        for video in rng.sample(range(N_VIDEOS), 1 + user * N_VIDEOS // N_USERS):
            time = rng.choice([None, 1_600_000_000 + rng.randrange(50) * 86_400])
            lines.append(
                {
                    "product_url": f"https://www.dmm.co.jp/digital/videoa/-/detail/=/cid=abc{video:05}/",
                    "reviewer_id": f"u{user}",
                    "stars": rng.choice(["1", "3", "5", "5"]),
                    "reviewed_at": None if time is None else str(time),
                    "split": rng.choice([None] * 18 + ["train", " Test "]),
                }
            )
    rng.shuffle(lines)
    world.reviews(*lines)
    return address


def share(n: int, ratio: str) -> int:
    return 0 if Fraction(ratio) == 0 or n < 2 else max(1, floor(n * Fraction(ratio)))


def stratified(rows: list[tuple[str, int]], val_ratio: str, test_ratio: str) -> dict[tuple[str, int], str]:
    """(user, video) -> split of rows that no file has split."""
    splits = {}
    for user in {user for user, _ in rows}:
        videos = [video for name, video in rows if name == user]
        videos.sort(key=lambda v: hashlib.md5(f"{user} abc{v:05}".encode()).hexdigest())
        n_test, n_val = share(len(videos), test_ratio), share(len(videos), val_ratio)
        for place, video in enumerate(videos, 1):
            kind = "test" if place <= n_test else "val" if place <= n_test + n_val else "train"
            splits[user, video] = kind
    return splits


def temporal(
    times: dict[tuple[str, int], datetime | None], val: str, test: str
) -> dict[tuple[str, int], str]:
    dated = sorted(time for time in times.values() if time is not None)
    n = len(dated)
    test_after = dated[n - floor(n * Fraction(test)) - 1]
    val_after = dated[n - floor(n * (Fraction(test) + Fraction(val))) - 1]
    return {
        pair: "train" if time is None or time <= val_after else "val" if time <= test_after else "test"
        for pair, time in times.items()
    }


@pytest.mark.parametrize(
    ("strategy", "val", "test"),
    [
        ("user_stratified", "0.2", "0.0"),
        ("user_stratified", "0.29", "0.1"),
        ("user_stratified", "0", "0.5"),
        ("temporal", "0.2", "0.1"),
        ("temporal", "0.3", "0"),
    ],
)
def test_like_the_twin(world: Address, build: Build, strategy: str, val: str, test: str) -> None:
    dials = {"split_strategy": strategy, "val_ratio": float(val), "test_ratio": float(test)}
    build(world, vars=dials, select=["+fct_interactions"])
    with connect(world) as connection:
        found = connection.execute(
            "select user_key, video_id, occurred_at, split, is_split_from_file, label, is_seen_only"
            " from marts.fct_interactions"
        ).fetchall()
    number = {video_uuid(f"abc{n:05}"): n for n in range(N_VIDEOS)}
    assert all((split is None) == seen_only == (label is None) for *_, split, _, label, seen_only in found)
    to_split = {
        (user, number[video]): time
        for user, video, time, _, from_file, label, _ in found
        if label is not None and not from_file
    }
    twin = temporal(to_split, val, test) if strategy == "temporal" else stratified(list(to_split), val, test)
    assert {(row[0], number[row[1]]): row[3] for row in found if (row[0], number[row[1]]) in to_split} == twin
    assert {row[3] for row in found if row[4]} == {"train", "test"}
    assert {"train", *(["val"] if Fraction(val) else []), *(["test"] if Fraction(test) else [])} == set(
        twin.values()
    )
