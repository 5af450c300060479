"""The marts come out of a real Postgres as they went in, and broken ones stop at the door."""

import numpy as np
import pytest

from trainer.database import Address, connect
from trainer.errors import MartError
from trainer.mart import TUPLE_DTYPE, Mart, read_mart

# The columns read, in the types of the dbt contract; the dbt tests see to it that the real marts have them.
TABLES = """
create schema marts;
create table marts.dim_videos (
    video_id uuid primary key, external_id text, title text, description text, maker text, label text,
    series text, director text, genre text, price numeric, duration_seconds integer, released_on date,
    tags text[], performers text[], n_likes integer, n_dislikes integer, popularity real
);
create table marts.fct_interactions (
    user_key text, video_id uuid, label smallint, weight real, occurred_at timestamptz, split text,
    is_seen_only boolean, is_split_from_file boolean
);
insert into marts.dim_videos (video_id, external_id, title, price, released_on, tags, n_likes)
values
    ('aaaaaaaa-0000-4000-8000-000000000000', 'x1', '夏', 'NaN', '1970-01-11', '{a,b}', 2),
    ('bbbbbbbb-0000-4000-8000-000000000000', 'X2', null, 980, null, null, null);
insert into marts.fct_interactions
values
    ('review:b', 'aaaaaaaa-0000-4000-8000-000000000000', 1, 1, '1970-01-01 01:00+00', 'train', false, false),
    ('app:a', 'aaaaaaaa-0000-4000-8000-000000000000', 0, 1, null, 'val', false, false),
    ('app:a', 'bbbbbbbb-0000-4000-8000-000000000000', 1, 0.5, null, 'train', false, true),
    ('review:B', 'bbbbbbbb-0000-4000-8000-000000000000', null, 0, null, null, true, false);
"""


def read(address: Address, *statements: str) -> Mart:
    with connect(address) as connection:
        connection.execute(TABLES)
        for statement in statements:
            connection.execute(statement)
        return read_mart(connection)


def test_what_is_read_is_what_is_there(empty_database: Address) -> None:
    mart = read(empty_database)
    assert mart.user_keys == ["app:a", "review:B", "review:b"]  # by bytes: no collation moves an index
    catalogue, rows = mart.catalogue, mart.interactions
    # by bytes of the catalogue's own ids: those of the app are drawn anew in every database
    assert [video[0] for video in catalogue.video_ids] == ["b", "a"]
    assert catalogue.title == [None, "夏"]
    assert catalogue.tags == [[], ["a", "b"]]
    assert catalogue.released_on.tolist() == pytest.approx([np.nan, 10.0], nan_ok=True)
    assert catalogue.price.tolist() == pytest.approx([980.0, np.nan], nan_ok=True)
    assert catalogue.n_likes.tolist() == [0, 2]
    table = list(
        zip(rows.user_index, rows.item_index, rows.label, rows.split, rows.is_file_split, strict=True)
    )
    assert table == [(0, 0, 1, 0, True), (0, 1, 0, 1, False), (1, 0, -1, -1, False), (2, 1, 1, 0, False)]
    assert rows.occurred_at.tolist() == pytest.approx([np.nan] * 3 + [3600.0], nan_ok=True)
    assert rows.weight.tolist() == [0.5, 1.0, 0.0, 1.0]


def test_each_process_reads_its_users_under_the_same_numbers(empty_database: Address) -> None:
    whole = read(empty_database).interactions
    with connect(empty_database) as connection:
        parts = [read_mart(connection, (rank, 2)) for rank in range(2)]
    for rank, part in enumerate(parts):
        expected = whole.where(whole.user_index % 2 == rank)
        for name, column in vars(part.interactions).items():
            np.testing.assert_array_equal(column, getattr(expected, name))
        assert len(part.user_keys) == 3


def test_many_rows_cross_the_blocks_of_the_stream_whole(empty_database: Address) -> None:
    n = 3 * (1 << 22) // TUPLE_DTYPE.itemsize
    mart = read(
        empty_database,
        "truncate marts.fct_interactions",
        "insert into marts.fct_interactions select 'review:' || lpad(n::text, 9, '0'), "
        f"(select max(video_id::text)::uuid from marts.dim_videos), n % 2, 1, null, 'train', false, false "
        f"from generate_series(1, {n}) as n",
        "update marts.fct_interactions set video_id = 'aaaaaaaa-0000-4000-8000-000000000000' "
        "where user_key = 'review:000000001'",
    )
    rows = mart.interactions
    assert (rows.user_index == np.arange(n)).all()
    assert (rows.label == np.arange(1, n + 1) % 2).all()


def test_the_hash_names_the_content(server_address: Address, empty_database: Address) -> None:
    with connect(empty_database) as connection:
        connection.execute(TABLES)
        one, again = read_mart(connection), read_mart(connection)
        connection.execute("update marts.fct_interactions set label = 0 where user_key = 'review:B'")
        other = read_mart(connection)
    assert one.data_hash == again.data_hash != other.data_hash


@pytest.mark.parametrize(("statement", "said"), [
    ("drop table marts.fct_interactions", "marts.fct_interactions does not exist"),
    ("truncate marts.fct_interactions", "empty"),
    ("truncate marts.dim_videos", "marts.dim_videos is empty"),
    ("update marts.fct_interactions set label = 7 where user_key = 'app:a'", "2 rows .* label"),
    ("update marts.fct_interactions set weight = 'NaN' where user_key = 'app:a'", "weight"),
    ("update marts.fct_interactions set split = 'test'", "no likes"),
    ("delete from marts.fct_interactions where user_key <> 'app:a'", "one user"),
    ("delete from marts.fct_interactions where video_id::text like 'b%'", "one user"),
])  # fmt: skip
def test_a_broken_mart_stops_at_the_door(empty_database: Address, statement: str, said: str) -> None:
    with pytest.raises(MartError, match=said):
        read(empty_database, statement)
