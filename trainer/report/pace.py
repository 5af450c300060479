"""How long a list takes while the report is written: one client, one after the other, network too."""

from time import perf_counter
from typing import NamedTuple

import numpy as np

from trainer.database import Connection, relation_exists

# Half a second beside the database, ten seconds across an ocean.
LISTS = 50
LENGTH = 20


class Pace(NamedTuple):
    """What a caller at this place waits for a list of `LENGTH`; `per_second` is that of one client."""

    n_lists: int
    p95_ms: float
    per_second: float


def read_pace(connection: Connection, version: str) -> Pace | None:
    """Asks for lists of users drawn by hash, the same each time; None where nobody has a like yet."""
    if not relation_exists(connection, "marts.dim_users"):
        return None
    users = connection.execute(
        "select user_key from marts.dim_users where n_likes > 0 and not is_suspicious"
        " order by md5(user_key) limit %s",
        (LISTS,),
    ).fetchall()
    taken_N = []
    for (user_key,) in users:
        began = perf_counter()
        connection.execute(
            "select * from recsys.recommend(%s::text, %s, version => %s::text)", (user_key, LENGTH, version)
        ).fetchall()
        taken_N.append(1000 * (perf_counter() - began))
    if not taken_N:
        return None
    return Pace(len(taken_N), float(np.percentile(taken_N, 95)), 1000 / float(np.mean(taken_N)))
