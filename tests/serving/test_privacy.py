"""A person who is forgotten is nowhere any more."""

from serving.conftest import FIRST
from serving.world import World, app_user
from trainer.database import Connection

ME, OTHER = app_user(0), app_user(2)


def traces(connection: Connection, user: str) -> set[str]:
    """Every table of ours in which some column holds the uuid."""
    tables = connection.execute(
        "select format('%I.%I', nspname, relname) from pg_class c join pg_namespace n on n.oid = relnamespace"
        " where nspname in ('raw', 'marts', 'recsys', 'public') and relkind = 'r'"
    ).fetchall()
    found = set()
    for (table,) in tables:
        count = connection.execute(
            f"select count(*) from {table} t where lower(t::text) like %s".encode(), (f"%{user}%",)
        ).fetchone()
        if count and count[0]:
            found.add(table)
    return found


def test_forgotten_everywhere(serving: Connection, world: World) -> None:
    for user in (ME, OTHER):
        serving.execute(
            "insert into public.user_video_decisions (user_id, video_id, decision_type)"
            " values (%s, %s, 'like')",
            (user, world.video_ids[0]),
        )
        serving.execute(
            "insert into raw.decisions (load_id, line_number, user_id) values (1, 2, upper(%s))", (user,)
        )
        serving.execute("insert into raw.rejected_lines values (1, 3, %s, 'columns')", (f"{user},x,y,z",))
        serving.execute("insert into raw.user_links values (%s, %s)", (f"r-{user}"[:10] + user[-1], user))
        serving.execute(
            "insert into raw.reviews (load_id, line_number, reviewer_id) values (1, 4, %s)",
            (f"r-{user}"[:10] + user[-1],),
        )
        serving.execute(
            "insert into recsys.impressions (user_id, video_id, rank) values (%s, %s, 1)",
            (user, world.video_ids[0]),
        )
    others = traces(serving, OTHER)
    assert len(others) == 7
    result = serving.execute("select recsys.forget_user(%s)", (ME,)).fetchone()
    assert result is not None
    assert traces(serving, ME) == set()
    assert traces(serving, OTHER) == others
    assert serving.execute("select count(*) from raw.reviews").fetchone() == (1,)
    assert result[0]["versions_trained_with"] == [FIRST]
    assert result[0]["removed"]["public.user_video_decisions"] == 1
    assert (
        serving.execute("select recsys.forget_user(%s)", (ME,)).fetchone()[0]["versions_trained_with"] == []
    )  # type: ignore[index]  # a row there is
