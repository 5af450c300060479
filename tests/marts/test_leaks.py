"""Each fault that would spoil training unseen is let in once, and the build's own test must find it."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from marts.conftest import Build
from marts.world import World
from trainer.database import Address, Connection, connect
from trainer.errors import MartError


@pytest.fixture(scope="module")
def split_world(
    make_world: Callable[[], tuple[Address, World]], build: Build
) -> Iterator[tuple[Address, Connection]]:
    """Three users with ten likes each: two of each go to val."""
    address, world = make_world()
    world.videos(*({"external_id": f"abc{n:05}", "maker": "M", "price": n} for n in range(10)))
    url = "https://www.dmm.co.jp/digital/videoa/-/detail/=/cid=abc{:05}/"
    world.reviews(
        *(
            {
                "product_url": url.format(n),
                "reviewer_id": user,
                "stars": "5",
                "reviewed_at": str(1_700_000_000 + n),
            }
            for user in ("ann", "bob", "cid")
            for n in range(10)
        )
    )
    build(address)
    with connect(address, autocommit=True) as connection:
        yield address, connection


LEAKS = {
    "assert_histories_hold_training_rows_only": """
        update marts.fct_user_histories as h set liked_video_ids = h.liked_video_ids || f.video_id
        from marts.fct_interactions as f where f.user_key = h.user_key and f.split = 'val'""",
    "assert_popularity_is_from_training_rows": "update marts.dim_videos set n_likes = n_likes + 1",
    "assert_users_are_described_by_training_rows": "update marts.dim_users set n_likes = n_likes + 1",
    "assert_suspicious_users_are_left_out": "update marts.dim_users set is_suspicious = true",
    "assert_funnel_adds_up": "update marts.rpt_interaction_funnel set n_rows = n_rows - 1",
    "assert_numbers_are_of_one_user": """
        update martello_intermediate.int_load_users
        set user_no = (select min(user_no) from martello_intermediate.int_load_users)""",
    "assert_no_pair_is_in_two_splits": """
        alter table marts.fct_interactions drop constraint if exists {pkey};
        insert into marts.fct_interactions select user_key, video_id, label, weight, source, match_rule,
        occurred_at, 'val', is_seen_only, is_split_from_file
        from marts.fct_interactions where split = 'train'""",
}


@pytest.mark.parametrize("test", LEAKS)
def test_a_leak_stops_the_build(split_world: tuple[Address, Connection], build: Build, test: str) -> None:
    address, connection = split_world
    build(address, select=[test])  # without the leak it passes
    [(pkey,)] = connection.execute(
        "select quote_ident(conname) from pg_constraint where contype = 'p'"
        " and conrelid = 'marts.fct_interactions'::regclass"
    ).fetchall()
    connection.execute(LEAKS[test].replace("{pkey}", pkey).encode())
    with pytest.raises(MartError, match=f"the test {test} failed"):
        build(address, select=[test])
    build(address, full_refresh=True)  # as good as new
    assert connection.execute("select count(*) from marts.fct_interactions").fetchone() == (30,)


def test_a_build_looks_at_whom_it_made_and_dbt_test_at_everybody(
    split_world: tuple[Address, Connection], build: Build, repository: Path, tmp_path: Path
) -> None:
    address, connection = split_world
    build(address)  # nobody has changed
    test = "assert_histories_hold_training_rows_only"
    connection.execute(LEAKS[test].encode())
    build(address, select=[test])
    dbt = str(Path(sys.executable).with_name("dbt"))
    command = [dbt, "test", "--project-dir", "dbt_project", "--select", test, "--target-path", str(tmp_path)]
    outcome = subprocess.run(
        [*command, "--log-path", str(tmp_path)],
        cwd=repository,
        env={name: value for name, value in os.environ.items() if name != "DATABASE_URL"} | address.environ(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert outcome.returncode == 1 and f"Failure in test {test}" in outcome.stdout
    build(address, full_refresh=True)


def test_a_model_that_leaks_stops_the_whole_build(
    split_world: tuple[Address, Connection], build: Build, project_copy: Callable[[], Path]
) -> None:
    address, _ = split_world
    project = project_copy()
    model = project / "models" / "intermediate" / "int_user_training.sql"
    text = model.read_text(encoding="utf-8")
    assert "outcomes.split = 'train' and" in text
    model.write_text(text.replace("outcomes.split = 'train' and", ""), encoding="utf-8")
    with pytest.raises(MartError, match="the test assert_"):
        build(address, project=project, target=project.parent / "target")
