"""The catalogue: rows of a videos file into the app's own tables, set by set, whatever columns those have."""

from collections.abc import Iterator
from dataclasses import dataclass

from psycopg import sql

from trainer.catalogue_cells import LIST_COLUMNS, typed_cell
from trainer.catalogue_links import replace_links
from trainer.copy_rows import Rejected, Rows, split_copy_line
from trainer.database import Connection, relation_exists
from trainer.errors import DatabaseError, InputFileError
from trainer.input_columns import Mapping

# Our column -> the app's, where the names differ.
TABLE_COLUMN = {"released_on": "product_released_at"}
# What `source` says of a video whose file has no such column: the app's table wants a word there.
DEFAULT_SOURCE = "catalogue"
# Lines kept in memory at most, some 20 MB; a catalogue with more bad lines than that is not one.
REJECTED_LIMIT = 100_000
LOCK_KEY = 7_305_211_958_024_418  # two catalogues of one database take turns


@dataclass(frozen=True)
class Outcome:
    """`n_rows` lines were applied, the others are in `rejected`."""

    n_rows: int
    rejected: list[Rejected]
    notes: list[str]


def upsert_videos(
    connection: Connection, mapping: Mapping, rows: Iterator[Rows], *, into_app: bool
) -> Outcome:
    """Insert or update videos by external_id; tags and performers of those videos become what the file says.

    Columns the file has are set, an empty value to null; others stay. A video keeps its id. Of several
    lines with one external_id the last one counts. Runs inside the caller's transaction. Raises
    InputFileError when the catalogue belongs to the app and into_app was not given, DatabaseError when the
    app's table wants a column that a videos file does not bring.
    """
    if not into_app and _app_owns_catalogue(connection):
        raise InputFileError(
            "public.videos was there before Martello: the catalogue belongs to the app",
            "add --into-app to write into it all the same",
        )
    connection.execute("select pg_advisory_xact_lock(%s)", (LOCK_KEY,))
    rejected = _fill_temporary(connection, mapping, rows)
    rejected += _reject_repeated(connection, mapping)
    filled, notes = _table_columns(connection, mapping)
    n_new, n_changed = _upsert(connection, mapping, filled)
    for name in LIST_COLUMNS:
        if name in mapping.names:
            notes += replace_links(connection, name)
    row = connection.execute("select count(*) from martello_videos").fetchone()
    n_rows = int(row[0]) if row else 0
    n_same = n_rows - n_new - n_changed
    notes.insert(0, f"{n_new:,} new videos, {n_changed:,} changed, {n_same:,} as they were")
    return Outcome(n_rows, sorted(rejected, key=lambda line: line.line_number), notes)


def _app_owns_catalogue(connection: Connection) -> bool:
    if not relation_exists(connection, "recsys.settings"):
        raise DatabaseError("there is no table recsys.settings", "run `python -m trainer db migrate` first")
    row = connection.execute("select value from recsys.settings where key = 'owns_catalogue'").fetchone()
    return bool(row and row[0])


def _fill_temporary(connection: Connection, mapping: Mapping, rows: Iterator[Rows]) -> list[Rejected]:
    """All readable lines into a temporary table of the right types; the others are returned."""
    connection.execute(
        "create temporary table martello_videos (line_number bigint, external_id text, title text, id uuid,"
        " product_url text, description text, maker text, label text, series text, director text, genre text,"
        " tags text[], performers text[], price numeric, duration_seconds integer, released_on timestamptz,"
        " source text) on commit drop"
    )
    rejected: list[Rejected] = []
    columns = sql.SQL(", ").join(map(sql.Identifier, ("line_number", *mapping.names)))
    statement = sql.SQL("copy martello_videos ({}) from stdin").format(columns)
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        for block in rows:
            rejected += block.rejected
            for number, line in zip(block.numbers, block.lines, strict=True):
                values = dict(zip(mapping.names, split_copy_line(line), strict=True))
                try:
                    copy.write_row((number, *(typed_cell(name, values[name]) for name in mapping.names)))
                except ValueError as error:
                    rejected.append(Rejected(number, ",".join(v or "" for v in values.values()), str(error)))
            if len(rejected) > REJECTED_LIMIT:
                raise InputFileError(
                    f"more than {REJECTED_LIMIT:,} lines cannot be read,"
                    f" the first is line {rejected[0].line_number}: {rejected[0].reason}",
                    "correct the file and load it again",
                )
    return rejected


def _reject_repeated(connection: Connection, mapping: Mapping) -> list[Rejected]:
    """Lines that another line, or another video's id, stands against: taken out of the temporary table."""
    connection.execute("create index on martello_videos (external_id, line_number)")
    connection.execute("analyze martello_videos")
    rejected = _take_out(connection, REPEATED_IN_FILE)
    return rejected + (_take_out(connection, ID_OF_ANOTHER) if "id" in mapping.names else [])


# Both give line_number and reason of the lines that have to go.
REPEATED_IN_FILE = """
select line_number, format('external_id %s stands again in line %s', external_id, next_line)
from (
    select external_id, line_number,
        lead(line_number) over (partition by external_id order by line_number) as next_line
    from martello_videos
) as numbered
where next_line is not null
"""
ID_OF_ANOTHER = """
select mine.line_number, format('id %s belongs to the video %s', mine.id, other.external_id)
from martello_videos as mine
inner join (
    select id, external_id from public.videos
    union all
    (select distinct on (id) id, external_id from martello_videos order by id, line_number)
) as other on mine.id = other.id and mine.external_id is distinct from other.external_id
"""


def _take_out(connection: Connection, faults: str) -> list[Rejected]:
    rows = connection.execute(
        f"""
        with faults (line_number, reason) as materialized ({faults})
        delete from martello_videos using faults where martello_videos.line_number = faults.line_number
        returning martello_videos.line_number, external_id, title, reason
        """  # noqa: S608  # the text is one of the two above
    )
    return [Rejected(number, f"{external_id},{title}", reason) for number, external_id, title, reason in rows]


def _table_columns(connection: Connection, mapping: Mapping) -> tuple[dict[str, sql.Composable], list[str]]:
    """The app's columns we fill with what expression, and notes on what has no place there.

    Raises DatabaseError when the table insists on a column we know nothing about.
    """
    rows = connection.execute(
        "select attname, attnotnull and not atthasdef and attidentity = '' from pg_attribute"
        " where attrelid = 'public.videos'::regclass and attnum > 0 and not attisdropped"
        " and attgenerated = ''"
    )
    found = {str(name): bool(is_demanded) for name, is_demanded in rows}
    wanted = {name: TABLE_COLUMN.get(name, name) for name in mapping.names if name not in LIST_COLUMNS}
    filled: dict[str, sql.Composable] = {
        column: sql.Identifier("martello_videos", name) for name, column in wanted.items() if column in found
    }
    filled["source"] = sql.SQL("coalesce(martello_videos.source, {})").format(DEFAULT_SOURCE)
    filled["id"] = sql.SQL("coalesce(martello_videos.id, gen_random_uuid())")
    if "has_performer" in found:
        filled["has_performer"] = sql.SQL("coalesce(cardinality(martello_videos.performers), 0) > 0")
    demanded = [name for name, is_demanded in found.items() if is_demanded and name not in filled]
    if demanded:
        raise DatabaseError(
            f"public.videos wants a value in {', '.join(demanded)}, which a videos file does not bring",
            "give the column a default, then load again",
        )
    notes = [
        f"{name}: public.videos has no such column" for name, column in wanted.items() if column not in found
    ]
    return filled, notes


def _upsert(connection: Connection, mapping: Mapping, filled: dict[str, sql.Composable]) -> tuple[int, int]:
    """(videos that are new, videos that changed)."""
    in_file = {TABLE_COLUMN.get(name, name) for name in mapping.names}
    if "performers" in in_file:
        in_file.add("has_performer")
    updated = [sql.Identifier(name) for name in filled if name in in_file - {"id", "external_id"}]
    statement = sql.SQL(
        "insert into public.videos as held ({columns}) select {values} from martello_videos"
        " on conflict (external_id) do update set ({updated}) = row ({given})"
        " where row ({old}) is distinct from row ({given}) returning xmax = 0"
    ).format(
        columns=sql.SQL(", ").join(map(sql.Identifier, filled)),
        values=sql.SQL(", ").join(filled.values()),
        updated=sql.SQL(", ").join(updated),
        given=sql.SQL(", ").join(sql.SQL("excluded.{}").format(name) for name in updated),
        old=sql.SQL(", ").join(sql.SQL("held.{}").format(name) for name in updated),
    )
    query = sql.SQL(
        "with touched (is_new) as ({})"
        " select count(*) filter (where is_new), count(*) filter (where not is_new) from touched"
    )
    row = connection.execute(query.format(statement)).fetchone()
    return (int(row[0]), int(row[1])) if row else (0, 0)
