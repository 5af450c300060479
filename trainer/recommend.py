"""`python -m trainer recommend USER`: the list the app would get, with titles, beside what the user liked."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from uuid import UUID

from trainer.database import Connection
from trainer.migrations import require_registry

LIKED_SHOWN = 10


@dataclass(frozen=True)
class Wish:
    """What may be asked of a list; the names are those of the SQL function."""

    match_count: int = 20
    with_tags: Sequence[str] = ()
    without_tags: Sequence[str] = ()
    max_per_maker: int | None = None
    diversity: float = 0.0
    released_after: date | None = None
    released_before: date | None = None
    version: str | None = None


@dataclass(frozen=True)
class Recommended:
    """One row of a list."""

    rank: int
    video_id: str
    title: str
    score: float
    reason: str


def user_key_of(text: str) -> str:
    """`app:<uuid>` for a uuid, a user_key as it stands, `review:<id>` for any other id."""
    stripped = text.strip()
    if stripped.startswith(("app:", "review:")):
        return stripped
    try:
        return f"app:{UUID(stripped)}"
    except ValueError:
        return f"review:{stripped}"


def recommend(connection: Connection, user_key: str, wish: Wish) -> list[Recommended]:
    """The list of recsys.recommend, of the active version unless the wish names another."""
    require_registry(connection)
    rows = connection.execute(
        "select recommended.rank, recommended.video_id, videos.title, recommended.score, recommended.reason"
        " from recsys.recommend(%s::text, %s::integer, with_tags => %s::text[], without_tags => %s::text[],"
        " max_per_maker => %s::integer, diversity => %s::real, released_after => %s::date,"
        " released_before => %s::date, version => %s::text) as recommended"
        " left join public.videos on videos.id = recommended.video_id order by recommended.rank",
        (
            user_key,
            wish.match_count,
            list(wish.with_tags) or None,
            list(wish.without_tags) or None,
            wish.max_per_maker,
            wish.diversity,
            wish.released_after,
            wish.released_before,
            wish.version,
        ),
    )
    return [Recommended(int(r[0]), str(r[1]), str(r[2]), float(r[3]), str(r[4])) for r in rows]


def liked_titles(connection: Connection, user_key: str) -> list[str]:
    """Titles of the latest likes, newest first."""
    rows = connection.execute(
        "select videos.title from recsys.user_videos(%s) as met"
        " inner join public.videos on videos.id = met.video_id where met.label = 1"
        " order by met.occurred_at desc nulls last, met.video_id limit %s",
        (user_key, LIKED_SHOWN),
    )
    return [str(title) for (title,) in rows]
