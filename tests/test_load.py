"""Files into raw: every line once, as it stood, where it stood; judged by a slow twin around csv.reader."""

import csv
import gzip
import hashlib
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from trainer.copy_rows import split_copy_line
from trainer.csv_records import UNCLOSED_QUOTE
from trainer.database import Address, Connection, connect
from trainer.input_columns import map_columns
from trainer.input_file import BLOCK_BYTES
from trainer.load import LoadSummary, load_file, load_files
from trainer.read_lines import read_rows, split_header

HEADER = "product_url,reviewer_id,stars\n"
Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """`write(text_or_bytes, name="a.csv")`: a file with exactly that in it."""

    def to_file(content: str | bytes, name: str = "a.csv") -> Path:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return to_file


def reviews(connection: Connection) -> list[tuple[object, ...]]:
    return connection.execute(
        "select line_number, product_url, reviewer_id, stars, reviewed_at, split from raw.reviews order by 1"
    ).fetchall()


def rejected(connection: Connection) -> list[tuple[object, ...]]:
    return connection.execute(
        "select line_number, content, reason from raw.rejected_lines order by 1"
    ).fetchall()


def test_lines_arrive_as_they_stand(connection: Connection, write: Write) -> None:
    path = write(HEADER + "https://a/,u1,5\n ,\\N,４\r\nx,,\\.\n\n,tab\there,c:\\new\n")
    summary = load_file(connection, "reviews", path)
    assert reviews(connection) == [
        (2, "https://a/", "u1", "5", None, None),
        (3, " ", "\\N", "４", None, None),
        (4, "x", "", "\\.", None, None),
        (6, "", "tab\there", "c:\\new", None, None),
    ]
    assert (summary.n_rows, summary.n_rejected, summary.is_repeat) == (4, 0, False)
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    assert connection.execute(
        "select kind, file_name, sha256, n_rows, n_rejected from raw.loads"
    ).fetchall() == [("reviews", "a.csv", sha256, 4, 0)]


def test_headers_in_any_order_case_and_with_a_byte_order_mark(connection: Connection, write: Write) -> None:
    path = write(
        '\ufeffSplit,STARS,Note,"Timestamp", Reviewer ID ,Product_URL\ntest,3,ok,1362062307,u1,url\n'
    )
    summary = load_file(connection, "reviews", path)
    assert reviews(connection) == [(2, "url", "u1", "3", "1362062307", "test")]
    assert summary.notes == ("columns not used: Note",)


def test_the_better_of_two_headers_for_one_column_is_read(connection: Connection, write: Write) -> None:
    load_file(
        connection, "reviews", write("timestamp," + HEADER.strip() + ",reviewed_at\n1,u,r,5,2020-01-01\n")
    )
    assert reviews(connection) == [(2, "u", "r", "5", "2020-01-01", None)]


@pytest.mark.parametrize(
    ("header", "line", "expected"),
    [
        ("reviewer_id,product_url,label", "r,url,1", ("r", None, "url", None, "1", None)),
        ("user_id,video_id,decision_type,created_at", "u,v,nope,t", (None, "u", "v", "nope", None, "t")),
        ("user_id,item_id,decision,decided_at", "u,9,LIKE,t", (None, "u", "9", "LIKE", None, "t")),
        ("user_id,product_url,video_id,label", "u,url,v,0", (None, "u", "v", None, "0", None)),
    ],
)
def test_decisions_under_each_of_their_headers(
    connection: Connection, write: Write, header: str, line: str, expected: tuple[object, ...]
) -> None:
    load_file(connection, "decisions", write(f"{header}\n{line}\n"))
    query = "select reviewer_id, user_id, item, decision, label, decided_at from raw.decisions"
    assert connection.execute(query).fetchall() == [expected]


def test_quoted_fields_keep_commas_quotes_and_line_breaks(connection: Connection, write: Write) -> None:
    path = write(HEADER + '"a,b","say ""hi""",5\n"two\r\nlines",u2,4\nplain,u3,3')
    load_file(connection, "reviews", path)
    assert [row[:4] for row in reviews(connection)] == [
        (2, "a,b", 'say "hi"', "5"),
        (3, "two\r\nlines", "u2", "4"),
        (5, "plain", "u3", "3"),
    ]


def test_gzip_is_told_by_its_bytes_not_by_its_name(connection: Connection, write: Write) -> None:
    packed = gzip.compress((HEADER + "a,u1,5\n").encode()) + gzip.compress(b"b,u2,4\n")
    load_file(connection, "reviews", write(packed, "reviews.txt"))
    assert [row[1] for row in reviews(connection)] == ["a", "b"]


@pytest.mark.parametrize("is_gzip", [False, True])
def test_parquet_gives_the_same_rows_as_csv(connection: Connection, tmp_path: Path, is_gzip: bool) -> None:
    table = pa.table(
        {
            "Stars": pa.array([4.0, 4.5, None]),
            "reviewer_id": pa.array([7, 8, 9]),
            "product_url": pa.array(["a\tb", "c\\N\nd", "ゆ"]).dictionary_encode(),
            "split": pa.array([True, False, None]),
        }
    )
    path = tmp_path / "reviews.parquet"
    pq.write_table(table, path, row_group_size=2)
    if is_gzip:
        path.write_bytes(gzip.compress(path.read_bytes()))
    load_file(connection, "reviews", path)
    assert reviews(connection) == [
        (2, "a\tb", "7", "4", None, "1"),
        (3, "c\\N\nd", "8", "4.5", None, "0"),
        (4, "ゆ", "9", None, None, None),
    ]


def test_parquet_lines_that_postgres_cannot_hold_are_rejected(connection: Connection, tmp_path: Path) -> None:
    path = tmp_path / "odd.parquet"
    urls = pa.array([b"good", b"\xff\xfe", b"nul\0"], pa.binary())
    pq.write_table(pa.table({"product_url": urls, "reviewer_id": ["a"] * 3, "stars": [1, 2, 3]}), path)
    summary = load_file(connection, "reviews", path)
    assert (summary.n_rows, summary.n_rejected) == (1, 2)
    assert rejected(connection) == [
        (3, "\\xff\\xfe,a,2", "broken UTF-8"),
        (4, "nul\\x00,a,3", "NUL byte"),
    ]


def test_the_same_bytes_load_once_under_any_name(connection: Connection, write: Write) -> None:
    content = HEADER + "a,u,5\n"
    first, again = load_files(connection, "reviews", [write(content), write(content, "copy.csv")])
    assert (first.is_repeat, again.is_repeat) == (False, True)
    assert again.load_id == first.load_id
    assert len(reviews(connection)) == 1
    assert "loaded before" in again.lines()[0]


def test_two_loads_of_one_file_at_once_load_it_once(database: Address, write: Write) -> None:
    path = write(HEADER + "a,u,5\n" * 50_000)
    results: list[LoadSummary] = []

    def load() -> None:
        with connect(database) as connection:
            results.append(load_file(connection, "reviews", path))

    threads = [threading.Thread(target=load) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(result.is_repeat for result in results) == [False, True, True, True]
    with connect(database) as connection:
        assert len(reviews(connection)) == 50_000


def test_a_connection_inside_a_transaction_keeps_its_own_fate(database: Address, write: Write) -> None:
    with connect(database) as connection:
        connection.execute("select 1")
        load_file(connection, "reviews", write(HEADER + "a,u,5\n"))
        connection.rollback()
        assert reviews(connection) == []


# The slow twin: the whole file in memory, physical lines, the csv module for each record.
def twin(data: bytes, n_columns: int) -> tuple[list[tuple[int, list[str]]], list[int]]:
    """(number and fields of each good record, numbers of the rejected ones); the header is line 1."""
    pieces = data.decode("utf-8", "surrogateescape").split("\n")
    lines = [piece + "\n" for piece in pieces[:-1]] + [pieces[-1]] * bool(pieces[-1])
    good, bad, place = [], [], 1
    while place < len(lines):
        taken = 0

        def feed(begin: int = place) -> Iterator[str]:
            nonlocal taken
            for line in lines[begin:]:
                taken += 1
                yield line
            taken = -1  # asked for more than there is: the quote is never closed

        try:
            record = next(csv.reader(feed()))
        except csv.Error:
            bad.append(place + 1)
            place += taken
            continue
        if taken == -1:
            bad.append(place + 1)
            place += 1
            continue
        raw = "".join(lines[place : place + taken])
        is_sound = "\0" not in raw and not any("\udc80" <= letter <= "\udcff" for letter in raw)
        if record and is_sound and len(record) == n_columns:
            good.append((place + 1, record))
        elif record or not is_sound:
            bad.append(place + 1)
        place += taken
    return good, bad


PIECES = [",", ",", ",", "\n", "\n", "\r\n", '"', '""', "a", "b\\N", "\t", "\\", "\0", "\r", "ゆ", "é", " "]
BYTES = st.lists(
    st.sampled_from([p.encode() for p in PIECES] + [b"\xff", b"a,b,c\n", b'"x",y,z\n']), max_size=40
)


@settings(max_examples=600, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pieces=BYTES, block=st.integers(1, 30))
@example(pieces=[b'"', b"a,b,c\n", b"a,b,c\n"], block=4)
@example(pieces=[b"a,b,c\n", b"\n", b"\r\n", b"a,b\r,c\r\n"], block=7)
def test_rows_are_those_of_the_csv_module(pieces: list[bytes], block: int) -> None:
    body = b"".join(pieces)
    sound = b"a,\xe3\x82\x86,c\n" * (body.count(b"\n") + 2)  # keeps the share of broken lines below "most"
    data = HEADER.encode() + sound + body
    blocks = iter([data[at : at + block] for at in range(0, len(data), block)])
    header, after = split_header(blocks, Path("x.csv"))
    mapping = map_columns("reviews", header, Path("x.csv"))
    found, refused = [], []
    for rows in read_rows(after, mapping, Path("x.csv")):
        found += [(n, split_copy_line(line)) for n, line in zip(rows.numbers, rows.lines, strict=True)]
        refused += [line.line_number for line in rows.rejected]
    assert (found, refused) == twin(data, 3)


def test_a_quote_that_is_never_closed_costs_its_line_only(connection: Connection, write: Write) -> None:
    line = "https://example.com/a-rather-long-address,u,5\n"
    path = write(HEADER + '"open,u,5\n' + line * 40_000)  # more than MAX_LINE_BYTES to the end
    summary = load_file(connection, "reviews", path)
    assert summary.n_rows == 40_000
    assert rejected(connection) == [(2, '"open,u,5', UNCLOSED_QUOTE)]


def test_an_open_quote_is_given_up_before_it_fills_the_memory() -> None:
    taken = 0

    def blocks() -> Iterator[bytes]:
        nonlocal taken
        yield b'"open,u,5\n'
        for _ in range(64):
            taken += 1
            yield b"https://example.com/,u,5\n" * (BLOCK_BYTES // 25)

    mapping = map_columns("reviews", HEADER.strip().split(","), Path("x.csv"))
    for rows in read_rows(blocks(), mapping, Path("x.csv")):
        if rows.rejected:
            break
    assert [(line.line_number, line.reason) for line in rows.rejected] == [(2, UNCLOSED_QUOTE)]
    assert taken <= 2
