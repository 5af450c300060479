"""`dbt build` on every database it may meet: empty, the existing app half broken; twice in a row."""

from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import ExistingApp
from marts import snapshot
from marts.conftest import Build
from marts.dirty_world import write
from marts.world import World, user_uuid, video_uuid
from trainer.database import Address, connect
from trainer.errors import DatabaseError, MartError


def test_an_empty_database_gets_empty_marts_twice(empty_database: Address, build: Build) -> None:
    assert not build(empty_database).warnings
    first = snapshot.marts(empty_database)
    assert all(not found for found in first.values())
    build(empty_database)
    assert snapshot.marts(empty_database) == first


def test_everything_built_is_described_in_the_database(empty_database: Address, build: Build) -> None:
    build(empty_database)
    with connect(empty_database) as connection:
        undescribed = connection.execute(
            "select pg_class.relname, attname from pg_attribute"
            " inner join pg_class on pg_class.oid = attrelid"
            " where relnamespace::regnamespace::text ~ '^(marts|martello_staging|martello_intermediate)$'"
            " and relkind in ('r', 'v') and attnum > 0 and not attisdropped"
            " and col_description(attrelid, attnum) || obj_description(attrelid, 'pg_class') is null"
        ).fetchall()
    assert undescribed == []


def test_the_same_lines_build_the_same_marts(
    make_world: Callable[[], tuple[Address, World]], build: Build
) -> None:
    address, world = make_world()
    write(world)
    n_tests = build(address).n_tests
    first = snapshot.marts(address)
    assert build(address, with_unit_tests=True).n_tests > n_tests + 5
    assert snapshot.marts(address) == first
    build(address, full_refresh=True)
    assert snapshot.marts(address) == first


def fill_app(existing_app: ExistingApp) -> None:
    """Two videos, a tag that is not for training where the app can say so, and two decisions."""
    is_late = existing_app.date == "later_still"
    with connect(existing_app.superuser, autocommit=True) as admin:
        for name in ("one", "two"):
            columns, values = (
                "id, external_id, title, source, price",
                [video_uuid(name), name, name, "fanza", 980],
            )
            if is_late:
                columns, values = f"{columns}, has_performer", [*values, False]
            places = ", ".join(["%s"] * len(values))
            admin.execute(f"insert into public.videos ({columns}) values ({places})".encode(), values)
        group = admin.execute("insert into public.tag_groups (name) values ('g') returning id").fetchone()
        assert group is not None
        if is_late:
            admin.execute("update public.tag_groups set use_for_training = false")
        tag = admin.execute(
            "insert into public.tags (name, tag_group_id) values ('hidden', %s) returning id", group
        ).fetchone()
        assert tag is not None
        admin.execute(
            "insert into public.video_tags (video_id, tag_id) values (%s, %s)", [video_uuid("one"), tag[0]]
        )
        admin.execute("insert into auth.users (id) values (%s)", [user_uuid("app")])
        words = ("swipe_like", "grid_nope") if is_late else ("like", "nope")
        for name, word in zip(("one", "two"), words, strict=True):
            admin.execute(
                "insert into public.user_video_decisions (user_id, video_id, decision_type)"
                " values (%s, %s, %s)",
                [user_uuid("app"), video_uuid(name), word],
            )


def test_the_existing_app_is_read_as_it_is(existing_app: ExistingApp, build: Build) -> None:
    """As its owner, who is no superuser, at each of its dates, without any table of ours."""
    fill_app(existing_app)
    assert not build(existing_app.owner).warnings
    with connect(existing_app.owner, autocommit=True) as owner:
        found = owner.execute(
            "select user_key, video_id, label, source, match_rule from marts.fct_interactions"
            " order by label desc"
        ).fetchall()
        user = f"app:{user_uuid('app')}"
        assert found == [
            (user, video_uuid("one"), 1, "app", "app"),
            (user, video_uuid("two"), 0, "app", "app"),
        ]
        tags = owner.execute("select tags from marts.dim_videos where external_id = 'one'").fetchone()
        assert tags == (([] if existing_app.date == "later_still" else ["hidden"]),)
        owner.execute("alter table public.videos alter column title type varchar(500)")
        owner.execute("drop table public.user_video_decisions cascade")  # nothing of ours is in the app's way


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        (
            "alter table raw.reviews drop column stars",
            "raw.reviews.stars is missing; run `python -m trainer db migrate`",
        ),
        (
            "alter table public.videos alter column external_id type integer using 1",
            "public.videos.external_id is integer and must be text",
        ),
    ],
)
def test_a_broken_contract_stops_with_name_and_remedy(
    database: Address, build: Build, statement: str, expected: str
) -> None:
    with connect(database, autocommit=True) as connection:
        connection.execute(statement.encode())
        with pytest.raises(MartError, match="^dbt stopped: " + expected):
            build(database)
        assert connection.execute("select to_regclass('marts.fct_interactions')").fetchone() == (None,)


def test_no_connection_is_one_line(server_address: Address, build: Build) -> None:
    nowhere = Address(server_address.parameters | {"dbname": "nowhere", "password": "s3cret-word"})
    with pytest.raises(DatabaseError) as failure:
        build(nowhere)
    assert "\n" not in str(failure.value) and "s3cret-word" not in str(failure.value)


def test_a_model_that_fails_is_named(
    make_world: Callable[[], tuple[Address, World]], build: Build, project_copy: Callable[[], Path]
) -> None:
    address, _ = make_world()
    project = project_copy()
    model = project / "models" / "staging" / "raw" / "stg_raw__loads.sql"
    model.write_text("select 1 / 0 as load_id\n", encoding="utf-8")
    (project / "models" / "staging" / "raw" / "raw_models.yml").unlink()
    model.with_name("sources.yml").write_text(model.with_name("sources.yml").read_text(encoding="utf-8"))
    with pytest.raises(MartError, match="could not build"):
        build(address, project=project, target=project.parent / "target", select=["+int_outcome_counts"])


def test_an_unknown_selector_is_not_a_success(database: Address, build: Build) -> None:
    with pytest.raises(MartError, match="nothing in the dbt project is called no_such_model"):
        build(database, select=["no_such_model"])
