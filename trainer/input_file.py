"""One input file at the door: what it is, its hash, its bytes; what is unreadable as a whole is refused."""

import gzip
import hashlib
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from stat import S_ISDIR, S_ISREG
from typing import IO, cast

from trainer.errors import InputFileError

# Bytes read at a time: large enough that per-block work vanishes, small enough that memory stays flat.
BLOCK_BYTES = 1 << 20
# One physical line, or one record with quoted line breaks. A real line (two URLs, a description) stays
# under 100 kB; what is longer than this is a file without line breaks. Not below BLOCK_BYTES: the reader
# checks only the first line of a block, the one that may have begun in an earlier block.
MAX_LINE_BYTES = 1 << 20

OnBytes = Callable[[int], None]

# First bytes of files people mistake for CSV -> (what it is, what to do)
FOREIGN_MAGIC: dict[bytes, tuple[str, str]] = {
    b"PK\x03\x04": ("a ZIP archive or an Excel workbook", "unpack it, or save the sheet as CSV (UTF-8)"),
    b"\xd0\xcf\x11\xe0": ("an old Excel workbook", "save the sheet as CSV (UTF-8)"),
    b"%PDF": ("a PDF", "export the table as CSV (UTF-8)"),
    b"\x28\xb5\x2f\xfd": ("compressed with zstd", "unpack it, or compress it with gzip"),
    b"BZh": ("compressed with bzip2", "unpack it, or compress it with gzip"),
    b"\xfd7zXZ": ("compressed with xz", "unpack it, or compress it with gzip"),
    b"SQLite format 3": ("an SQLite database", "export the table as CSV (UTF-8)"),
}
# UTF-32 first: its little-endian mark begins with that of UTF-16.
FOREIGN_MARKS = {
    b"\xff\xfe\x00\x00": "UTF-32",
    b"\x00\x00\xfe\xff": "UTF-32",
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
}


@dataclass(frozen=True)
class InputFile:
    """A regular file that is CSV or Parquet, gzipped or not; `sha256` is of the bytes as they lie on disk."""

    path: Path
    n_bytes: int
    modified_ns: int
    sha256: str
    is_gzip: bool
    is_parquet: bool


def open_input(path: Path) -> InputFile:
    """Look at a file before anything is written to the database.

    Raises InputFileError for what is missing, unreadable, empty, a directory, or neither CSV nor Parquet.
    """
    try:
        found = path.stat()
        mode, modified_ns = found.st_mode, found.st_mtime_ns
        if S_ISDIR(mode):
            raise InputFileError(f"{path} is a directory", f"name the files in it: {path}/*.csv")
        if not S_ISREG(mode):
            raise InputFileError(f"{path} is not a regular file", "write it to a file first, then load that")
        with path.open("rb") as raw:
            head = raw.read(2)
            raw.seek(0)
            sha256 = hashlib.file_digest(raw, "sha256").hexdigest()
            n_bytes = raw.tell()
    except FileNotFoundError:
        raise InputFileError(f"{path} does not exist", "check the path, and the folder you are in") from None
    except PermissionError:
        raise InputFileError(f"{path} may not be read by this user", f"chmod +r {path}") from None
    except OSError as error:
        raise InputFileError(
            f"{path} cannot be read: {error.strerror}", "check the path and the disk"
        ) from None
    if n_bytes == 0:
        raise InputFileError(f"{path} is empty", "export it again; the first line must name the columns")
    file = InputFile(path, n_bytes, modified_ns, sha256, head == b"\x1f\x8b", is_parquet=False)
    first = next(read_blocks(file), b"")
    _refuse_foreign(file, first)
    return replace(file, is_parquet=first.startswith(b"PAR1"))


def require_unchanged(file: InputFile) -> None:
    """Raises InputFileError when the file is no longer what `open_input` saw: its hash would lie."""
    found = file.path.stat()
    if (found.st_size, found.st_mtime_ns) != (file.n_bytes, file.modified_ns):
        raise InputFileError(f"{file.path} changed while it was read", "load it when its writer is done")


def read_blocks(file: InputFile, on_bytes: OnBytes | None = None) -> Iterator[bytes]:
    """The unpacked bytes, at most BLOCK_BYTES at a time; `on_bytes` hears how far we are in the file on disk.

    Raises InputFileError when gzip ends too early or is damaged.
    """
    with file.path.open("rb") as raw:
        stream = cast(IO[bytes], gzip.GzipFile(fileobj=raw)) if file.is_gzip else raw
        try:
            while block := stream.read(BLOCK_BYTES):
                yield block
                if on_bytes:
                    on_bytes(raw.tell())
        except EOFError:
            raise InputFileError(
                f"{file.path} ends in the middle of its gzip stream, after {raw.tell():,} bytes",
                f"it is half-written: copy it again, `gzip -t {file.path}` must be silent",
            ) from None
        except (gzip.BadGzipFile, zlib.error) as error:
            raise InputFileError(
                f"{file.path} is a damaged gzip file: {error}",
                f"copy it again, `gzip -t {file.path}` must be silent",
            ) from None


def guess_encoding(sample: bytes) -> str:
    """The likeliest name of an encoding that is not UTF-8: Japanese ones first, then the western default.

    Shift_JIS begins most characters with bytes that EUC-JP does not know, so EUC-JP is tried first.
    """
    for name, codec in (("EUC-JP", "euc_jp"), ("Shift_JIS", "cp932")):
        try:
            sample.decode(codec)
        except UnicodeDecodeError:
            continue
        return name
    return "Windows-1252"


def wrong_encoding(path: Path, name: str) -> InputFileError:
    """The one line for a file in another encoding than UTF-8."""
    return InputFileError(
        f"{path} is not UTF-8; it looks like {name}",
        f"convert it: iconv -f {name.upper()} -t UTF-8 {path.name} > utf8.csv, and load that",
    )


def _refuse_foreign(file: InputFile, first: bytes) -> None:
    if not first:
        raise InputFileError(f"{file.path} holds nothing once unpacked", "export it again")
    for mark, name in FOREIGN_MARKS.items():
        if first.startswith(mark):
            raise wrong_encoding(file.path, name)
    for magic, (what, remedy) in FOREIGN_MAGIC.items():
        if first.startswith(magic):
            raise InputFileError(f"{file.path} is {what}, not CSV or Parquet", remedy)
    line = first[:4096].split(b"\n")[0]
    if first.startswith(b"PAR1") or b"\0" not in line:
        return
    if line[1::2].count(0) * 10 > len(line) * 4 or line[::2].count(0) * 10 > len(line) * 4:
        raise wrong_encoding(file.path, "UTF-16")
    raise InputFileError(
        f"{file.path} is a binary file, not CSV or Parquet", "export the table as CSV (UTF-8)"
    )
