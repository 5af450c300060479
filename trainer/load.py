"""Files into `raw`: one transaction per file, streaming COPY, the same bytes once. Cleaning is dbt's work."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql

from trainer import console
from trainer.copy_rows import Rejected, Rows
from trainer.database import Connection, relation_exists
from trainer.errors import DatabaseError, InputFileError, UsageError
from trainer.input_columns import COLUMNS, Mapping, map_columns
from trainer.input_file import InputFile, OnBytes, open_input, read_blocks, require_unchanged
from trainer.load_videos import upsert_videos
from trainer.read_lines import read_rows, split_header

# Rejected lines kept in memory before they are written: some MB at most, however bad the file is.
REJECTED_BATCH = 1_000
SHOWN_REASONS = 3  # of the rejected lines, in a summary


@dataclass(frozen=True)
class LoadSummary:
    """What became of one file. `n_rows` are loaded lines, without the rejected ones.

    is_repeat: the same bytes were loaded before as `load_id`, and this time nothing was done. reasons: of the
    first rejected lines. notes: what else a person should know, e.g. columns that were not used.
    """

    kind: str
    path: Path
    load_id: int
    n_rows: int
    n_rejected: int
    is_repeat: bool
    seconds: float
    reasons: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        """The summary as a person reads it."""
        if self.is_repeat:
            return [f"{self.path.name}: loaded before as load {self.load_id}, nothing to do"]
        read = self.n_rows + self.n_rejected
        first = (
            f"{self.path.name}: {read:,} lines read, {self.n_rows:,} loaded, {self.n_rejected:,} rejected"
            f" (load {self.load_id}, {self.seconds:.1f} s)"
        )
        more = self.n_rejected - len(self.reasons)
        rest = [f"  … and {more:,} more, all in raw.rejected_lines under load_id {self.load_id}"]
        return [first, *(f"  {text}" for text in (*self.notes, *self.reasons)), *(rest if more else [])]


def load_files(
    connection: Connection, kind: str, paths: Sequence[Path], into_app: bool = False
) -> Iterator[LoadSummary]:
    """Load files one after the other, each in its own transaction; gives each summary when its file is in.

    kind: reviews, decisions or videos. into_app: videos may go into a catalogue that belongs to the app.
    Raises InputFileError for a file that cannot be loaded (the database is then as it was before that file,
    the earlier ones stay) and DatabaseError.
    """
    if kind not in COLUMNS:
        raise UsageError(f"there is no kind {kind!r} of file", f"it is one of {', '.join(COLUMNS)}")
    for path in paths:
        yield load_file(connection, kind, path, into_app=into_app)


def load_file(connection: Connection, kind: str, path: Path, *, into_app: bool = False) -> LoadSummary:
    """Load one file in one transaction. Raises like `load_files`."""
    began = time.monotonic()
    file = open_input(path)
    try:
        with connection.transaction(), _progress(file) as on_bytes:
            _require_tables(connection, kind)
            # the loader has all the time it needs, whatever the role's default is
            connection.execute("set local statement_timeout = 0")
            connection.execute("set local client_encoding = 'UTF8'")
            load_id, is_repeat = _register(connection, kind, file)
            if is_repeat and kind != "videos":
                return LoadSummary(kind, path, load_id, 0, 0, True, time.monotonic() - began)
            # a catalogue is applied again: other loads may have changed it since
            connection.execute("delete from raw.rejected_lines where load_id = %s", (load_id,))
            load = _Load(connection, kind, file, load_id)
            load.fill(on_bytes, into_app)
            load.finish()
            require_unchanged(file)
    except psycopg.Error as error:
        said = error.diag.message_primary or " ".join(str(error).split())
        raise DatabaseError(
            f"{path} was not loaded: {said}", error.diag.message_hint or "the database is as it was"
        ) from error
    return load.summary(time.monotonic() - began)


def _require_tables(connection: Connection, kind: str) -> None:
    for table in ("raw.loads", "raw.rejected_lines", "public.videos" if kind == "videos" else f"raw.{kind}"):
        if not relation_exists(connection, table):
            raise DatabaseError(f"there is no table {table}", "run `python -m trainer db migrate` first")


def _register(connection: Connection, kind: str, file: InputFile) -> tuple[int, bool]:
    """(load_id, were these bytes loaded before). A second load of the same bytes waits here for the first."""
    key = (kind, file.sha256)
    row = connection.execute(
        "insert into raw.loads (file_name, n_rows, kind, sha256) values (%s, 0, %s, %s)"
        " on conflict (kind, sha256) do nothing returning load_id",
        (file.path.name, *key),
    ).fetchone()
    if row:
        return int(row[0]), False
    found = connection.execute(
        "select load_id from raw.loads where kind = %s and sha256 = %s", key
    ).fetchone()
    if not found:  # the other load was rolled back, or deleted, between the two statements
        raise DatabaseError(f"{file.path} is being loaded or deleted by somebody else", "try again")
    return int(found[0]), True


class _Load:
    """One file on its way in: counts, the first reasons, and rejected lines that wait for the COPY to end."""

    def __init__(self, connection: Connection, kind: str, file: InputFile, load_id: int) -> None:
        self.connection, self.kind, self.file, self.load_id = connection, kind, file, load_id
        self.n_rows = self.n_rejected = 0
        self.reasons: list[str] = []
        self.notes: list[str] = []

    def fill(self, on_bytes: OnBytes, into_app: bool) -> None:
        with _open_rows(self.kind, self.file, on_bytes) as (mapping, rows):
            if mapping.ignored:
                self.notes.append(f"columns not used: {', '.join(mapping.ignored)}")
            if self.kind == "videos":
                outcome = upsert_videos(self.connection, mapping, rows, into_app=into_app)
                self.n_rows = outcome.n_rows
                self.notes += outcome.notes
                self._keep_rejected(outcome.rejected)
            else:
                self._copy(mapping, rows)

    def _copy(self, mapping: Mapping, rows: Iterator[Rows]) -> None:
        columns = sql.SQL(", ").join(map(sql.Identifier, ("load_id", "line_number", *mapping.names)))
        table = sql.Identifier("raw", self.kind)
        statement = sql.SQL("copy {} ({}) from stdin").format(table, columns)
        is_done = False
        while not is_done:
            is_done = True
            rejected: list[Rejected] = []
            with self.connection.cursor().copy(statement) as copy:
                for block in rows:
                    self.n_rows += len(block.lines)
                    rejected += block.rejected
                    copy.write(_with_numbers(self.load_id, block))
                    if len(rejected) >= REJECTED_BATCH:
                        is_done = (
                            False  # COPY keeps the connection to itself: end it, write these, begin another
                        )
                        break
            self._keep_rejected(rejected)

    def _keep_rejected(self, rejected: Sequence[Rejected]) -> None:
        self.n_rejected += len(rejected)
        for line in rejected[: SHOWN_REASONS - len(self.reasons)]:
            self.reasons.append(f"line {line.line_number}: {line.reason}")
        with self.connection.cursor() as cursor, cursor.copy("copy raw.rejected_lines from stdin") as copy:
            for line in rejected:
                copy.write_row((self.load_id, line.line_number, line.content, line.reason))

    def finish(self) -> None:
        """The counts into `raw.loads`; a file that brought nothing is refused."""
        if self.n_rows == 0:
            because = f"all {self.n_rejected:,} lines are rejected ({'; '.join(self.reasons)})"
            fact = because if self.n_rejected else "it has a header and no lines"
            raise InputFileError(f"nothing to load in {self.file.path}: {fact}", "export it again")
        self.connection.execute(
            "update raw.loads set n_rows = %s, n_rejected = %s, loaded_at = now() where load_id = %s",
            (self.n_rows, self.n_rejected, self.load_id),
        )

    def summary(self, seconds: float) -> LoadSummary:
        return LoadSummary(
            self.kind,
            self.file.path,
            self.load_id,
            self.n_rows,
            self.n_rejected,
            False,
            seconds,
            tuple(self.reasons),
            tuple(self.notes),
        )


@contextmanager
def _open_rows(kind: str, file: InputFile, on_bytes: OnBytes) -> Iterator[tuple[Mapping, Iterator[Rows]]]:
    """The columns of a file and its rows, CSV or Parquet."""
    if not file.is_parquet:
        header, blocks = split_header(read_blocks(file, on_bytes), file.path)
        mapping = map_columns(kind, header, file.path)
        yield mapping, read_rows(blocks, mapping, file.path)
        return
    # pyarrow costs 50 MB and half a second: only who brings Parquet pays
    from trainer.read_parquet import open_parquet, read_parquet_rows  # noqa: PLC0415

    with open_parquet(file) as parquet:
        mapping = map_columns(kind, parquet.schema_arrow.names, file.path)
        yield mapping, read_parquet_rows(parquet, mapping, file.path)


def _with_numbers(load_id: int, block: Rows) -> bytes:
    """The block as COPY text, each line led by load_id and line_number."""
    lines = [
        f"{load_id}\t{number}\t{line}\n" for number, line in zip(block.numbers, block.lines, strict=True)
    ]
    return "".join(lines).encode()


@contextmanager
def _progress(file: InputFile) -> Iterator[OnBytes]:
    with console.progress() as bars:
        task = bars.add_task(f"load {file.path.name}", total=file.n_bytes, note="")
        yield lambda position: bars.update(task, completed=position)
