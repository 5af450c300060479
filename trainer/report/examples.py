"""Users' histories beside what they are recommended, with reasons: nobody is named."""

from typing import NamedTuple

from trainer.database import Connection, relation_exists
from trainer.recommend import Recommended, Wish, liked_titles, recommend

LENGTH = 8
# Users by how many likes they have: a newcomer, a few, and the well known.
QUANTILES = (0.05, 0.35, 0.65, 0.95)


class Example(NamedTuple):
    """One user, by the number of likes only."""

    n_likes: int
    liked: list[str]
    recommended: list[Recommended]


def read_examples(connection: Connection, version: str) -> list[Example]:
    """Users at different ages of their history, and somebody nobody has heard of."""
    if not relation_exists(connection, "marts.dim_users"):
        return []
    rows = connection.execute(
        "select distinct on (quantile) users.user_key, users.n_likes"
        " from unnest(%s::double precision[]) as quantile cross join lateral ("
        " select user_key, n_likes from marts.dim_users where n_likes > 0 and not is_suspicious"
        " order by n_likes, md5(user_key)"
        " offset floor(quantile * (select count(*) from marts.dim_users"
        " where n_likes > 0 and not is_suspicious))::bigint limit 1) as users order by quantile",
        (list(QUANTILES),),
    ).fetchall()
    rows = list({n_likes: (key, n_likes) for key, n_likes in rows}.values())  # young data: many have one like
    wish = Wish(match_count=LENGTH, version=version)
    found = [
        Example(int(n_likes), liked_titles(connection, str(key)), recommend(connection, str(key), wish))
        for key, n_likes in rows
    ]
    return [*found, Example(0, [], recommend(connection, "review:nobody has this name", wish))]
