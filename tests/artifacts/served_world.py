"""The trained world in a database: marts with the contract's columns, catalogue, one released version."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from trainer import release
from trainer.artifacts import write_artifacts
from trainer.database import Connection
from trainer.mart import Catalogue, Mart
from trainer.trained import TrainedModel

MARTS = """
create schema if not exists marts;
create table marts.decision_labels (decision text primary key, label smallint);
insert into marts.decision_labels values ('like', 1), ('nope', 0), ('skip', null);
create table marts.dim_videos (
    video_id uuid primary key, external_id text, product_url text, title text, description text, maker text,
    label text, series text, director text, genre text, price numeric, duration_seconds integer,
    released_on date, tags text[], performers text[], n_likes bigint, n_dislikes bigint, popularity real
);
create table marts.fct_interactions (
    user_key text not null, video_id uuid not null, label smallint, weight real not null default 1,
    source text not null, match_rule text, occurred_at timestamptz, split text,
    is_seen_only boolean not null, is_split_from_file boolean not null default false,
    primary key (user_key, video_id)
);
"""


def fill(connection: Connection, world: Mart) -> None:
    """public.videos and the marts, as dbt would have built them."""
    connection.execute(MARTS)
    add_videos(connection, world.catalogue, range(len(world.catalogue)))
    rows = world.interactions
    splits = {0: "train", 1: "val", 2: "test"}
    with connection.cursor() as cursor:
        cursor.executemany(
            "insert into marts.fct_interactions (user_key, video_id, label, source, occurred_at, split,"
            " is_seen_only) values (%s, %s, %s, 'decision', %s, %s, false)",
            [
                (
                    world.user_keys[rows.user_index[k]],
                    world.catalogue.video_ids[rows.item_index[k]],
                    int(rows.label[k]),
                    datetime.fromtimestamp(rows.occurred_at[k], UTC),
                    splits[int(rows.split[k])],
                )
                for k in range(len(rows))
            ],
        )


def add_videos(connection: Connection, catalogue: Catalogue, chosen: range) -> None:
    """Some of the videos, into public.videos and marts.dim_videos."""
    rows = [
        (
            catalogue.video_ids[k],
            catalogue.external_id[k],
            catalogue.title[k],
            catalogue.maker[k],
            None if np.isnan(catalogue.price[k]) else float(catalogue.price[k]),
            int(catalogue.released_on[k]),
            catalogue.tags[k],
        )
        for k in chosen
    ]
    with connection.cursor() as cursor:
        cursor.executemany(
            "insert into public.videos (id, external_id, title, maker, source)"
            " values (%s, %s, %s, %s, 'test')",
            [row[:4] for row in rows],
        )
        cursor.executemany(
            "insert into marts.dim_videos (video_id, external_id, title, maker, price, released_on, tags,"
            " performers) values (%s, %s, %s, %s, %s, date '1970-01-01' + %s, %s, '{}')",
            rows,
        )


def publish(connection: Connection, out_dir: Path, version: str, model: TrainedModel, world: Mart) -> None:
    """The model as an active version, in the database and in the folder."""
    release_of(connection, version, model, world)
    write_artifacts(out_dir, version, model, world, {})


def release_of(connection: Connection, version: str, model: TrainedModel, world: Mart) -> None:
    """The model as an active version, in the database."""
    release.write_version(connection, bundle_of(version, model, world))
    release.promote(connection, version, force=True)


def bundle_of(version: str, model: TrainedModel, world: Mart, **changes: Any) -> release.VersionBundle:
    """The model as the database takes it; app users' vectors are stored."""
    items, history = model.item_vectors()
    histories = model.histories(world, "published")
    users = [k for k, key in enumerate(world.user_keys) if key.startswith("app:")]
    bundle = release.VersionBundle(
        version=version,
        embedding_dim=model.embedding_dim,
        video_ids=world.catalogue.video_ids,
        item_vectors=items,
        history_vectors=history,
        user_keys=[world.user_keys[k] for k in users],
        user_vectors=model.user_vectors(histories.take(np.array(users)), history),
        tower_rows=model.user_tower_rows(),
        config=model.serving_config(),
    )
    return replace(bundle, **changes)
