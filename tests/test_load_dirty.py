"""Dirty files: bad lines are kept aside, bad files get one clear line and leave the database as it was."""

import gzip
import os
import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from trainer.database import Address, Connection, connect
from trainer.errors import DatabaseError, InputFileError, UsageError
from trainer.input_file import MAX_LINE_BYTES
from trainer.load import REJECTED_BATCH, load_file, load_files

HEADER = "product_url,reviewer_id,stars\n"


def test_bad_lines_are_kept_aside_and_the_others_load(connection: Connection, tmp_path: Path) -> None:
    path = tmp_path / "dirty.csv"
    path.write_bytes(
        HEADER.encode() + b'a,u,5\nb,u\nc,u,4,more\nd,\xff\x80,3\ne,n\0l,2\n"f\nf",\xe9,1\nzz\ng,u,1\n'
    )
    summary = load_file(connection, "reviews", path)
    assert connection.execute("select line_number, product_url from raw.reviews order by 1").fetchall() == [
        (2, "a"),
        (10, "g"),
    ]
    assert connection.execute(
        "select line_number, content, reason from raw.rejected_lines order by 1"
    ).fetchall() == [
        (3, "b,u", "2 columns instead of 3"),
        (4, "c,u,4,more", "4 columns instead of 3"),
        (5, "d,\\xff\\x80,3", "broken UTF-8"),
        (6, "e,n\\x00l,2", "NUL byte"),
        (7, '"f\nf",\\xe9,1', "broken UTF-8"),
        (9, "zz", "1 columns instead of 3"),
    ]
    assert connection.execute("select n_rows, n_rejected from raw.loads").fetchall() == [(2, 6)]
    assert summary.reasons == (
        "line 3: 2 columns instead of 3",
        "line 4: 4 columns instead of 3",
        "line 5: broken UTF-8",
    )
    assert "3 more" in summary.lines()[-1]


def test_more_rejected_lines_than_one_batch(connection: Connection, tmp_path: Path) -> None:
    n = 30 * REJECTED_BATCH  # several blocks of bytes, so that COPY ends and begins again
    path = tmp_path / "many.csv"
    path.write_text(
        HEADER + ("https://example.com/video/1,u,5\n" + "wrong,number,of,columns," * 3 + "\n") * n
    )
    summary = load_file(connection, "reviews", path)
    assert (summary.n_rows, summary.n_rejected) == (n, n)
    query = "select count(*), count(distinct line_number), max(line_number) from raw.{}"
    assert connection.execute(query.format("reviews")).fetchone() == (n, n, 2 * n)
    assert connection.execute(query.format("rejected_lines")).fetchone() == (n, n, 2 * n + 1)


JAPANESE = HEADER + "https://a/,愛,5\nhttps://b/,ゆうこ,4\n"
BAD_FILES: list[tuple[str, bytes, str]] = [
    (
        "missing column",
        b"product_url,stars\na,5\n",
        "no column reviewer_id; its first line is 'product_url,stars'",
    ),
    ("two missing", b"url,reviewer\na,5\n", "no column product_url, reviewer_id, stars"),
    ("column twice", b"stars," + HEADER.encode() + b"5,a,u,5\n", "column stars twice"),
    ("semicolons", HEADER.replace(",", ";").encode() + b"a;u;5\n", "separated by semicolons"),
    ("tabs", HEADER.replace(",", "\t").encode() + b"a\tu\t5\n", "separated by tabs"),
    ("no header", b"https://a/,u,5\n", "no column product_url"),
    ("shift_jis", JAPANESE.encode("cp932"), "not UTF-8; it looks like Shift_JIS.*iconv -f SHIFT_JIS"),
    ("euc-jp", JAPANESE.encode("euc_jp"), "looks like EUC-JP"),
    ("shift_jis header", ("品番,商品\n" + JAPANESE).encode("cp932"), "looks like Shift_JIS"),
    ("utf-16", JAPANESE.encode("utf-16"), "looks like UTF-16"),
    ("utf-16 without mark", HEADER.encode("utf-16-le"), "looks like UTF-16"),
    ("utf-32", JAPANESE.encode("utf-32"), "looks like UTF-32"),
    ("empty", b"", "is empty"),
    ("empty gzip", gzip.compress(b""), "holds nothing"),
    ("header only", HEADER.encode(), "a header and no lines"),
    ("header and blank lines", HEADER.encode() + b"\n\r\n", "a header and no lines"),
    ("all rejected", HEADER.encode() + b"a\nb\n", "all 2 lines are rejected .line 2: 1 columns"),
    ("half-written gzip", gzip.compress(HEADER.encode() + b"a,u,5\n" * 99)[:-9], "ends in the middle"),
    ("gzip of three bytes", b"\x1f\x8b\x08", "ends in the middle"),
    ("damaged gzip", gzip.compress(os.urandom(200_000))[:-4] + b"\0\0\0\0", "damaged gzip"),
    ("zip", b"PK\x03\x04" + os.urandom(99), "a ZIP archive or an Excel workbook"),
    ("pdf", b"%PDF-1.7\n", "is a PDF"),
    ("binary", b"\x7fELF\0\0\0\x01\x02\x03" * 99, "binary file"),
    ("damaged parquet", b"PAR1" + os.urandom(99), "cannot be read as Parquet"),
    ("old mac lines", HEADER.replace("\n", "\r").encode() + b"a,u,5\r", "carriage returns alone"),
    ("first line too long", b"x" * (MAX_LINE_BYTES + 5), "more than 1,048,576 bytes in line 1"),
]


@pytest.mark.parametrize(
    ("content", "message"), [case[1:] for case in BAD_FILES], ids=[case[0] for case in BAD_FILES]
)
def test_a_bad_file_gets_one_clear_line_and_changes_nothing(
    database: Address, tmp_path: Path, content: bytes, message: str
) -> None:
    path = tmp_path / "bad.csv"
    path.write_bytes(content)
    for autocommit in (True, False):
        with connect(database, autocommit=autocommit) as connection:
            with pytest.raises(InputFileError, match=message) as raised:
                load_file(connection, "reviews", path)
            assert_untouched(connection)
    assert "bad.csv" in str(raised.value)
    assert "\n" not in str(raised.value)
    assert raised.value.remedy


def assert_untouched(connection: Connection) -> None:
    for table in ("loads", "reviews", "decisions", "rejected_lines"):
        assert connection.execute(f"select count(*) from raw.{table}").fetchone() == (0,)


def test_a_file_half_in_another_encoding_is_refused_though_most_lines_are_ascii(
    connection: Connection, tmp_path: Path
) -> None:
    path = tmp_path / "mixed.csv"
    path.write_bytes(HEADER.encode() + (b"a,u,5\n" * 4 + "b,愛子,4\n".encode("cp932")) * 200)
    with pytest.raises(InputFileError, match="Shift_JIS"):
        load_file(connection, "reviews", path)
    assert_untouched(connection)


def test_a_few_broken_names_among_many_sound_ones_do_not_refuse_a_file(
    connection: Connection, tmp_path: Path
) -> None:
    path = tmp_path / "mixed.csv"
    path.write_bytes(HEADER.encode() + ("a,愛,5\n".encode() * 20 + "b,愛子,4\n".encode("cp932")) * 200)
    summary = load_file(connection, "reviews", path)
    assert (summary.n_rows, summary.n_rejected) == (4000, 200)


@pytest.mark.parametrize("position", ["alone", "after good lines", "inside an open quote"])
def test_a_line_of_100_mb_is_refused_in_little_memory(
    connection: Connection, tmp_path: Path, position: str
) -> None:
    path = tmp_path / "long.csv"
    start = {"alone": "", "after good lines": "a,u,5\n" * 10, "inside an open quote": '"a,u,5\n'}[position]
    with path.open("wb") as file:
        file.write((HEADER + start).encode())
        for _ in range(100):
            file.write(b"x" * 1_000_000)
    number = {"alone": 2, "after good lines": 12, "inside an open quote": 3}[position]
    with pytest.raises(InputFileError, match=f"more than 1,048,576 bytes in line {number}"):
        load_file(connection, "reviews", path)
    assert_untouched(connection)


def test_what_is_no_file(connection: Connection, tmp_path: Path) -> None:
    fifo = tmp_path / "pipe"
    os.mkfifo(fifo)
    for path, message in (
        (tmp_path, "is a directory"),
        (tmp_path / "nowhere.csv", "does not exist"),
        (fifo, "not a regular file"),
        (tmp_path / ("n" * 300), "cannot be read"),
    ):
        with pytest.raises(InputFileError, match=re.escape(str(path)) + " .*" + message.removeprefix("is ")):
            load_file(connection, "reviews", path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_file(connection: Connection, tmp_path: Path) -> None:
    path = tmp_path / "secret.csv"
    path.write_text(HEADER)
    path.chmod(0)
    with pytest.raises(InputFileError, match="may not be read by this user"):
        load_file(connection, "reviews", path)


def test_parquet_without_a_column_or_with_a_type_that_has_no_text(
    connection: Connection, tmp_path: Path
) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"product_url": ["a"], "stars": [5]}), path)
    with pytest.raises(InputFileError, match="no column reviewer_id; its first line is 'product_url,stars'"):
        load_file(connection, "reviews", path)
    pq.write_table(pa.table({"product_url": ["a"], "reviewer_id": [{"a": 1}], "stars": [5]}), path)
    with pytest.raises(InputFileError, match="column reviewer_id of type struct"):
        load_file(connection, "reviews", path)
    assert_untouched(connection)


def test_what_loaded_before_a_bad_file_stays(connection: Connection, tmp_path: Path) -> None:
    good, bad = tmp_path / "good.csv", tmp_path / "bad.csv"
    good.write_text(HEADER + "a,u,5\n")
    bad.write_text(HEADER)
    with pytest.raises(InputFileError, match=r"bad\.csv"):
        list(load_files(connection, "reviews", [good, bad]))
    assert connection.execute("select count(*) from raw.reviews").fetchone() == (1,)
    bad.write_text(HEADER + "b,u,5\n")  # and a mended file loads where the bad one did not
    assert load_file(connection, "reviews", bad).n_rows == 1


def test_a_file_that_changes_while_it_is_read_is_refused(
    connection: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "growing.csv"
    path.write_text(HEADER + "a,u,5\n")
    from trainer import load

    genuine = load.open_input

    def then_it_grows(at: Path):
        file = genuine(at)
        with at.open("a") as handle:
            handle.write("b,u,4\n")
        return file

    monkeypatch.setattr(load, "open_input", then_it_grows)
    with pytest.raises(InputFileError, match="changed while it was read"):
        load_file(connection, "reviews", path)
    assert_untouched(connection)


def test_without_tables_and_with_a_wrong_kind(empty_database: Address, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(HEADER + "a,u,5\n")
    with connect(empty_database) as connection:
        with pytest.raises(DatabaseError, match=r"no table raw\.loads.*db migrate"):
            load_file(connection, "reviews", path)
        with pytest.raises(UsageError, match="no kind 'ratings'"):
            list(load_files(connection, "ratings", [path]))


def test_a_lost_connection_is_a_stated_failure(
    database: Address, server_address: Address, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.csv"
    path.write_text(HEADER + "a,u,5\n" * 300_000)
    from trainer import load

    genuine = load._with_numbers
    with connect(database) as connection, connect(server_address, autocommit=True) as admin:
        pid = connection.info.backend_pid

        def cut(*args):
            admin.execute("select pg_terminate_backend(%s)", (pid,))
            return genuine(*args)

        monkeypatch.setattr(load, "_with_numbers", cut)
        with pytest.raises(DatabaseError, match=r"a\.csv was not loaded"):
            load_file(connection, "reviews", path)
    with connect(database) as connection:
        assert_untouched(connection)
