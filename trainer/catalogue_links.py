"""Tags and performers of a catalogue file: names made where missing, links replaced, set by set."""

from psycopg import sql

from trainer.database import Connection, relation_exists

# Our list column -> (table of names, table of links, its key), as the app calls them.
LISTS = {
    "tags": ("tags", "video_tags", "tag_id"),
    "performers": ("performers", "video_performers", "performer_id"),
}
# Of several performers of one name the one that is linked already stays.
LINK_STATEMENTS = (
    """
    insert into {table} (id, name)
    select gen_random_uuid(), given.name
    from (select distinct unnest({list}) as name from martello_videos) as given
    where not exists (select 1 from {table} as held where held.name = given.name)
    on conflict do nothing
    """,
    """
    create temporary table {wanted} on commit drop as
    select distinct on (given.video_id, given.name) given.video_id, held.id as target_id
    from (
        select videos.id as video_id, unnest(martello_videos.{list}) as name
        from martello_videos
        inner join public.videos on martello_videos.external_id = videos.external_id
    ) as given
    inner join {table} as held on given.name = held.name
    left join {links} as links on given.video_id = links.video_id and held.id = links.{key}
    order by given.video_id, given.name, links.{key} is null, held.id
    """,
    """
    delete from {links} as links using martello_videos, public.videos
    where
        martello_videos.external_id = videos.external_id and links.video_id = videos.id
        and not exists (
            select 1 from {wanted} as wanted
            where wanted.video_id = links.video_id and wanted.target_id = links.{key}
        )
    """,
    "insert into {links} (video_id, {key}) select video_id, target_id from {wanted} on conflict do nothing",
)


def replace_links(connection: Connection, name: str) -> list[str]:
    """Links of the videos in `martello_videos` become what its column `name` says; missing names are made.

    Returns a note, and does nothing, where the app has no such tables.
    """
    table, link_table, key = LISTS[name]
    missing = [held for held in (table, link_table) if not relation_exists(connection, f"public.{held}")]
    if missing:
        return [f"{name}: there is no table public.{missing[0]}"]
    parts = {
        "list": sql.Identifier(name),
        "table": sql.Identifier("public", table),
        "links": sql.Identifier("public", link_table),
        "key": sql.Identifier(key),
        "wanted": sql.Identifier(f"martello_{name}"),
    }
    for statement in LINK_STATEMENTS:
        connection.execute(sql.SQL(statement).format(**parts))
    return []
