"""Parquet to the same rows that CSV gives: every value as text, batch by batch."""

import gzip
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from trainer.copy_rows import BROKEN_UTF8, COPY_ESCAPES, NOT_UTF8, NUL_BYTE, Rejected, Rows, rejected_line
from trainer.errors import InputFileError
from trainer.input_columns import Mapping
from trainer.input_file import InputFile

# Rows decoded at a time. 20,000 rows of this kind of data are a few MB; a row group may be far larger.
BATCH_ROWS = 20_000


@contextmanager
def open_parquet(file: InputFile) -> Iterator[pq.ParquetFile]:
    """The file opened for reading; a gzipped one is unpacked first, because Parquet is read from its end.

    Raises InputFileError when it is damaged.
    """
    with tempfile.TemporaryFile() as unpacked:
        source: Any = file.path
        if file.is_gzip:
            with gzip.open(file.path) as packed:
                shutil.copyfileobj(packed, unpacked)
            unpacked.seek(0)
            source = unpacked
        try:
            with pq.ParquetFile(source) as parquet:
                yield parquet
        except (pa.ArrowException, OSError) as error:
            reason = str(error).splitlines()[0]
            raise InputFileError(
                f"{file.path} cannot be read as Parquet: {reason}", "export it again"
            ) from None


def read_parquet_rows(parquet: pq.ParquetFile, mapping: Mapping, path: Path) -> Iterator[Rows]:
    """The rows of the wanted columns; numbers begin with 2, as if a header stood before them.

    Numbers become their shortest decimal, booleans 1 and 0, lists a text with `|` between the elements, null
    stays null. Raises InputFileError for a column type that has no text.
    """
    seen = parquet.schema_arrow.names
    columns = [seen[position] for position in mapping.positions]
    first = 2
    for batch in parquet.iter_batches(batch_size=BATCH_ROWS, columns=columns):
        texts = [_texts(batch.column(name), name, path) for name in columns]
        numbers, lines, rejected = [], [], []
        for number, values in enumerate(zip(*texts, strict=True), start=first):
            fault = _fault(values)
            if fault:
                rejected.append(_rejected(number, values, fault))
            else:
                numbers.append(number)
                lines.append("\t".join([r"\N" if v is None else v.translate(COPY_ESCAPES) for v in values]))
        first += batch.num_rows
        yield Rows(numbers, lines, rejected)


def _texts(column: pa.Array, name: str, path: Path) -> list[str | None]:
    """Python strings; bytes that are not UTF-8 come as surrogates, as in the CSV reader."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_list(column.type) or pa.types.is_large_list(column.type):
        return [None if values is None else "|".join(map(str, values)) for values in column.to_pylist()]
    try:
        if pa.types.is_boolean(column.type):
            column = column.cast(pa.int8())
        binary = column if _is_bytes(column.type) else column.cast(pa.string())
        values = binary.cast(pa.binary()).to_pylist()
    except pa.ArrowException:
        raise InputFileError(
            f"{path} has the column {name} of type {column.type}", "write it as text, number, date or time"
        ) from None
    return [None if value is None else value.decode("utf-8", "surrogateescape") for value in values]


def _is_bytes(kind: pa.DataType) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_string(kind))


def _fault(values: tuple[str | None, ...]) -> str | None:
    joined = "".join([value for value in values if value])
    if not joined.isascii() and NOT_UTF8.search(joined):
        return BROKEN_UTF8
    return NUL_BYTE if "\0" in joined else None


def _rejected(number: int, values: tuple[str | None, ...], reason: str) -> Rejected:
    return rejected_line(number, ",".join(value or "" for value in values), reason)
