"""CSV bytes to rows for COPY: exact as Python's csv module, and far faster where a block has no quotes.

A block at a time: without a quote, a stray carriage return, a NUL or broken UTF-8, a line is its fields with
commas between them, so a COPY line is the same text with tabs. With quotes the csv module reads the block at
once where each line is a record of its own, else record by record.
"""

import csv
from collections.abc import Callable, Iterable, Iterator, Sequence
from operator import itemgetter
from pathlib import Path

from trainer.copy_rows import (
    BROKEN_UTF8,
    NOT_UTF8,
    NUL_BYTE,
    Rejected,
    Rows,
    copy_line,
    rejected_line,
    wrong_columns,
)
from trainer.csv_records import csv_records
from trainer.errors import InputFileError
from trainer.input_columns import Mapping
from trainer.input_file import MAX_LINE_BYTES, guess_encoding, wrong_encoding

SAMPLE_BYTES = 1 << 16  # of broken lines, to guess the encoding from
# A file is in another encoding when most of its lines are broken. Where most lines are plain ASCII that
# share is never reached: then it is one when a hundred lines and a tenth of all are broken, and hardly any
# sound one has more than ASCII.
MANY_BROKEN, BROKEN_SHARE, BROKEN_PER_SOUND = 100, 0.1, 9


def split_header(blocks: Iterator[bytes], path: Path) -> tuple[list[str], Iterator[bytes]]:
    """The names in the first line, and the blocks after it. A byte order mark is dropped.

    Raises InputFileError when the first line is no line of text.
    """
    start = b""
    for block in blocks:
        start += block
        if b"\n" in start or len(start) > MAX_LINE_BYTES:
            break
    line, _, rest = start.removeprefix(b"\xef\xbb\xbf").partition(b"\n")
    line = line.removesuffix(b"\r")
    if len(line) > MAX_LINE_BYTES:
        raise _line_too_long(path, 1)
    try:
        text = line.decode()
    except UnicodeDecodeError:
        raise wrong_encoding(path, guess_encoding(line)) from None
    if "\r" in text:
        raise InputFileError(
            f"{path} ends its lines with carriage returns alone", "convert it: tr '\\r' '\\n' < old > new"
        )
    header = next(csv.reader([text]), [])

    def after() -> Iterator[bytes]:
        if rest:
            yield rest
        yield from blocks

    return header, after()


def read_rows(blocks: Iterable[bytes], mapping: Mapping, path: Path) -> Iterator[Rows]:
    """The rows after the header, in file order; numbers count physical lines, the header being 1.

    A record with line breaks inside quotes has the number of its first line. Empty lines are passed over. A
    line that cannot be read is rejected and the next one read; a quote that is not closed within
    MAX_LINE_BYTES rejects the line it stands in. Raises InputFileError for a line above that size and for a
    file in another encoding.
    """
    reader = _Reader(mapping, path)
    open_record = tail = b""  # whole lines of a record that goes on, and the beginning of a line
    for block in blocks:
        first_end = block.find(b"\n")
        if len(tail) + (len(block) if first_end < 0 else first_end) > MAX_LINE_BYTES:
            raise _line_too_long(path, reader.number + open_record.count(b"\n"))
        if first_end < 0:
            tail += block
            continue
        cut = block.rfind(b"\n") + 1
        rows, open_record = reader.read(open_record, tail + block[:cut], is_last=False)
        tail = block[cut:]
        yield rows
        if reader.n_broken > 100 * MANY_BROKEN:
            reader.judge_encoding()
    if open_record or tail:
        rows, _ = reader.read(open_record, tail, is_last=True)
        yield rows
    reader.judge_encoding()


class _Reader:
    """What is known while reading: the number of the next line, and how sound the text was so far."""

    def __init__(self, mapping: Mapping, path: Path) -> None:
        self.n_columns = mapping.n_columns
        self.pick = _picker(mapping)
        self.path = path
        self.number = 2
        self.n_broken = 0  # lines that are not UTF-8
        self.n_sound = 0  # lines of the same blocks that are UTF-8, with more than ASCII in them
        self.broken_sample = b""
        # our limit is per record; the module's own, per field, must not come first
        csv.field_size_limit(4 * MAX_LINE_BYTES)

    def read(self, open_record: bytes, fresh: bytes, *, is_last: bool) -> tuple[Rows, bytes]:
        """Rows of these whole lines, and the bytes of a record that goes on in the next block."""
        data = open_record + fresh
        try:
            text = data.decode()
        except UnicodeDecodeError:
            self._count_broken(fresh)
            return self._read_records(data.decode("utf-8", "surrogateescape"), is_last, is_dirty=True)
        if "\0" in text or text.count("\r") > text.count("\r\n"):
            return self._read_records(text, is_last, is_dirty="\0" in text)
        unix = text.replace("\r\n", "\n").removesuffix("\n")
        if '"' not in text:
            return self._read_plain(unix), b""
        simple = self._read_quoted(unix)
        return (simple, b"") if simple else self._read_records(text, is_last, is_dirty=False)

    def _read_plain(self, text: str) -> Rows:
        escaped = text
        if "\\" in text or "\t" in text:
            escaped = text.replace("\\", "\\\\").replace("\t", "\\t")
        lines = escaped.replace(",", "\t").split("\n")
        first, tabs = self.number, self.n_columns - 1
        self.number += len(lines)
        numbers: Sequence[int] = range(first, self.number)
        rejected: list[Rejected] = []
        odd = {place for place, line in enumerate(lines) if line.count("\t") != tabs}
        if odd:
            raw = text.split("\n")
            rejected = [
                rejected_line(
                    first + place, raw[place], wrong_columns(lines[place].count("\t") + 1, tabs + 1)
                )
                for place in sorted(odd)
                if raw[place]
            ]
            numbers = [number for place, number in enumerate(numbers) if place not in odd]
            lines = [line for place, line in enumerate(lines) if place not in odd]
        if self.pick:
            lines = [self.pick(line.split("\t")) for line in lines]
        return Rows(numbers, lines, rejected)

    def _read_quoted(self, text: str) -> Rows | None:
        """Quotes, but each line a whole record and nothing to escape, as most exporters write; else None."""
        if "\\" in text or "\t" in text:
            return None
        # the empty line at the end comes back empty when no quote is open before it
        records = list(csv.reader([*text.split("\n"), ""]))
        n_lines = text.count("\n") + 1
        if len(records) != n_lines + 1 or records.pop() or any(len(r) != self.n_columns for r in records):
            return None
        lines = ["\t".join(record) for record in records]
        if self.pick:
            lines = [self.pick(line.split("\t")) for line in lines]
        self.number += n_lines
        return Rows(range(self.number - n_lines, self.number), lines)

    def _read_records(self, text: str, is_last: bool, is_dirty: bool) -> tuple[Rows, bytes]:
        raw = text.split("\n")
        lines = [line + "\n" for line in raw[:-1]] + ([raw[-1]] if raw[-1] else [])
        numbers: list[int] = []
        copied: list[str] = []
        rejected: list[Rejected] = []
        place = 0
        for end, record, unread in csv_records(lines, is_last):
            fault = unread or self._fault("".join(lines[place:end]) if is_dirty else "", record)
            if fault:
                rejected.append(rejected_line(self.number + place, "".join(lines[place:end]), fault))
            elif record:
                numbers.append(self.number + place)
                line = copy_line(record)
                copied.append(self.pick(line.split("\t")) if self.pick else line)
            place = end
        self.number += place
        return Rows(numbers, copied, rejected), "".join(lines[place:]).encode("utf-8", "surrogateescape")

    def _fault(self, raw: str, record: list[str]) -> str | None:
        if NOT_UTF8.search(raw):
            return BROKEN_UTF8
        if "\0" in raw:
            return NUL_BYTE
        is_wrong = record and len(record) != self.n_columns
        return wrong_columns(len(record), self.n_columns) if is_wrong else None

    def _count_broken(self, data: bytes) -> None:
        for line in data.split(b"\n"):
            if line.isascii():
                continue
            try:
                line.decode()
                self.n_sound += 1
            except UnicodeDecodeError:
                self.n_broken += 1
                if len(self.broken_sample) < SAMPLE_BYTES:
                    self.broken_sample += line + b"\n"

    def judge_encoding(self) -> None:
        """Raises InputFileError when so many lines are broken that the file is in another encoding."""
        n_lines = self.number - 2
        is_mostly = self.n_broken * 2 > n_lines
        is_often = self.n_broken >= max(MANY_BROKEN, BROKEN_SHARE * n_lines)
        if self.n_broken and (is_mostly or (is_often and self.n_broken > BROKEN_PER_SOUND * self.n_sound)):
            raise wrong_encoding(self.path, guess_encoding(self.broken_sample))


def _picker(mapping: Mapping) -> Callable[[list[str]], str] | None:
    if mapping.is_whole:
        return None
    take = itemgetter(*mapping.positions)
    return lambda fields: "\t".join(take(fields))


def _line_too_long(path: Path, number: int) -> InputFileError:
    return InputFileError(
        f"{path} has more than {MAX_LINE_BYTES:,} bytes in line {number}",
        "it is not a line of such a file: look at it with `head -c 1000`, and export it again",
    )
