"""What the readers give and COPY takes: rows in its text format, and rejected lines that can be stored."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

KEPT_CONTENT_CHARS = 10_000  # of a rejected line: enough to find and mend it, small enough for a table
COPY_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})
ESCAPED = re.compile(r"\\(.)")
NOT_UTF8 = re.compile("[\udc80-\udcff]")  # what `surrogateescape` makes of a byte that is not UTF-8

NUL_BYTE, BROKEN_UTF8 = "NUL byte", "broken UTF-8"


@dataclass(frozen=True)
class Rejected:
    """A line that could not be read, in a form that Postgres can store."""

    line_number: int
    content: str
    reason: str


@dataclass(frozen=True)
class Rows:
    """Some rows: `lines[i]`, in COPY's text format without line end, stood in the file at `numbers[i]`."""

    numbers: Sequence[int]
    lines: list[str]
    rejected: list[Rejected] = field(default_factory=list)


def rejected_line(number: int, raw: str, reason: str) -> Rejected:
    """`raw` was decoded with `surrogateescape`; odd bytes become \\x00, which Postgres takes."""
    shown = raw.rstrip("\r\n")[:KEPT_CONTENT_CHARS].encode("utf-8", "surrogateescape")
    return Rejected(number, shown.decode("utf-8", "backslashreplace").replace("\0", "\\x00"), reason)


def wrong_columns(found: int, wanted: int) -> str:
    """The reason of a line with too few or too many columns."""
    return f"{found} columns instead of {wanted}"


def copy_line(record: list[str]) -> str:
    """The fields of a record as a line of COPY's text format, without its line end."""
    line = "\t".join(record)
    if line.count("\t") >= len(record) or "\\" in line or "\n" in line or "\r" in line:
        return "\t".join([value.translate(COPY_ESCAPES) for value in record])
    return line


def split_copy_line(line: str) -> list[str | None]:
    """The values of a line of `Rows`, the escapes undone."""
    values = line.split("\t")
    if "\\" not in line:
        return list(values)
    return [None if value == r"\N" else ESCAPED.sub(_unescaped, value) for value in values]


def _unescaped(match: re.Match[str]) -> str:
    return {"t": "\t", "n": "\n", "r": "\r"}.get(match[1], match[1])
