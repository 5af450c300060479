"""What serves: the active version, who has no vector in it, the files beside it, room for the next one."""

import shutil
from collections.abc import Iterator
from pathlib import Path

from trainer.database import Connection, relation_exists
from trainer.doctor.finding import FAIL, OK, WARN, Finding, judged, value
from trainer.errors import MartelloError
from trainer.settings import load_settings

DAYS_SERVED = 14  # trained weekly: two missed weeks are worth a look
WITHOUT_VECTOR = 0.05  # share of the app's users with a like; the hourly sync is never complete
# A version's weights, ONNX files and maps take some 150 MB; an index build and dbt's tables want more.
FREE_BYTES = 2 * 2**30


def version(connection: Connection) -> Iterator[Finding]:
    """Which version serves and since when; videos and users without a vector."""
    if not relation_exists(connection, "recsys.embedding_model_versions"):
        return
    row = connection.execute(
        "select version, embedding_dim, extract(day from now() - created_at)::int"
        " from recsys.embedding_model_versions where is_active"
    ).fetchone()
    if row is None:
        fact = "no version is active: everybody gets popularity"
        yield Finding("version", WARN, fact, "run `python -m trainer`")
        return
    name, dimension, days = row
    remedy = "is the weekly run failing? run `python -m trainer`"
    fact = f"{name} is active, {dimension} dimensions, {days} days old"
    yield judged("version", days <= DAYS_SERVED, fact, remedy)
    yield from _without_vector(connection, str(name))


def _without_vector(connection: Connection, name: str) -> Iterator[Finding]:
    sync = "run `python -m trainer sync`"
    videos = value(
        connection,
        "select count(*) from public.videos as v where not exists (select from recsys.video_embeddings as e"
        " where e.model_version = %s and e.video_id = v.id)",
        name,
    )
    yield judged("vectors", not videos, f"{videos:,} videos without a vector", sync)
    row = connection.execute(
        "select count(*), count(*) filter (where e.user_key is null) from (select distinct user_id"
        " from recsys.live_decisions() where label = 1) as liking left join recsys.user_embeddings as e"
        " on e.model_version = %s and e.user_key = 'app:' || liking.user_id",
        (name,),
    ).fetchone()
    users, bare = row or (0, 0)
    fact = f"{bare:,} of {users:,} users of the app with a like have no vector"
    yield judged("vectors", bare <= WITHOUT_VECTOR * users, fact, sync)


def storage(connection: Connection) -> Iterator[Finding]:
    """Supabase Storage, where it is configured: reachable, and naming the version the database serves."""
    # imported here: the Storage client takes a second to import, and most checks do not need it
    from trainer.publish import read_manifest  # noqa: PLC0415
    from trainer.storage import open_storage  # noqa: PLC0415

    try:
        store = open_storage(load_settings())
        if store is None:
            fact = "not configured: artifacts stay in the local folder"
            yield Finding("storage", OK, fact)
            return
        manifest = read_manifest(store)
    except MartelloError as error:
        yield Finding("storage", FAIL, error.fact, error.remedy)
        return
    named = manifest.current.version if manifest else None
    is_known = relation_exists(connection, "recsys.embedding_model_versions")
    query = "select max(version) from recsys.embedding_model_versions where is_active"
    row = connection.execute(query).fetchone() if is_known else None
    served = str(row[0]) if row and row[0] else None
    fact = f"{store} holds {named or 'no release yet'}"
    if served and named != served:
        fact += f", the database serves {served}"
    remedy = f"run `python -m trainer publish {served}`"
    yield judged("storage", named == served, fact, remedy)


def free_space(connection: Connection) -> Iterator[Finding]:
    """Room here, where artifacts and dbt's files go, and on the server's disk when it is this machine's."""
    places = {"here": Path.cwd()}
    row = connection.execute(
        "select setting from pg_settings where name = 'data_directory'"  # no row for a role that may not know
    ).fetchone()
    # a directory of that name may exist here without being the server's: then it is one more disk looked at
    if row and row[0] and Path(str(row[0])).is_dir():
        places["on the database's disk"] = Path(str(row[0]))
    for where, path in places.items():
        free = shutil.disk_usage(path).free
        remedy = "make room, or train with --out-dir on another disk"
        yield judged("free space", free >= FREE_BYTES, f"{free / 2**30:.1f} GiB {where}", remedy)
