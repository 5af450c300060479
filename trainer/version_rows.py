"""The rows of a version: registry line, vectors, weights, evaluations; all in the caller's transaction."""

import numpy as np
from psycopg import sql
from psycopg.types.json import Jsonb

from trainer.database import Connection
from trainer.vector_copy import copy_vectors
from trainer.version_bundle import VersionBundle


def insert_version(connection: Connection, bundle: VersionBundle) -> None:
    # created_at orders the versions, so it never goes back, whatever the clock does
    connection.execute(
        """
        insert into recsys.embedding_model_versions
            (version, status, embedding_dim, config, metrics, data_hash, git_commit, model_path, created_at)
        select %s, 'building', %s, %s, %s, %s, %s, %s,
            greatest(now(), max(registry.created_at) + interval '1 microsecond')
        from recsys.embedding_model_versions as registry
        """,
        (
            bundle.version,
            bundle.embedding_dim,
            Jsonb(bundle.config),
            Jsonb(bundle.metrics),
            bundle.data_hash,
            bundle.git_commit,
            bundle.model_path,
        ),
    )


def copy_videos(connection: Connection, bundle: VersionBundle) -> None:
    """The longest in the ranking coordinates first: every list reads those, and so they fill few pages."""
    ranked_NR = bundle.item_vectors[:, : bundle.config.get("n_ranked", 0)]
    longest_first = np.argsort(-np.linalg.norm(ranked_NR, axis=1), kind="stable")
    columns = {"embedding": bundle.item_vectors, "history_embedding": bundle.history_vectors}
    table = _partition("video_embeddings", bundle)
    copy_vectors(connection, table, "video_id", bundle.video_ids, columns, order=longest_first)


def copy_users(connection: Connection, bundle: VersionBundle) -> None:
    """Through a temporary table, to note beside each vector which history it came from (history_hash)."""
    connection.execute("create temporary table new_user_vectors (like recsys.user_embeddings) on commit drop")
    connection.execute("alter table new_user_vectors alter column model_version drop not null")
    connection.execute("alter table new_user_vectors alter column updated_at drop not null")
    copy_vectors(
        connection,
        sql.Identifier("pg_temp", "new_user_vectors"),
        "user_key",
        bundle.user_keys,
        {"embedding": bundle.user_vectors},
    )
    statement = """
        insert into {} (user_key, embedding, history_hash)
        select new_user_vectors.user_key, new_user_vectors.embedding, histories.history_hash
        from pg_temp.new_user_vectors
        left join recsys.histories(false) as histories on histories.user_key = new_user_vectors.user_key
    """
    connection.execute(sql.SQL(statement).format(_partition("user_embeddings", bundle)))


def insert_tower(connection: Connection, bundle: VersionBundle) -> None:
    with (
        connection.cursor() as cursor,
        cursor.copy("copy recsys.user_tower (model_version, layer, unit, weights, bias) from stdin") as copy,
    ):
        for layer, unit, weights, bias in bundle.tower_rows:
            text = "[" + ",".join(map(repr, map(float, weights))) + "]"
            copy.write_row((bundle.version, layer, unit, text, float(bias)))


def insert_evaluations(connection: Connection, bundle: VersionBundle) -> None:
    columns = "model_version, model_name, split, slice, metric, value, low, high, n_users"
    with connection.cursor() as cursor:
        with cursor.copy(f"copy recsys.evaluations ({columns}) from stdin") as copy:
            for row in bundle.evaluations:
                copy.write_row((bundle.version, *row))
        columns = "model_version, model_name, slice, metric, n_users, mean, low, high"
        with cursor.copy(f"copy recsys.paired_differences ({columns}) from stdin") as copy:
            for paired in bundle.paired_differences:
                copy.write_row((bundle.version, *paired))
        # not by COPY, which row level security refuses to whoever does not own the table
        cursor.execute(
            "insert into recsys.evaluation_users (model_version, model_name, metric, user_key, value)"
            " select %s, of_user.* from unnest(%s::text[], %s::text[], %s::text[], %s::float8[]) as of_user",
            (bundle.version, *([row[place] for row in bundle.evaluation_users] for place in range(4))),
        )
        cursor.executemany(
            "insert into recsys.feature_importance (model_version_id, feature_name, importance_score)"
            " select id, %s, %s from recsys.embedding_model_versions where version = %s",
            [(name, score, bundle.version) for name, score in bundle.feature_importance.items()],
        )
    # read next, by the gate and by monitoring, and no autovacuum has come by yet
    connection.execute("analyze recsys.evaluations, recsys.evaluation_users, recsys.paired_differences")


def _partition(relation: str, bundle: VersionBundle) -> sql.Identifier:
    """As recsys.partition_of names it."""
    return sql.Identifier("recsys", f"{relation}_{bundle.version}")
