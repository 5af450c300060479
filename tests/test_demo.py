"""The demo's people and files are the same everywhere, and it never mixes itself with anybody's data."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import ExistingApp
from trainer import demo, migrations
from trainer.database import Address, connect
from trainer.demo_data import SAMPLE, VIDEOS_FILE, app_users, insert_decisions, is_app_user, write_reviews
from trainer.errors import DatabaseError
from trainer.load import load_file

MAX_SAMPLE_BYTES = 2_500_000  # what the repository has room for


@pytest.fixture(scope="module")
def reviews_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("demo") / "reviews.csv"
    write_reviews(path)
    return path


@pytest.fixture(scope="module")
def demo_template(
    migrated_template: Address, new_database: Callable[..., Address], reviews_file: Path
) -> Address:
    """A migrated database with the demo's data in it, before dbt."""
    address = new_database(migrated_template.parameters["dbname"])
    with connect(address) as connection:
        load_file(connection, "videos", VIDEOS_FILE)
        load_file(connection, "reviews", reviews_file)
        insert_decisions(connection)
    return address


def test_the_sample_is_small_and_keeps_its_licences() -> None:
    assert sum(path.stat().st_size for path in SAMPLE.iterdir()) < MAX_SAMPLE_BYTES
    for owner in ("MovieTweetings", "wikipedia-movie-data"):
        assert "MIT License" in (SAMPLE / f"LICENSE.{owner}").read_text()
        assert f"LICENSE.{owner}" in (SAMPLE / "README.md").read_text()


def test_the_same_people_are_app_users_everywhere(reviews_file: Path) -> None:
    assert [n for n in range(1, 60) if is_app_user(f"u{n}")] == [3, 10, 16, 27, 52, 55, 57, 58]
    assert len(app_users()) == 5_289
    sha256 = hashlib.sha256(reviews_file.read_bytes()).hexdigest()
    assert sha256 == "667e2c9506a404f4f3539a0c39f5d8596d0b5a061a1cde1939682d7406e046a4"


def test_every_rating_is_a_review_or_a_persons_decision_never_both(demo_template: Address) -> None:
    with connect(demo_template) as connection:
        counts = connection.execute(
            "select (select count(*) from public.videos), (select count(*) from raw.reviews),"
            " (select count(*) from public.user_video_decisions), (select count(*) from raw.rejected_lines)"
        ).fetchone()
        assert counts == (12_611, 105_478, 28_708, 0)
        assert connection.execute(
            "select count(*) from raw.reviews left join public.videos using (product_url) where id is null"
        ).fetchone() == (0,)
        people = connection.execute("select distinct reviewer_id from raw.reviews")
        assert not any(is_app_user(person) for (person,) in people)
        assert connection.execute(
            "select decision_type, count(*) from public.user_video_decisions group by 1 order by 1"
        ).fetchall() == [("dislike", 2_754), ("like", 25_954)]


def test_a_second_time_adds_nothing(demo_template: Address, reviews_file: Path) -> None:
    demo.refuse_other_data(demo_template, [VIDEOS_FILE, reviews_file])
    with connect(demo_template) as connection:
        assert insert_decisions(connection) == 0
        assert load_file(connection, "reviews", reviews_file).is_repeat
        (note,) = load_file(connection, "videos", VIDEOS_FILE).notes
        assert note == "0 new videos, 0 changed, 12,611 as they were"


def test_it_keeps_away_from_somebodys_data(database: Address, tmp_path: Path) -> None:
    demo.refuse_other_data(database, [VIDEOS_FILE])
    path = tmp_path / "mine.csv"
    path.write_text("product_url,reviewer_id,stars\na,u,5\n")
    with connect(database) as connection:
        load_file(connection, "reviews", path)
    with pytest.raises(DatabaseError, match=r"holds 1 loaded files, which.*PGDATABASE"):
        demo.refuse_other_data(database, [VIDEOS_FILE])
    demo.refuse_other_data(database, [VIDEOS_FILE, path])
    with connect(database) as connection:
        connection.execute("insert into public.videos (external_id, title) values ('a', 'A')")
        connection.execute(
            "insert into public.user_video_decisions select gen_random_uuid(), id, 'like' from public.videos"
        )
    with pytest.raises(DatabaseError, match="holds 1 decisions"):
        demo.refuse_other_data(database, [VIDEOS_FILE, path])


@pytest.mark.parametrize("existing_app", ["seed_a"], indirect=True)
def test_it_keeps_away_from_an_app(existing_app: ExistingApp) -> None:
    with pytest.raises(DatabaseError, match="the tables of an app"):
        demo.refuse_other_data(existing_app.owner, [VIDEOS_FILE])
    migrations.migrate(existing_app.owner)
    with pytest.raises(DatabaseError, match="the catalogue of an app"):
        demo.refuse_other_data(existing_app.owner, [VIDEOS_FILE])


def test_a_database_that_is_missing_is_made(server_address: Address) -> None:
    missing = Address(server_address.parameters | {"dbname": "demo Of My Own"})
    demo.ensure_database(missing)
    demo.ensure_database(missing)
    with connect(missing) as connection:
        assert connection.execute("select current_database()").fetchone() == ("demo Of My Own",)


def test_elsewhere_nothing_is_started() -> None:
    where = {"host": "192.0.2.1", "port": "1", "user": "u", "password": "p", "dbname": "d"}
    nobody = Address(where | {"connect_timeout": "2"})  # 192.0.2.0/24 is nobody's: RFC 5737
    with pytest.raises(DatabaseError, match="no connection to u@192"):
        demo.ensure_database(nobody)
