"""The end of the demo: three people's likes beside what is recommended to them, metrics, and ways on."""

from trainer import console
from trainer.database import Address, Connection

SHOWN_USERS = 3
SHOWN_VIDEOS = 8
# People with a taste one can see in a table, and not so many films that anybody would be right about them.
LIKES_FROM, LIKES_TO = 8, 40
METRICS = {"recall@20": "Recall@20", "ndcg@20": "NDCG@20"}
MODEL, POPULARITY = "two_tower", "popularity"  # as recsys.evaluations calls them

RECOMMEND_LINE = "select rank, title, score, reason from"

# App users with enough likes, in an order that has nothing to do with what they like.
USERS_QUERY = """
select app_user_id::text, n_likes, n_dislikes from marts.dim_users
where app_user_id is not null and n_likes between %s and %s and not is_suspicious
order by md5(user_key) limit %s
"""
HISTORY_QUERY = """
select dim_videos.title || coalesce(' (' || extract(year from dim_videos.released_on) || ')', '')
from public.user_video_decisions as decisions
inner join marts.dim_videos on decisions.video_id = dim_videos.video_id
where decisions.user_id = %s and decisions.decision_type = 'like'
order by decisions.created_at desc, dim_videos.video_id limit %s
"""
RECOMMENDED_QUERY = """
select
    dim_videos.title || coalesce(' (' || extract(year from dim_videos.released_on) || ')', ''),
    to_char(recommended.score, '0.000'),
    recommended.reason
from public.recommend_videos(match_count => %s, for_user => %s) as recommended
inner join marts.dim_videos on recommended.video_id = dim_videos.video_id
order by recommended.rank
"""
METRICS_QUERY = """
select evaluations.model_name, evaluations.metric, evaluations.value
from recsys.evaluations
inner join recsys.embedding_model_versions on evaluations.model_version = embedding_model_versions.version
where embedding_model_versions.is_active and evaluations.slice = 'all'
"""


def print_report(connection: Connection, where: Address) -> None:
    """Three users, the metrics of the active version beside its baselines, and the commands to go on with."""
    users = connection.execute(USERS_QUERY, (LIKES_FROM, LIKES_TO, SHOWN_USERS)).fetchall()
    for user, n_likes, n_dislikes in users:
        _print_user(connection, user, n_likes, n_dislikes)
    _print_metrics(connection)
    _print_ways_on(where, str(users[0][0]) if users else "USER_ID")


def _print_user(connection: Connection, user: str, n_likes: int, n_dislikes: int) -> None:
    liked = [str(title) for (title,) in connection.execute(HISTORY_QUERY, (user, SHOWN_VIDEOS))]
    recommended = connection.execute(RECOMMENDED_QUERY, (SHOWN_VIDEOS, user)).fetchall()
    rows = [
        [liked[place] if place < len(liked) else "", str(title), str(score).strip(), str(reason)]
        for place, (title, score, reason) in enumerate(recommended)
    ]
    title = f"App user {user}: {n_likes} likes, {n_dislikes} dislikes"
    console.table(title, ["liked lately", "recommended", "score", "because"], rows, numeric_from=99)


def _print_metrics(connection: Connection) -> None:
    found = {(model, metric): value for model, metric, value in connection.execute(METRICS_QUERY)}
    for metric, name in METRICS.items():
        own, popular = found.get((MODEL, metric)), found.get((POPULARITY, metric))
        if own is not None and popular:
            gain = 100 * (own / popular - 1)
            console.say(f"{name} on held-out rows: {own:.4f}, popularity {popular:.4f} ({gain:+.0f} %)")


def _print_ways_on(where: Address, user: str) -> None:
    query = f"{RECOMMEND_LINE} recommend_videos(10, '{user}') join videos on id = video_id order by rank"
    for line in (
        "Go on with",
        f'  PGPASSWORD=… {where.psql_command()} -c "{query}"',
        f"  python -m trainer recommend {user}",
        "  python -m trainer versions   # what is served, and what was before",
        "  python -m trainer doctor     # what became of every line that was loaded",
        "  python -m trainer load reviews YOUR.csv   # in a database of your own: see PGDATABASE",
    ):
        console.say(line)
