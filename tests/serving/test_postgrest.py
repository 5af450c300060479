"""The functions as an app calls them: over a real PostgREST (from npm), with real tokens."""

import json
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from artifacts import programs
from rest_server import rest_server
from serving.conftest import FIRST
from serving.world import World, app_user
from trainer.database import Address, Connection

ME, OTHER = app_user(0), app_user(2)
Ask = Callable[..., tuple[int, Any]]


@pytest.fixture
def ask(served: Address, node_modules: Path, tmp_path: Path) -> Iterator[Ask]:
    """`ask("rpc/recommend_videos", {...}, role="authenticated", user=ME)` -> (status, JSON)."""
    with rest_server(node_modules, served, tmp_path) as url:

        def call(path: str, body: object = None, role: str = "", user: str | None = None) -> tuple[int, Any]:
            headers = {"Content-Type": "application/json"}
            if role:
                headers["Authorization"] = f"Bearer {programs.token(role, user)}"
            data = None if body is None else json.dumps(body).encode()
            request = urllib.request.Request(f"{url}/{path}", data, headers)
            try:
                with urllib.request.urlopen(request, timeout=20) as answer:
                    return answer.status, json.loads(answer.read() or "null")
            except urllib.error.HTTPError as error:
                return error.code, json.loads(error.read() or "null")

        yield call


def test_an_app_over_http(ask: Ask, serving: Connection, world: World) -> None:
    status, mine = ask("rpc/recommend_videos", {"match_count": 5}, "authenticated", ME)
    assert status == 200
    assert [row["rank"] for row in mine] == [1, 2, 3, 4, 5]
    assert {row["model_version"] for row in mine} == {FIRST}
    expected = serving.execute("select video_id::text from recommend_videos(5, %s)", (ME,)).fetchall()
    assert [(row["video_id"],) for row in mine] == expected

    named = {"match_count": 3, "diversity": 0.3, "with_tags": ["all"], "max_per_maker": 1, "exclude_ids": []}
    assert len(ask("rpc/recommend_videos", named, "authenticated", ME)[1]) == 3
    status, visitors = ask("rpc/recommend_videos", {})
    assert (status, len(visitors)) == (200, 20)
    assert "popular" in visitors[0]["reason"]

    status, refused = ask("rpc/recommend_videos", {"for_user": OTHER}, "authenticated", ME)
    assert (status, refused["code"]) == (403, "42501")
    assert ask("rpc/recommend_videos", {"for_user": OTHER})[0] == 401
    assert len(ask("rpc/recommend_videos", {"for_user": OTHER}, "service_role")[1]) == 20

    query = world.item_vectors[3].tolist()
    for vector in (query, json.dumps(query)):  # a JSON array or its text
        status, matched = ask("rpc/match_videos", {"query_embedding": vector, "match_count": 2})
        assert (status, matched[0]["video_id"]) == (200, world.video_ids[3])
    status, wrong = ask("rpc/match_videos", {"query_embedding": "[1,2]"})
    assert (status, wrong["code"]) == (400, "22000")

    assert len(ask(f"rpc/similar_videos?video={world.video_ids[0]}&match_count=4")[1]) == 4  # GET: stable
    assert len(ask("rpc/popular_videos?match_count=4")[1]) == 4
    status, reasons = ask("rpc/explain_recommendation", {"video": mine[0]["video_id"]}, "authenticated", ME)
    assert sum(row["contribution"] for row in reasons) == pytest.approx(mine[0]["score"], abs=1e-4)
    assert ask("rpc/refresh_user_embedding", {}, "authenticated", ME)[0] == 200
    assert ask("rpc/log_impressions", {"shown": mine, "surface": "home"}, "authenticated", ME) == (200, 5)

    assert [row["user_id"] for row in ask("user_embeddings", None, "authenticated", ME)[1]] == [ME]
    assert len(ask("video_embeddings?select=video_id")[1]) == 60
    assert ask("user_embeddings")[0] == 401
    for closed in ("embedding_model_versions", "fct_interactions", "impressions", "rpc/user_vector"):
        assert ask(closed)[0] == 404

    like = {"user_id": ME, "video_id": mine[0]["video_id"], "decision_type": "like"}
    assert ask("user_video_decisions", like, "authenticated", ME)[0] == 201
    after = ask("rpc/recommend_videos", {"match_count": 5}, "authenticated", ME)[1]
    assert mine[0]["video_id"] not in {row["video_id"] for row in after}
    assert [row["score"] for row in after] != [row["score"] for row in mine]
