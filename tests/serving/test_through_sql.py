"""Evaluation through SQL: what the functions serve, judged like the rest, the loss split by its cause."""

from collections.abc import Callable

import numpy as np
import pytest

from conftest import drop_database
from serving.conftest import FIRST
from serving.world import World, fill_catalogue, fill_marts, make_world
from trainer import release
from trainer.database import Address, Connection, connect
from trainer.errors import ReleaseError
from trainer.evaluation import evaluate
from trainer.gate import read_champion
from trainer.judge_served import evaluate_sql
from trainer.judging import build_holdout
from trainer.mart import read_mart
from trainer.through_sql import evaluate_through_sql


def complete(connection: Connection, world: World) -> None:
    """The columns of dim_videos that training reads and serving does not."""
    fill_catalogue(connection, world)
    fill_marts(connection, world)
    connection.execute(
        "alter table marts.dim_videos add external_id text, add description text, add label text,"
        " add series text, add director text, add genre text, add performers text[]"
    )


@pytest.fixture(scope="module")
def indexed(
    migrated_template: Address, new_database: Callable[..., Address], server_address: Address
) -> Address:
    """Large enough for an index; of few real dimensions, as trained vectors are."""
    world = make_world(n_videos=11_000, n_users=120, dim=32, events_per_user=40, seed=4)
    rng = np.random.default_rng(4)
    items = rng.normal(size=(11_000, 8)) @ rng.normal(size=(8, 32))
    items /= np.linalg.norm(items, axis=1, keepdims=True)
    world = World(**{**world.__dict__, "item_vectors": items.astype(np.float32)})
    address = new_database(migrated_template.parameters["dbname"])
    with connect(address, autocommit=True) as connection:
        complete(connection, world)
        release.write_version(connection, world.bundle(FIRST))
        release.promote(connection, FIRST, force=True)
    yield address
    drop_database(server_address, address)


def test_the_index_keeps_98_of_100(indexed: Address) -> None:
    with connect(indexed, autocommit=True) as connection:
        mart = read_mart(connection)
        holdout = build_holdout(mart)
        exact, index, filtered = evaluate_through_sql(connection, mart, holdout)
    assert (exact.name, index.name, filtered.name) == ("exact", "index", "filters")
    assert exact.kept == 1
    assert index.kept >= 0.98
    assert filtered.kept < index.kept


def test_what_the_index_costs_is_kept_for_monitoring(indexed: Address) -> None:
    """Where marts.rpt_model_health looks: metric ann_recall@20 of model `index`, the newest measurement."""
    with connect(indexed, autocommit=True) as connection:
        connection.execute(
            "insert into recsys.evaluations (model_version, model_name, split, metric, value)"
            f" values ('{FIRST}', 'index', 'val', 'ann_recall@20', 0.1)"
        )
        evaluate_sql(indexed)
        rows = connection.execute(
            "select model_name, split, slice, value >= 0.98, n_users from recsys.evaluations"
            " where metric = 'ann_recall@20'"
        ).fetchall()
    assert rows == [("index", "val", "all", True, 81)]  # users with a held-out like


def test_exact_lists_are_those_of_the_evaluation(indexed: Address) -> None:
    """The same users, histories and seen videos in SQL and in numpy: the same recall."""
    with connect(indexed, autocommit=True) as connection:
        mart = read_mart(connection)
        holdout = build_holdout(mart)
        champion = read_champion(connection, mart)
        exact = evaluate_through_sql(connection, mart, holdout, n_users=10_000)[0]
    assert champion is not None
    assert champion.version == FIRST
    judged = evaluate("champion", (champion.user_vectors, champion.item_vectors), holdout)
    assert exact.recall == pytest.approx(judged.metrics["recall@20"], abs=1e-9)
    assert exact.ndcg == pytest.approx(judged.metrics["ndcg@20"], abs=1e-9)


def test_nothing_serves_yet(connection: Connection, world: World) -> None:
    complete(connection, world)
    mart = read_mart(connection)
    assert read_champion(connection, mart) is None
    with pytest.raises(ReleaseError, match="no version serves"):
        evaluate_through_sql(connection, mart, build_holdout(mart))
