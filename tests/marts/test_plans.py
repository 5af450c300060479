"""No plan of a model pairs rows with rows: seen at thousands, before it takes hours at millions."""

from collections.abc import Callable
from pathlib import Path

from benchmarks.marts_plans import quadratic_plans
from marts.conftest import Build
from marts.world import World
from trainer.database import Address

N_VIDEOS, N_USERS, N_LINES = 3_000, 2_000, 20_000


def write(world: World) -> None:
    """Videos with makers and tags, reviews of all kinds, decisions; half of them about no video."""
    world.execute(
        "insert into public.videos (id, external_id, title, maker)"
        " select md5(n::text)::uuid, 'abc' || lpad(n::text, 5, '0'), n::text, 'maker ' || mod(n, 50)"
        f" from generate_series(1, {N_VIDEOS}) as n"
    )
    world.execute("insert into public.tags (name) select 'tag ' || n from generate_series(1, 50) as n")
    world.execute(
        "insert into public.video_tags (video_id, tag_id) select videos.id, tags.id from public.videos"
        " inner join public.tags on mod(hashtext(videos.external_id || tags.name), 20) = 0"
    )
    for kind, columns, values in (
        (
            "reviews",
            "product_url, stars",
            "'https://x.example/?cid=abc' || lpad({item}::text, 5, '0'), mod(n, 6)",
        ),
        ("decisions", "item, decision", "'abc' || lpad({item}::text, 5, '0'), 'like'"),
    ):
        world.execute(
            "insert into raw.loads (kind, file_name, sha256, n_rows) values (%s, 'f', repeat('0', 64), 1)",
            [kind],
        )
        item = f"mod(n * 7919, {2 * N_VIDEOS})"
        world.execute(
            f"insert into raw.{kind} (load_id, line_number, reviewer_id, {columns})"
            f" select (select max(load_id) from raw.loads), n + 1, mod(n * 31, {N_USERS}),"
            f" {values.format(item=item)} from generate_series(1, {N_LINES}) as n"
        )
    world.execute(
        "insert into public.user_video_decisions (user_id, video_id, decision_type)"
        " select md5('user ' || mod(n, 1000))::uuid, md5((1 + n)::text)::uuid, 'like'"
        f" from generate_series(1, {N_VIDEOS - 1}) as n"
    )


def test_no_plan_pairs_rows_with_rows(
    make_world: Callable[[], tuple[Address, World]], build: Build, tmp_path: Path
) -> None:
    address, world = make_world()
    write(world)
    build(address, target=tmp_path)
    assert quadratic_plans(address, tmp_path) == []
    world.execute(
        "create view public.pairs as select 1 from public.videos as a, public.videos as b"
        " where a.title < b.title"
    )
    (tmp_path / "target" / "compiled" / "martello" / "models" / "pairs.sql").write_text(
        "select * from public.pairs"
    )
    assert quadratic_plans(address, tmp_path) == ["pairs"]  # it would have been seen
