"""A catalogue into the app's tables: upserted by external_id, ids kept, links as the file says."""

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from conftest import ExistingApp
from trainer import migrations
from trainer.database import Address, Connection, connect
from trainer.errors import DatabaseError, InputFileError
from trainer.load import LoadSummary, load_file

ID = "11111111-1111-4111-8111-111111111111"
OTHER = "22222222-2222-4222-8222-222222222222"
Load = Callable[[str], LoadSummary]


@pytest.fixture
def load(connection: Connection, tmp_path: Path) -> Load:
    """`load(text)`: the text as a videos file, loaded into `connection`'s database."""

    def from_text(text: str) -> LoadSummary:
        path = tmp_path / "videos.csv"
        path.write_text(text)
        return load_file(connection, "videos", path)

    return from_text


def videos(connection: Connection, columns: str = "external_id, title") -> list[tuple[object, ...]]:
    return connection.execute(f"select {columns} from public.videos order by external_id").fetchall()


def links(connection: Connection) -> list[tuple[object, ...]]:
    return connection.execute(
        """
        select external_id,
            array(
                select name from public.tags inner join public.video_tags on tags.id = tag_id
                where video_id = videos.id order by name collate "C"
            ),
            array(
                select name from public.performers
                inner join public.video_performers on performers.id = performer_id
                where video_id = videos.id order by name collate "C"
            )
        from public.videos
        order by external_id
        """
    ).fetchall()


def test_every_column_arrives_in_its_place(connection: Connection, load: Load) -> None:
    header = (
        "id,external_id,title,product_url,description,maker,label,series,director,genre,price,duration_seconds,"
        "released_on,source,tags,performers"
    )
    load(f"{header}\n{ID}, sone00864 ,題,https://x/,d,m,l,s,r,g,1980.50,5400.0,2024/05/06 10:00,dmm,a|b,c\n")
    columns = (
        "id::text, external_id, title, product_url, description, maker, label, series, director, genre,"
        " price::text, duration_seconds, product_released_at at time zone 'UTC', source"
    )
    (row,) = videos(connection, columns)
    assert [str(value) for value in row] == [
        ID, "sone00864", "題", "https://x/", "d", "m", "l", "s", "r", "g", "1980.50", "5400",
        "2024-05-06 10:00:00", "dmm",
    ]  # fmt: skip
    assert links(connection) == [("sone00864", ["a", "b"], ["c"])]


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("1908", "1908-01-01 00:00:00"),
        ("1908-05", "1908-05-01 00:00:00"),
        ("2024-05-06", "2024-05-06 00:00:00"),
        ("2024-05-06T10:00:00+09:00", "2024-05-06 01:00:00"),
        ("", "None"),
    ],
)
def test_release_dates(connection: Connection, load: Load, text: str, moment: str) -> None:
    load(f"external_id,title,released_on\na,A,{text}\n")
    assert str(videos(connection, "product_released_at at time zone 'UTC'")[0][0]) == moment


def test_loading_again_changes_nothing_and_a_new_file_only_what_it_names(
    connection: Connection, load: Load
) -> None:
    first = "external_id,title,maker,tags\na,A,m,x|y\nb,B,m,\n"
    assert load(first).notes == ("2 new videos, 0 changed, 0 as they were",)
    ids = videos(connection, "external_id, id")
    again = load(first)
    assert again.notes == ("0 new videos, 0 changed, 2 as they were",)
    changed = load("external_id,title,tags\nb,Bee,y\nc,C,\n")
    assert changed.notes == ("1 new videos, 1 changed, 0 as they were",)
    assert videos(connection, "external_id, title, maker") == [
        ("a", "A", "m"),
        ("b", "Bee", "m"),
        ("c", "C", None),
    ]
    assert links(connection) == [("a", ["x", "y"], []), ("b", ["y"], []), ("c", [], [])]
    assert videos(connection, "external_id, id")[:2] == ids


def test_an_older_file_applied_again_wins_again(connection: Connection, load: Load) -> None:
    old = "external_id,title,tags\na,Old,x\n"
    load(old)
    load("external_id,title,tags\na,New,y\n")
    load(old)
    assert videos(connection) == [("a", "Old")]
    assert links(connection) == [("a", ["x"], [])]
    assert connection.execute("select count(*) from raw.loads").fetchone() == (2,)


def test_commas_separate_where_no_bar_does(connection: Connection, load: Load) -> None:
    load('external_id,title,tags,performers\na,A,"x, y ,x","Davis, Jr.|Lee"\n')
    assert links(connection) == [("a", ["x", "y"], ["Davis, Jr.", "Lee"])]


def test_lines_that_cannot_be_read_are_rejected_with_their_reason(connection: Connection, load: Load) -> None:
    load("external_id,title,id\nheld,Held," + ID + "\n")
    summary = load(
        "external_id,title,id,price,duration_seconds,released_on\n"
        "a,A,,,,\n"
        ",B,,,,\n"
        "c, ,,,,\n"
        "d,D,not-a-uuid,,,\n"
        "e,E,,12yen,,\n"
        "f,F,,-1,,\n"
        "g,G,,NaN,,\n"
        "h,H,,,1.5,\n"
        "i,I,,,,2024-02-31\n"
        f"j,J,{ID},,,\n"
        f"k,K,{OTHER},,,\n"
        f"l,L,{OTHER},,,\n"
        "a,A2,,,,\n"
        "x,X\n"
    )
    assert videos(connection) == [("a", "A2"), ("held", "Held"), ("k", "K")]
    assert summary.n_rows == 2
    query = "select line_number, reason from raw.rejected_lines where load_id = %s order by 1"
    assert connection.execute(query, (summary.load_id,)).fetchall() == [
        (2, "external_id a stands again in line 14"),
        (3, "external_id is empty"),
        (4, "title is empty"),
        (5, "id cannot be read: 'not-a-uuid'"),
        (6, "price cannot be read: '12yen'"),
        (7, "price cannot be read: '-1'"),
        (8, "price cannot be read: 'NaN'"),
        (9, "duration_seconds cannot be read: '1.5'"),
        (10, "released_on cannot be read: '2024-02-31'"),
        (11, f"id {ID} belongs to the video held"),
        (13, f"id {OTHER} belongs to the video k"),
        (15, "2 columns instead of 6"),
    ]


def test_parquet_with_lists_and_dates(connection: Connection, tmp_path: Path) -> None:
    path = tmp_path / "videos.parquet"
    table = pa.table({"external_id": ["a"], "title": ["A"], "tags": [["x", "y, z"]], "price": [1980.0]})
    pq.write_table(table, path)
    load_file(connection, "videos", path)
    assert links(connection) == [("a", ["x", "y, z"], [])]
    assert videos(connection, "price::text") == [("1980",)]


def test_a_catalogue_of_the_app_is_left_alone_unless_asked(existing_app: ExistingApp, tmp_path: Path) -> None:
    path = tmp_path / "videos.csv"
    path.write_text("external_id,title,genre,tags,performers\nnew1,New,drama,t1|t2,p1\n")
    migrations.migrate(existing_app.owner)
    with connect(existing_app.owner, autocommit=True) as connection:
        held = connection.execute("select count(*) from public.videos").fetchone()
        with pytest.raises(InputFileError, match=r"belongs to the app.*--into-app"):
            load_file(connection, "videos", path)
        assert connection.execute("select count(*) from public.videos").fetchone() == held
        assert connection.execute("select count(*) from raw.loads").fetchone() == (0,)
        summary = load_file(connection, "videos", path, into_app=True)
        assert "genre: public.videos has no such column" in summary.notes
        query = "select title, source from public.videos where external_id = 'new1'"
        assert connection.execute(query).fetchone() == ("New", "catalogue")
        assert ("new1", ["t1", "t2"], ["p1"]) in links(connection)
        columns = {
            name
            for (name,) in connection.execute(
                "select attname from pg_attribute where attrelid = 'public.videos'::regclass"
            )
        }
        if "has_performer" in columns:
            query = "select has_performer from public.videos where external_id = 'new1'"
            assert connection.execute(query).fetchone() == (True,)


@pytest.mark.parametrize("existing_app", ["seed_a"], indirect=True)
def test_of_two_performers_of_one_name_the_linked_one_stays(
    existing_app: ExistingApp, tmp_path: Path
) -> None:
    path = tmp_path / "videos.csv"
    path.write_text("external_id,title,performers\nv,V,Same Name\n")
    migrations.migrate(existing_app.owner)
    with connect(existing_app.owner, autocommit=True) as connection:
        connection.execute(
            "insert into public.videos (id, external_id, title, source) values (%s, 'v', 'V', 's')", (ID,)
        )
        for number in range(5):
            connection.execute(
                "insert into public.performers (id, name) values (%s, 'Same Name')", (f"{number}{ID[1:]}",)
            )
        linked = f"3{ID[1:]}"
        connection.execute("insert into public.video_performers values (%s, %s)", (ID, linked))
        load_file(connection, "videos", path, into_app=True)
        assert connection.execute(
            "select performer_id::text from public.video_performers where video_id = %s", (ID,)
        ).fetchall() == [(linked,)]


def test_a_column_the_app_insists_on_is_named(connection: Connection, load: Load) -> None:
    connection.execute("alter table public.videos add column rating_board text not null")
    with pytest.raises(DatabaseError, match="wants a value in rating_board"):
        load("external_id,title\na,A\n")


def test_as_an_owner_who_is_no_superuser(
    server_address: Address, new_database: Callable[..., Address], tmp_path: Path
) -> None:
    with connect(server_address, autocommit=True) as admin:
        admin.execute("create role load_owner login createrole password 'load_owner'")
    address = new_database(owner="load_owner")
    with connect(address, autocommit=True) as admin:
        admin.execute("create extension vector")
    owner = Address(address.parameters | {"user": "load_owner", "password": "load_owner"})
    migrations.migrate(owner)
    path = tmp_path / "videos.csv"
    path.write_text("external_id,title,tags\na,A,x\n")
    with connect(owner) as connection:
        assert load_file(connection, "videos", path).n_rows == 1
        path.write_text("product_url,reviewer_id,stars\na,u,5\n")
        assert load_file(connection, "reviews", path).n_rows == 1
