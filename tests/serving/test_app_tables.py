"""The existing app's own tables of vectors: filled in the types they have, by a plain owner."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest

from conftest import ExistingApp
from serving.world import World, app_user, fill_catalogue, fill_marts, make_world
from trainer import migrations, release
from trainer.database import Connection, connect
from trainer.errors import ReleaseError

FIRST, SECOND = "202601010000", "202601020000"
DIMENSIONS = {"seed_a": 256, "month_later": 256, "later_still": 128}


@dataclass
class App:
    date: str
    owner: Connection
    superuser: Connection
    world: World


@pytest.fixture
def app(existing_app: ExistingApp) -> Iterator[App]:
    world = make_world(dim=DIMENSIONS[existing_app.date])
    with (
        connect(existing_app.superuser, autocommit=True) as superuser,
        connect(existing_app.owner, autocommit=True) as owner,
    ):
        for number in (0, 2, 999):
            superuser.execute("insert into auth.users (id) values (%s)", (app_user(number),))
        migrations.migrate(owner)
        # pgvector is in schema extensions here, on the owner's search_path or not
        fill_catalogue(owner, world)
        fill_marts(owner, world)
        yield App(existing_app.date, owner, superuser, world)


def publish(app: App, version: str, **changes: object) -> dict[str, object]:
    release.write_version(app.owner, app.world.bundle(version, **changes))
    return release.promote(app.owner, version, force=True)


def test_filled_as_its_readers_expect(app: App) -> None:
    assert release.app_dimension(app.owner) == DIMENSIONS[app.date]
    switched = publish(app, FIRST)
    # six app users have a vector, two of them an account
    assert (switched["app_videos"], switched["app_users"]) == (60, 2)
    rows = app.superuser.execute(
        "select video_id::text, embedding::text, updated_at from public.video_embeddings"
    ).fetchall()
    assert {video for video, _, _ in rows} == set(app.world.video_ids)
    assert len({moment for _, _, moment in rows}) == 1
    for video, text, _ in rows:
        vector = np.array(text.strip("[]").split(","), float)
        assert np.linalg.norm(vector) == pytest.approx(1, abs=2e-3)
        assert np.abs(vector - app.world.item_vectors[app.world.video_ids.index(video)]).max() < 1e-3
    users = app.superuser.execute("select user_id::text from public.user_embeddings order by 1").fetchall()
    assert users == [(app_user(0),), (app_user(2),)]
    if app.date != "seed_a":
        for table in ("video_embeddings", "user_embeddings"):
            found = app.superuser.execute(
                f"select distinct model_version from public.{table}".encode()
            ).fetchall()
            assert found == [(FIRST,)]


def test_every_row_of_the_old_version_is_replaced_or_gone(app: App) -> None:
    publish(app, FIRST)
    app.owner.execute("delete from public.videos where id = %s", (app.world.video_ids[0],))
    publish(app, SECOND, user_keys=[], user_vectors=np.zeros((0, app.world.dim), np.float32))
    assert app.superuser.execute(
        "select count(*), count(distinct updated_at) from public.video_embeddings"
    ).fetchone() == (59, 1)
    newest = app.superuser.execute(
        "select max(updated_at), min(updated_at) from public.video_embeddings"
    ).fetchone()
    assert newest is not None
    assert newest[0] == newest[1]
    release.rollback(app.owner)
    if app.date == "seed_a":
        return
    found = app.superuser.execute("select distinct model_version from public.video_embeddings").fetchall()
    assert found == [(FIRST,)]


def test_another_dimension_is_refused_and_nothing_changes(app: App) -> None:
    publish(app, FIRST)
    other = make_world(dim=16)
    release.write_version(
        app.owner, other.bundle(SECOND, user_keys=[], user_vectors=np.zeros((0, 16), np.float32))
    )
    with pytest.raises(ReleaseError, match=rf"has 16 dimensions.*{DIMENSIONS[app.date]}"):
        release.promote(app.owner, SECOND, force=True)
    assert app.owner.execute("select recsys.active_version()").fetchone() == (FIRST,)
    assert app.superuser.execute("select count(*) from public.video_embeddings").fetchone() == (60,)


def test_a_refreshed_user_is_in_the_apps_table(app: App) -> None:
    publish(app, FIRST)
    app.superuser.execute(
        "insert into public.user_video_decisions (user_id, video_id, decision_type)"
        " values (%s, %s, 'swipe_like')",
        (app_user(999), app.world.video_ids[3]),
    )
    refreshed = app.owner.execute(
        "select public.refresh_user_embedding(%s) is not null", (app_user(999),)
    ).fetchone()
    assert refreshed == (True,)
    count = "select count(*) from public.user_embeddings where user_id = %s"
    assert app.superuser.execute(count, (app_user(999),)).fetchone() == (1,)
    app.superuser.execute("delete from public.user_video_decisions")
    assert app.owner.execute("select public.refresh_user_embedding(%s)", (app_user(999),)).fetchone() == (
        None,
    )
    assert app.superuser.execute(count, (app_user(999),)).fetchone() == (0,)


def test_recommends_to_the_apps_users(app: App) -> None:
    publish(app, FIRST)
    rows = app.owner.execute(
        "select video_id, model_version from public.recommend_videos(10, %s)", (app_user(0),)
    ).fetchall()
    assert len(rows) == 10
    assert {version for _, version in rows} == {FIRST}


def test_an_index_built_on_nothing_is_said_and_rebuilt_when_asked(app: App) -> None:
    switched = publish(app, FIRST)
    assert switched["app_ivfflat_indexes"] == (0 if app.date == "later_still" else 2)

    def files() -> list[tuple[object, ...]]:
        return app.superuser.execute(
            "select index_name::text, pg_relation_filenode(index_name) from recsys.app_ivfflat_indexes()"
        ).fetchall()

    before = files()
    rebuilt = app.owner.execute("select recsys.rebuild_app_indexes()").fetchone()
    assert rebuilt is not None
    if app.date == "later_still":
        assert rebuilt[0] == []
        return
    assert len(rebuilt[0]) == 2
    assert not set(files()) & set(before)  # built anew
    assert len(files()) == 2
