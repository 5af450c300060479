"""The objects the contract names (sources, registry, the app's views) exist with their columns and types."""

import pytest

from trainer.database import Address, Connection, connect

VIDEOS = """id uuid, external_id text, title text, description text, maker text, label text, series text,
    director text, genre text, price numeric, duration_seconds integer, product_released_at timestamptz,
    product_url text, source text, created_at timestamptz"""

CONTRACT = {
    "raw.loads": """load_id bigint, kind text, file_name text, sha256 text, n_rows bigint, n_rejected bigint,
        loaded_at timestamptz""",
    "raw.reviews": """load_id bigint, line_number bigint, product_url text, reviewer_id text, stars text,
        reviewed_at text, split text""",
    "raw.decisions": """load_id bigint, line_number bigint, reviewer_id text, user_id text, item text,
        decision text, label text, decided_at text, split text""",
    "raw.rejected_lines": "load_id bigint, line_number bigint, content text, reason text",
    "public.videos": VIDEOS,
    "public.tags": "id uuid, name text, tag_group_id uuid",
    "public.tag_groups": "id uuid, name text, use_for_training boolean",
    "public.video_tags": "video_id uuid, tag_id uuid",
    "public.performers": "id uuid, name text",
    "public.video_performers": "video_id uuid, performer_id uuid",
    "public.user_video_decisions": "user_id uuid, video_id uuid, decision_type text, created_at timestamptz",
    "public.video_embeddings": """video_id uuid, embedding vector(256), model_version text,
        updated_at timestamptz""",
    "public.user_embeddings": """user_id uuid, embedding vector(256), model_version text,
        updated_at timestamptz""",
    "recsys.embedding_model_versions": """id uuid, version text, model_type text, model_path text,
        is_active boolean, created_at timestamptz, status text, embedding_dim integer, config jsonb,
        data_hash text, git_commit text, metrics jsonb, promoted_at timestamptz""",
    "recsys.video_embeddings": """model_version text, video_id uuid, embedding vector,
        history_embedding vector""",
    "recsys.user_embeddings": "model_version text, user_key text, embedding vector, updated_at timestamptz",
    "recsys.user_tower": "model_version text, layer text, unit integer, weights vector, bias real",
    "recsys.feature_importance": """id uuid, model_version_id uuid, feature_name text,
        importance_score double precision""",
    "recsys.evaluations": """model_version text, model_name text, split text, slice text, metric text,
        value double precision, low double precision, high double precision, n_users integer""",
    "recsys.gate_rules": """rule text, metric text, slice text, kind text, baseline text,
        threshold double precision, is_enabled boolean, reason text""",
    "recsys.gate_results": """model_version text, rule text, passed boolean, value double precision,
        reason text""",
    "recsys.release_log": """action text, model_version text, previous_version text, is_forced boolean,
        actor text, reason text, at timestamptz""",
    "auth.users": "id uuid",
}


def columns(text: str) -> dict[str, str]:
    pairs = (pair.split(maxsplit=1) for pair in " ".join(text.split()).split(", "))
    return {name: kind.replace("timestamptz", "timestamp with time zone") for name, kind in pairs}


@pytest.fixture(scope="module")
def migrated(migrated_template: Address) -> Address:
    return migrated_template


@pytest.mark.parametrize("relation", CONTRACT)
def test_columns_and_types(migrated: Address, relation: str) -> None:
    with connect(migrated) as connection:
        found = connection.execute(
            "select attname, format_type(atttypid, atttypmod) from pg_attribute"
            " where attrelid = to_regclass(%s) and attnum > 0 and not attisdropped",
            (relation,),
        ).fetchall()
    wanted = columns(CONTRACT[relation])
    assert {name: kind for name, kind in found if name in wanted} == wanted


@pytest.mark.parametrize(
    ("relation", "key"),
    [
        ("recsys.video_embeddings", ["model_version", "video_id"]),
        ("recsys.user_embeddings", ["model_version", "user_key"]),
        ("recsys.user_tower", ["model_version", "layer", "unit"]),
        ("recsys.evaluations", ["model_version", "model_name", "split", "slice", "metric"]),
        ("public.user_video_decisions", ["user_id", "video_id"]),
        ("raw.loads", ["load_id"]),
    ],
)
def test_primary_keys(migrated: Address, relation: str, key: list[str]) -> None:
    with connect(migrated) as connection:
        row = connection.execute(
            "select array(select attname::text from unnest(conkey) with ordinality as k (number, place)"
            " join pg_attribute on attrelid = conrelid and attnum = number order by place)"
            " from pg_constraint where conrelid = to_regclass(%s) and contype = 'p'",
            (relation,),
        ).fetchone()
    assert row == (key,)


def test_vectors_are_partitioned_by_version(migrated: Address) -> None:
    with connect(migrated) as connection:
        rows = connection.execute(
            "select relid::text, pg_get_partkeydef(relid) from unnest(array['recsys.video_embeddings',"
            " 'recsys.user_embeddings']::regclass[]) as relid"
        ).fetchall()
    assert [kind for _, kind in rows] == ["LIST (model_version)"] * 2


def test_roles_and_auth_uid_as_on_supabase(connection: Connection) -> None:
    roles = connection.execute(
        "select rolname, rolcanlogin from pg_roles where rolname in ('anon', 'authenticated', 'service_role')"
    ).fetchall()
    assert sorted(roles) == [("anon", False), ("authenticated", False), ("service_role", False)]
    user = "00000000-0000-0000-0000-000000000007"
    for setting, value in (("request.jwt.claims", f'{{"sub": "{user}"}}'), ("request.jwt.claim.sub", user)):
        with connection.transaction():
            connection.execute("select set_config(%s, %s, true)", (setting, value))
            assert connection.execute("select auth.uid()::text").fetchone() == (user,)
    assert connection.execute("select auth.uid()").fetchone() == (None,)
