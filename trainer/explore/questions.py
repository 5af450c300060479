"""What the pages ask the database: values are parameters, names are our own constants."""

from typing import Any, LiteralString

from trainer.database import Connection, relation_exists

Row = dict[str, Any]
SHOWN = 30


def rows(
    connection: Connection,
    relation: LiteralString,
    condition: LiteralString,
    order: LiteralString,
    limit: int,
) -> list[Row]:
    """Rows of a mart that may not be built yet: then none."""
    if not relation_exists(connection, relation):
        return []
    query = "select * from " + relation + " where " + condition  # noqa: S608  # literals of pages.py, by type
    return _ask(connection, query + " order by " + order + " limit %s", limit)


def versions(connection: Connection) -> list[Row]:
    """The versions that have vectors to serve, newest first."""
    if not relation_exists(connection, "recsys.embedding_model_versions"):
        return []
    return _ask(
        connection,
        "select version, status, is_active, embedding_dim, created_at from recsys.embedding_model_versions"
        " where status not in ('building', 'failed') order by created_at desc",
    )


def some_users(connection: Connection) -> list[Row]:
    """A handful of users from newcomers to heavy ones; the same each time."""
    if not relation_exists(connection, "marts.dim_users"):
        return []
    return _ask(
        connection,
        "select user_key, n_likes, n_dislikes, preferred_tags from (select *, row_number() over ("
        " partition by width_bucket(ln(n_likes), 0, 7, 7) order by md5(user_key)) as place"
        " from marts.dim_users where n_likes > 0 and not is_suspicious) as users"
        " where place <= 2 order by n_likes desc, user_key limit 16",
    )


def history(connection: Connection, user_key: str) -> list[Row]:
    """What the user met, newest first, live decisions included."""
    return _ask(
        connection,
        "select met.video_id, met.label, met.occurred_at, videos.title, videos.maker"
        " from recsys.user_videos(%s) as met left join public.videos on videos.id = met.video_id"
        " order by met.occurred_at desc nulls last, met.video_id limit %s",
        user_key,
        SHOWN,
    )


def reasons(connection: Connection, user_key: str, video: str, version: str | None) -> list[Row]:
    """The contributions of recsys.explain, those that move the score most first."""
    return _ask(
        connection,
        "select explained.reason, explained.contribution, explained.related_video"
        " from recsys.explain(%s::text, %s::uuid, coalesce(%s::text, recsys.active_version())) as explained"
        " order by abs(explained.contribution) desc, explained.reason",
        user_key,
        video,
        version,
    )


def search(connection: Connection, text: str) -> list[Row]:
    """Videos whose title has these words in it; the first by title when there are none."""
    pattern = "%" + text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
    return _ask(
        connection,
        "select id, title, maker from public.videos where title ilike %s or external_id = %s"
        " order by length(title), title, id limit %s",
        pattern,
        text,
        SHOWN,
    )


def video(connection: Connection, video_id: str) -> Row | None:
    """One video with its tags."""
    found = _ask(
        connection,
        "select videos.id, videos.title, videos.maker, videos.external_id, videos.description,"
        " array(select tags.name from public.video_tags inner join public.tags on tags.id = video_tags.tag_id"
        " where video_tags.video_id = videos.id order by tags.name) as tags"
        " from public.videos where videos.id = %s",
        video_id,
    )
    return found[0] if found else None


def similar(connection: Connection, video_id: str) -> list[Row]:
    """Those of public.similar_videos, with titles."""
    return _ask(
        connection,
        "select found.similarity, videos.id, videos.title, videos.maker"
        " from public.similar_videos(%s::uuid, %s) as found"
        " inner join public.videos on videos.id = found.video_id"
        " order by found.similarity desc, videos.id",
        video_id,
        20,
    )


def _ask(connection: Connection, query: LiteralString, *parameters: object) -> list[Row]:
    cursor = connection.execute(query, parameters)
    names = [column.name for column in cursor.description or ()]
    return [dict(zip(names, row, strict=True)) for row in cursor]
