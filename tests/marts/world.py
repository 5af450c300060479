"""A pen for small worlds: videos, files' lines and app decisions, written as the loader and the app would."""

import uuid
from collections.abc import Iterable
from dataclasses import dataclass

from trainer.database import Address, connect


def video_uuid(name: str) -> uuid.UUID:
    """The uuid of the video a test calls by this name."""
    return uuid.uuid5(uuid.NAMESPACE_URL, f"video {name}")


def user_uuid(name: str) -> uuid.UUID:
    """The uuid of the app user a test calls by this name."""
    return uuid.uuid5(uuid.NAMESPACE_URL, f"user {name}")


@dataclass(frozen=True)
class World:
    """Writes rows; every method commits. Lines get numbers from 2 on, the header being line 1."""

    address: Address

    def execute(self, statement: str, parameters: Iterable[object] = ()) -> list[tuple[object, ...]]:
        with connect(self.address, autocommit=True) as connection:
            cursor = connection.execute(statement.encode(), tuple(parameters))
            return cursor.fetchall() if cursor.description else []

    def videos(self, *rows: dict[str, object]) -> None:
        """Each row needs `external_id` or `id`; the uuid is video_uuid(external_id) unless given."""
        for row in rows:
            values = {
                "id": video_uuid(str(row.get("external_id"))),
                "title": str(row.get("external_id")),
            } | row
            self._insert("public.videos", [values])

    def tags(self, video: str, *names: str) -> None:
        for name in names:
            self.execute("insert into public.tags (name) values (%s) on conflict do nothing", [name])
            self.execute(
                "insert into public.video_tags select %s, id from public.tags where name = %s",
                [video_uuid(video), name],
            )

    def reviews(self, *rows: dict[str, object]) -> int:
        return self._file("reviews", rows)

    def decisions(self, *rows: dict[str, object]) -> int:
        return self._file("decisions", rows)

    def app_decisions(self, *rows: dict[str, object]) -> None:
        self._insert("public.user_video_decisions", rows)

    def _file(self, kind: str, rows: Iterable[dict[str, object]]) -> int:
        """One loaded file; returns its load_id."""
        lines = list(rows)
        [(load_id,)] = self.execute(
            "insert into raw.loads (kind, file_name, sha256, n_rows)"
            " values (%s, %s, repeat(md5(random()::text), 2), %s) returning load_id",
            [kind, f"{kind}.csv", len(lines)],
        )
        self._insert(
            f"raw.{kind}",
            [{"load_id": load_id, "line_number": number, **row} for number, row in enumerate(lines, 2)],
        )
        return int(str(load_id))

    def _insert(self, table: str, rows: Iterable[dict[str, object]]) -> None:
        for row in rows:
            columns = ", ".join(row)
            places = ", ".join(["%s"] * len(row))
            self.execute(f"insert into {table} ({columns}) values ({places})", list(row.values()))
