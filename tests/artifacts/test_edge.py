"""The edge functions really running: Deno, PostgREST and Storage behind one address, callers with tokens."""

import json
import os
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from artifacts import programs
from artifacts.conftest import VERSION, open_quickly
from artifacts.storage_server import GOOD_KEY, storage_server
from artifacts.storage_server import World as StorageWorld
from conftest import drop_database
from rest_server import rest_server
from trainer.database import Address, Connection, connect
from trainer.mart import Mart
from trainer.publish import publish_artifacts
from trainer.settings import Settings
from trainer.store import LocalFolder

FUNCTIONS = ("recommendations", "update_user_embedding")
STRANGER = "00000000-0000-0000-0000-0000000000ff"


@dataclass(frozen=True)
class Edge:
    """Where the functions listen, the database and the bucket behind them."""

    urls: dict[str, str]
    database: Connection
    storage: StorageWorld
    start: Callable[..., AbstractContextManager[str]]

    def post(self, function: str, body: Any = None, token: str | None = None) -> tuple[int, Any]:
        """Status and JSON of one call."""
        content = body if isinstance(body, bytes) else json.dumps({} if body is None else body).encode()
        headers = {"Content-Type": "application/json"} | (
            {"Authorization": f"Bearer {token}"} if token else {}
        )
        request = urllib.request.Request(self.urls[function], content, headers)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as refused:
            return refused.code, json.load(refused)

    def vector(self, user: str) -> np.ndarray:
        """The stored vector of an app user."""
        row = self.database.execute(
            "select embedding::text from recsys.user_embeddings where user_key = %s", (f"app:{user}",)
        ).fetchone()
        assert row is not None
        return np.array(json.loads(row[0]))


@pytest.fixture(scope="module")
def edge(
    node_modules: Path,
    server_address: Address,
    new_database: Any,
    released: tuple[Address, Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Edge]:
    """Everything started once; tests use users of their own."""
    address: Address = new_database(released[0].parameters["dbname"])
    logs = tmp_path_factory.mktemp("edge")
    with ExitStack() as stack:
        connection = stack.enter_context(connect(address, autocommit=True))
        storage = stack.enter_context(storage_server())
        rest = stack.enter_context(rest_server(node_modules, address, logs))
        front = stack.enter_context(
            programs.gateway({"/rest/v1": rest, "/storage/v1": f"{storage.url}/storage/v1"})
        )
        settings = Settings.model_construct(supabase_url=front, martello_bucket="models")
        _publish(settings, storage, released[1])
        start = partial(_function, node_modules, front, logs)
        urls = {name: stack.enter_context(start(name)) for name in FUNCTIONS}
        yield Edge(urls, connection, storage, start)
    drop_database(server_address, address)


def _function(
    node_modules: Path, front: str, logs: Path, name: str, **variables: str
) -> AbstractContextManager[str]:
    """One edge function in Deno, as `supabase functions serve` would start it; its address."""
    port = programs.free_port()
    environment = {
        **{k: v for k, v in os.environ.items() if not k.startswith("SUPABASE_")},
        "SUPABASE_URL": front,
        "SUPABASE_ANON_KEY": programs.token("anon"),
        "SUPABASE_SECRET_KEY": GOOD_KEY,
        "DENO_SERVE_ADDRESS": f"tcp:127.0.0.1:{port}",
        "DENO_DIR": str(node_modules.parent / "deno"),
        "NO_COLOR": "1",
        **variables,
    }
    command = [str(node_modules / ".bin" / "deno"), "run", "--allow-all", "--no-lock"]
    source = str(programs.FUNCTIONS / name / "index.ts")
    return programs.running([*command, source], port, environment, logs / f"{name}-{port}.log")


def _publish(settings: Settings, storage: StorageWorld, out_dir: Path) -> None:
    from pydantic import SecretStr

    direct = settings.model_copy(
        update={
            "supabase_url": storage.url,
            "supabase_secret_key": SecretStr(GOOD_KEY),
            "supabase_service_role_key": None,
        }
    )
    publish_artifacts(LocalFolder(out_dir), open_quickly(direct), VERSION)


@pytest.fixture(scope="module")
def users(world: Mart) -> list[str]:
    """The app users with a history."""
    return [key.removeprefix("app:") for key in world.user_keys if key.startswith("app:")]


def test_recommendations_are_what_sql_says(edge: Edge, users: list[str]) -> None:
    status, answer = edge.post(
        "recommendations", {"match_count": 7}, programs.token("authenticated", users[0])
    )
    rows = edge.database.execute(
        "select rank, video_id::text, score, reason from public.recommend_videos(7, %s)", (users[0],)
    ).fetchall()
    assert (status, answer["model_version"]) == (200, VERSION)
    found = [
        (r["rank"], r["video_id"], pytest.approx(r["score"]), r["reason"]) for r in answer["recommendations"]
    ]
    assert found == rows
    assert len(rows) == 7


def test_filters_reach_sql(edge: Edge, users: list[str]) -> None:
    token = programs.token("authenticated", users[0])
    _, plain = edge.post("recommendations", {"match_count": 3}, token)
    first = plain["recommendations"][0]["video_id"]
    _, without = edge.post("recommendations", {"match_count": 3, "exclude_ids": [first]}, token)
    assert first not in {row["video_id"] for row in without["recommendations"]}
    assert without["recommendations"][0]["video_id"] == plain["recommendations"][1]["video_id"]


def test_a_visitor_gets_what_is_popular(edge: Edge) -> None:
    status, answer = edge.post("recommendations", {"match_count": 5}, programs.token("anon"))
    assert status == 200
    assert len(answer["recommendations"]) == 5


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ({"match_count": 0}, 400, "match_count is 0"),
        ({"match_count": "many"}, 400, 'match_count is "many"'),
        ({"for_user": STRANGER}, 400, "unknown: for_user"),
        ({"exclude_ids": ["not a uuid"]}, 400, "invalid input syntax for type uuid"),
        (b"[1]", 400, "the body is not a JSON object"),
        (b"{", 400, "the body is not JSON"),
    ],
)
def test_bad_requests_are_told_why(
    body: object, status: int, said: str, edge: Edge, users: list[str]
) -> None:
    answered, answer = edge.post("recommendations", body, programs.token("authenticated", users[0]))
    assert answered == status
    assert said in answer["error"]


@pytest.mark.parametrize("function", FUNCTIONS)
def test_only_a_users_own_token_is_taken(function: str, edge: Edge, users: list[str]) -> None:
    expected = [
        (None, 401),
        ("nonsense", 401),
        (programs.token("authenticated", users[0], secret="another secret, of thirty-two letters"), 401),
        (programs.token("service_role"), 403),
    ]
    for token, status in expected:
        assert edge.post(function, {}, token)[0] == status
    assert edge.post("update_user_embedding", {}, programs.token("anon"))[0] == 401


@pytest.mark.parametrize("engine", ["sql", "onnx"])
def test_a_like_is_felt_whichever_engine_computes(
    engine: str, edge: Edge, world: Mart, users: list[str]
) -> None:
    user = users[1 if engine == "sql" else 2]
    before = edge.vector(user)
    liked = world.catalogue.video_ids[0 if engine == "sql" else 6]
    edge.database.execute(
        "insert into public.user_video_decisions (user_id, video_id, decision_type) values (%s, %s, 'like')",
        (user, liked),
    )
    status, answer = edge.post(
        "update_user_embedding", {"engine": engine}, programs.token("authenticated", user)
    )
    assert (status, answer["engine"], answer["dimension"], answer["is_stored"]) == (200, engine, 32, True)
    after = edge.vector(user)
    assert np.abs(after - before).max() > 1e-3
    row = edge.database.execute("select recsys.user_vector(%s)::text", (f"app:{user}",)).fetchone()
    assert row is not None
    np.testing.assert_allclose(after, json.loads(row[0]), atol=1e-4)
    # stored with the hash of this very history: nothing is left for sync to compute
    stale = edge.database.execute("select user_key from recsys.changed_users(%s)", (VERSION,)).fetchall()
    assert (f"app:{user}",) not in stale


@pytest.mark.parametrize("engine", ["sql", "onnx"])
def test_without_a_like_there_is_no_vector(engine: str, edge: Edge) -> None:
    token = programs.token("authenticated", STRANGER)
    status, answer = edge.post("update_user_embedding", {"engine": engine}, token)
    assert (status, answer["is_stored"], answer["dimension"]) == (200, False, None)


def test_onnx_and_sql_agree_on_everybody(edge: Edge, users: list[str]) -> None:
    for user in users[3:15]:
        edge.post("update_user_embedding", {"engine": "onnx"}, programs.token("authenticated", user))
        row = edge.database.execute("select recsys.user_vector(%s)::text", (f"app:{user}",)).fetchone()
        assert row is not None
        np.testing.assert_allclose(edge.vector(user), json.loads(row[0]), atol=1e-4)


def test_nobody_stores_for_another_or_of_another_model(edge: Edge, users: list[str]) -> None:
    mine, other = users[16], users[17]
    before = edge.vector(other)
    unit = json.dumps([1.0] + [0.0] * 31)
    with pytest.raises(Exception, match="may not ask for user"), edge.database.transaction():
        _act_as(edge.database, mine)
        edge.database.execute("select public.store_user_embedding(%s, %s, '1', %s)", (unit, VERSION, other))
    with pytest.raises(Exception, match="has 3 dimensions"), edge.database.transaction():
        _act_as(edge.database, mine)
        edge.database.execute("select public.store_user_embedding('[1,0,0]', %s, '1')", (VERSION,))
    with pytest.raises(Exception, match=r"length 2\.000"), edge.database.transaction():
        _act_as(edge.database, mine)
        edge.database.execute(
            "select public.store_user_embedding(%s, %s, '1')", (json.dumps([2.0] + [0.0] * 31), VERSION)
        )
    with edge.database.transaction():
        _act_as(edge.database, mine)
        row = edge.database.execute(
            "select public.store_user_embedding(%s, '202001010000', '1')", (unit,)
        ).fetchone()
    assert row == (False,)
    np.testing.assert_array_equal(edge.vector(other), before)


def _act_as(connection: Connection, user: str) -> None:
    connection.execute("select set_config('request.jwt.claims', %s, true)", (json.dumps({"sub": user}),))
    connection.execute("set local role authenticated")


@pytest.mark.parametrize(
    ("key", "content", "said"),
    [
        (f"two_tower/{VERSION}/user_tower.onnx", b"damaged", "is not the file the manifest names"),
        (f"two_tower/{VERSION}/user_tower.onnx", None, "Storage has no two_tower"),
        ("two_tower/latest/manifest.json", None, "Storage has no two_tower/latest/manifest.json"),
    ],
)
def test_a_model_that_is_damaged_or_missing_is_not_run(
    key: str, content: bytes | None, said: str, edge: Edge, users: list[str]
) -> None:
    edge.storage.buckets["damaged"] = None
    for name in edge.storage.keys("models"):
        edge.storage.objects[f"damaged/{name}"] = edge.storage.objects[f"models/{name}"]
    if content is None:
        del edge.storage.objects[f"damaged/{key}"]
    else:
        edge.storage.objects[f"damaged/{key}"] = content
    before = edge.vector(users[20])
    with edge.start("update_user_embedding", MARTELLO_BUCKET="damaged") as url:
        asked = replace(edge, urls={"update_user_embedding": url})
        token = programs.token("authenticated", users[20])
        status, answer = asked.post("update_user_embedding", {"engine": "onnx"}, token)
    assert status == 503
    assert said in answer["error"]
    np.testing.assert_array_equal(edge.vector(users[20]), before)
