"""The whole path, files to SQL answer: a world whose answer is known, and a slice of the real sample."""

import csv
import gzip
import json
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from trainer import pipeline, release, switch
from trainer.database import Address, Connection, connect
from trainer.demo_data import SAMPLE, VIDEOS_FILE
from trainer.errors import ReleaseError
from trainer.load import load_files
from trainer.transform import dbt_build

N_VIDEOS, N_USERS, N_DISLIKED = 40, 60, 3


def user_id(user: int) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"checkerboard user {user}"))


def withheld(user: int) -> int:
    """The one video of the user's colour that no file mentions."""
    return (2 * user + user % 2) % N_VIDEOS


def write_checkerboard(folder: Path) -> tuple[Path, Path]:
    """Users and videos are even or odd. All of one's own kind is liked but one, some of the other not."""
    videos, decisions = folder / "videos.csv", folder / "decisions.csv"
    with videos.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["external_id", "title", "maker"])
        rows.writerows([f"abc{v:05}", f"Video {v}", f"maker {v % 7}"] for v in range(N_VIDEOS))
    with decisions.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["user_id", "video_id", "decision"])
        for user in range(N_USERS):
            own = [v for v in range(N_VIDEOS) if v % 2 == user % 2 and v != withheld(user)]
            other = [v for v in range(N_VIDEOS) if v % 2 != user % 2][user % 5 :: 5][:N_DISLIKED]
            rows.writerows([user_id(user), f"abc{v:05}", "LIKE"] for v in own)
            rows.writerows([user_id(user), f"abc{v:05}", "DISLIKE"] for v in other)
    return videos, decisions


@dataclass(frozen=True)
class Released:
    """A database with a version that serves, and where its files are."""

    connection: Connection
    address: Address
    version: str
    out_dir: Path


def release_from(address: Address, files: dict[str, Path], folder: Path) -> Iterator[Released]:
    with connect(address) as loading:
        for kind, path in files.items():
            list(load_files(loading, kind, [path]))
    dbt_build(address, target=folder / "dbt")
    outcome = pipeline.run(address, job=pipeline.Job(out_dir=folder / "artifacts", baselines=("popularity",)))
    assert outcome.version is not None
    with connect(address, autocommit=True) as connection:
        yield Released(connection, address, outcome.version, folder / "artifacts")


@pytest.fixture(scope="module")
def checkerboard(
    new_database: Callable[..., Address], migrated_template: Address, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Released]:
    folder = tmp_path_factory.mktemp("checkerboard")
    videos, decisions = write_checkerboard(folder)
    address = new_database(migrated_template.parameters["dbname"])
    yield from release_from(address, {"videos": videos, "decisions": decisions}, folder)


@pytest.fixture(scope="module")
def sample_slice(
    new_database: Callable[..., Address], migrated_template: Address, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Released]:
    """The last 20,000 reviews of the bundled sample with the whole catalogue."""
    folder = tmp_path_factory.mktemp("slice")
    reviews = folder / "reviews.csv"
    with gzip.open(SAMPLE / "reviews.csv.gz", "rt", encoding="utf-8") as lines:
        header, *rest = lines.readlines()
    reviews.write_text("".join([header, *rest[-20_000:]]), encoding="utf-8")
    address = new_database(migrated_template.parameters["dbname"])
    yield from release_from(address, {"videos": VIDEOS_FILE, "reviews": reviews}, folder)


def test_withheld_likes_come_back_on_top(checkerboard: Released) -> None:
    """Every user's first recommendation is the one video of their colour that nobody told us about."""
    found = {
        user: checkerboard.connection.execute(
            "select videos.external_id from public.recommend_videos(1, %s) as top"
            " inner join public.videos on videos.id = top.video_id",
            (user_id(user),),
        ).fetchone()
        for user in range(N_USERS)
    }
    assert found == {user: (f"abc{withheld(user):05}",) for user in range(N_USERS)}


def test_what_is_left_is_recommended_and_nothing_that_was_seen(checkerboard: Released) -> None:
    """User 0 is even: one even video is left and comes first, then the odd ones not disliked, none twice."""
    rows = checkerboard.connection.execute(
        "select videos.external_id from public.recommend_videos(100, %s) as listed"
        " inner join public.videos on videos.id = listed.video_id order by listed.rank",
        (user_id(0),),
    ).fetchall()
    odd = [v for v in range(N_VIDEOS) if v % 2]
    unseen = sorted(set(odd) - set(odd[0::5][:N_DISLIKED]))
    assert rows[0] == (f"abc{withheld(0):05}",)
    assert sorted(rows[1:]) == [(f"abc{v:05}",) for v in unseen]


def test_every_vector_the_app_reads_is_of_the_one_version(checkerboard: Released) -> None:
    counts = checkerboard.connection.execute(
        "select (select count(*) from public.video_embeddings where model_version = %(v)s),"
        " (select count(*) from public.user_embeddings where model_version = %(v)s),"
        " (select count(distinct model_version) from public.video_embeddings)",
        {"v": checkerboard.version},
    ).fetchone()
    assert counts == (N_VIDEOS, N_USERS, 1)


def test_a_second_version_takes_over_and_rollback_returns(checkerboard: Released) -> None:
    second = pipeline.run(
        checkerboard.address, job=pipeline.Job(out_dir=checkerboard.out_dir, baselines=("popularity",))
    )
    active = "select version from recsys.embedding_model_versions where is_active"
    assert checkerboard.connection.execute(active).fetchone() == (second.version,)
    switch.switch(checkerboard.address, checkerboard.out_dir, None)
    assert checkerboard.connection.execute(active).fetchone() == (checkerboard.version,)
    manifest = json.loads((checkerboard.out_dir / "two_tower/latest/manifest.json").read_text())
    assert manifest["current"]["version"] == checkerboard.version


def test_a_version_that_cannot_be_written_leaves_no_files(checkerboard: Released) -> None:
    """The database fails after the artifacts are there: the next run finds neither rows nor a folder."""
    connection, folder = checkerboard.connection, checkerboard.out_dir / "two_tower"
    before = sorted(path.name for path in folder.iterdir())
    connection.execute("alter table recsys.user_tower add constraint disk_full check (unit < 0) not valid")
    job = pipeline.Job(out_dir=checkerboard.out_dir, baselines=("popularity",))
    try:
        with pytest.raises(ReleaseError, match="disk_full"):
            pipeline.run(checkerboard.address, job=job)
    finally:
        connection.execute("alter table recsys.user_tower drop constraint disk_full")
    assert sorted(path.name for path in folder.iterdir()) == before


def test_a_dry_run_writes_nothing(checkerboard: Released, tmp_path: Path) -> None:
    before = [row["version"] for row in release.versions(checkerboard.connection)]
    job = pipeline.Job(out_dir=tmp_path / "artifacts", baselines=(), is_dry_run=True)
    assert pipeline.run(checkerboard.address, job=job).version is None
    assert [row["version"] for row in release.versions(checkerboard.connection)] == before
    assert not (tmp_path / "artifacts").exists()


def test_the_sample_is_served_with_titles(sample_slice: Released) -> None:
    """A reviewer with likes gets twenty unseen films, best first, by the vector and not by popularity."""
    heavy = sample_slice.connection.execute(
        "select user_key from marts.dim_users order by n_likes desc, user_key limit 1"
    ).fetchone()
    assert heavy is not None
    rows = sample_slice.connection.execute(
        "select listed.score, videos.title, listed.reason, listed.model_version, exists ("
        "select from marts.fct_interactions as met"
        " where met.user_key = %(user)s and met.video_id = listed.video_id)"
        " from recsys.recommend(%(user)s, 20) as listed"
        " inner join public.videos on videos.id = listed.video_id order by listed.rank",
        {"user": heavy[0]},
    ).fetchall()
    assert len(rows) == 20
    assert [row[0] for row in rows] == sorted((row[0] for row in rows), reverse=True)
    assert all(row[3] == sample_slice.version and "popular" not in row[2] for row in rows)
    assert not any(row[4] for row in rows)


def test_the_run_is_on_record(sample_slice: Released) -> None:
    models = sample_slice.connection.execute(
        "select model_name from recsys.evaluations where model_version = %s and slice = 'all'"
        " and metric = 'ndcg@20' and n_users > 100 order by 1",
        (sample_slice.version,),
    ).fetchall()
    assert models == [("popularity",), ("two_tower",)]
    folder = sample_slice.out_dir / "two_tower" / sample_slice.version
    version = sample_slice.version
    assert {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()} >= {
        f"two_tower_{version}.pt",
        f"two_tower_{version}.onnx",
        "user_tower.onnx",
        "item_tower.onnx",
        "mappings/user_id_map.json",
        "mappings/item_id_map.json",
        "vocabularies.json",
        "model_meta.json",
        "metrics.json",
    }
    for name in ("two_tower_latest.pt", "two_tower_latest.onnx", "model_meta.json"):
        assert (sample_slice.out_dir / name).is_file()
