"""The bundled sample as two kinds of people: reviewers of a file, and app users who like and dislike."""

import csv
import gzip
from collections.abc import Iterator
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from uuid import UUID, uuid5

from trainer.database import Connection

SAMPLE = Path(__file__).resolve().parent / "sample"
VIDEOS_FILE = SAMPLE / "videos.csv.gz"
REVIEWS_FILE = SAMPLE / "reviews.csv.gz"
HEADER = ("product_url", "reviewer_id", "stars", "timestamp")
# Namespace of the app users' ids: the same person has the same uuid everywhere. Any constant would do.
PEOPLE = UUID("edb87619-7630-527d-b190-39a4d160b003")
# One person in four uses the app: enough decisions to see, and three quarters still come as reviews.
APP_USERS_OF_256 = 64
LIKE_FROM, DISLIKE_TO = 4, 2  # stars, as the vars min_stars and max_negative_stars of dbt_project.yml


def is_app_user(person: str) -> bool:
    """Whether this person of the sample uses the app instead of writing reviews."""
    return sha256(person.encode()).digest()[0] < APP_USERS_OF_256


def app_user_id(person: str) -> UUID:
    """The id an app user of the sample has."""
    return uuid5(PEOPLE, person)


def write_reviews(path: Path) -> None:
    """The reviews of everybody who is no app user, as a file for `load reviews`; always the same bytes."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(HEADER)
        writer.writerows(line for line in _lines() if not is_app_user(line[1]))


def app_users() -> list[UUID]:
    """The ids of all app users of the sample."""
    return [app_user_id(person) for person in sorted({line[1] for line in _lines()}) if is_app_user(person)]


def insert_decisions(connection: Connection) -> int:
    """The app users' likes and dislikes into the app's table, as if they had swiped; how many are new.

    Videos must be loaded before. Middle stars are no decision.
    """
    with connection.transaction():
        connection.execute(
            "create temporary table demo_decisions"
            " (user_id uuid, product_url text, decision text, at timestamptz) on commit drop"
        )
        with connection.cursor() as cursor, cursor.copy("copy demo_decisions from stdin") as copy:
            for row in _decisions():
                copy.write_row(row)
        return connection.execute(
            "insert into public.user_video_decisions (user_id, video_id, decision_type, created_at)"
            " select user_id, videos.id, decision, at from demo_decisions"
            " inner join public.videos on demo_decisions.product_url = videos.product_url"
            " on conflict do nothing"
        ).rowcount


def _decisions() -> Iterator[tuple[UUID, str, str, datetime]]:
    for url, person, stars, timestamp in _lines():
        if is_app_user(person) and not DISLIKE_TO < int(stars) < LIKE_FROM:
            decision = "like" if int(stars) >= LIKE_FROM else "dislike"
            yield app_user_id(person), url, decision, datetime.fromtimestamp(int(timestamp), UTC)


def _lines() -> Iterator[list[str]]:
    with gzip.open(REVIEWS_FILE, "rt", encoding="utf-8", newline="") as file:
        lines = csv.reader(file)
        next(lines)
        yield from lines
