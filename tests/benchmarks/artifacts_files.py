"""How large a version's files are, and what keeping each of them under 50 MB costs.

    python tests/benchmarks/artifacts_files.py [DATA_FOLDER]

Sizes: towers of the real shape (256 dimensions, 20,000 categories, text) with random weights. Cost: a set
in DATA_FOLDER, trained, its numbers kept in the form that a larger catalogue's would be: how much of the
score model's top 20 is left, and what the holdout says of lists by the item tower's vectors.
"""

import copy
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from trainer.export import save
from trainer.features import Vocabularies
from trainer.item_graph import item_graph
from trainer.judging import judge
from trainer.mart import Mart
from trainer.onnx_files import Subject
from trainer.onnx_session import Session
from trainer.parity import check_scores
from trainer.precision import GRAPH_BYTES, LIMIT_BYTES, SCALE_BYTES, Precision, fit_tables
from trainer.score_graph import score_graph
from trainer.text import N_BUCKETS, N_COMPONENTS, TextEncoder
from trainer.towers import TwoTowers
from trainer.trained import TrainedModel
from trainer.user_graph import user_graph
from trainer.weights import read_weights, weights_sha256, write_weights

DIMENSION, N_CATEGORIES, N_SLOTS, N_AGGREGATES, HIDDEN = 256, 20_000, 37, 5, 256
# (videos, users in the map)
EXACT = Precision("float32", DIMENSION)
SIZES = ((10_000, 5_000), (50_000, 10_000), (200_000, 20_000))


def main(data: Path | None) -> None:
    print(
        f"{'videos':>8} {'users':>7} {'score':>20} {'item tower':>20} {'user tower':>10} {'.pt':>13}   (MB)"
    )
    forms = {}
    for n_videos, n_users in SIZES:
        line, *forms[n_videos] = _sizes(n_videos, n_users)
        print(line, flush=True)
    if data:
        _cost(data, forms)


def _sizes(n_videos: int, n_users: int) -> tuple[str, Precision, Precision]:
    rng = np.random.default_rng(0)
    towers = TwoTowers(
        n_videos=n_videos,
        n_categories=N_CATEGORIES,
        n_dense=6 + N_COMPONENTS,
        n_aggregates=N_AGGREGATES,
        dim=DIMENSION,
        hidden_units=HIDDEN,
    )
    torch.nn.init.normal_(towers.item_tower.id_embedding_ID)
    text = TextEncoder(
        np.ones(N_BUCKETS, np.float32), rng.normal(size=(N_BUCKETS, N_COMPONENTS)).astype(np.float32)
    )
    words = Vocabularies({}, {}, dict.fromkeys("abc", (0.0, 1.0)), text)
    users, items = (_unit(rng, n) for n in (n_users, n_videos))
    with tempfile.TemporaryDirectory() as folder:
        score, item, user, weights = (Path(folder) / name for name in ("score", "item", "user", "pt"))
        graph, score_kept = score_graph(users, items)
        save(graph, score, {})
        graph, item_kept, of_categories = item_graph(towers.item_tower, words, N_SLOTS)
        save(graph, item, {})
        save(user_graph(towers.user_tower.rows(), DIMENSION, N_AGGREGATES, 0.5), user, {})
        parts = write_weights(weights, towers.state_dict())
        assert weights_sha256(read_weights(*parts)) == weights_sha256(towers.state_dict())
        mb = [path.stat().st_size / 1e6 for path in (score, item, user)]
        of_weights = [path.stat().st_size / 1e6 for path in parts]
    kept = [f"{kept.form} {kept.coordinates}" for kept in (score_kept, item_kept)]
    line = (
        f"{n_videos:>8,} {n_users:>7,} {mb[0]:6.1f} {kept[0]:>13} {mb[1]:6.1f} {kept[1]:>13}"
        f" {mb[2]:10.1f} {sum(of_weights):7.1f} in {len(parts):>2}"
    )
    assert of_categories is not None
    return line, item_kept, of_categories


def _cost(data: Path, forms: dict[int, list[Precision]]) -> None:
    sys.path.insert(0, str(Path(__file__).parent))
    from towers_sets import load_mart

    from trainer.training import TrainingConfig, fit

    mart = load_mart(data, "movielens", "random")
    model = fit(mart, TrainingConfig(epochs=3, refit=False))
    subject = Subject.of(model, mart, {})
    rows = len(subject.user_vectors) + len(subject.item_vectors) + 2
    print(f"\nmovielens, trained: {rows:,} vectors at the bytes per row of a larger catalogue")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "score.onnx"
        for n_videos, n_users in (*SIZES, (400_000, 20_000), (800_000, 20_000)):
            room = (LIMIT_BYTES - GRAPH_BYTES) // (n_videos + n_users + 2)
            graph, kept = score_graph(
                subject.user_vectors, subject.item_vectors, rows * min(room, 1024) + GRAPH_BYTES
            )
            save(graph, path, {})
            parity = check_scores(Session(path), subject.user_vectors, subject.item_vectors, kept.form)
            print(
                f"as {n_videos:>7,} videos: {kept.form:>8} {kept.coordinates:>4} coordinates, differs by"
                f" {parity.largest_difference:.1e}, {parity.top_20_overlap:.1%} of the top 20 kept"
            )
    _cost_of_items(mart, model, forms)


def _cost_of_items(mart: Mart, model: TrainedModel, forms: dict[int, list[Precision]]) -> None:
    """The holdout's figures of the trained towers with their tables kept as a larger catalogue's are."""
    print("lists by the item tower's vectors, on the holdout:")
    for n_videos, (of_ids, of_categories) in {0: [EXACT, EXACT], **forms}.items():
        rough = replace(model, towers=copy.deepcopy(model.towers))
        tower = rough.towers.item_tower
        for parameter, kept in (
            (tower.id_embedding_ID, of_ids),
            (tower.id_history_ID, of_ids),
            (tower.category_G2D, of_categories),
        ):
            parameter.data = torch.from_numpy(_kept_as(parameter.data.numpy(), kept))
        own = judge(mart, rough, None, ()).own.metrics
        print(
            f"as {n_videos:>7,} videos: ids {of_ids.form} {of_ids.coordinates}, categories"
            f" {of_categories.form} {of_categories.coordinates}: recall@20 {own['recall@20']:.4f},"
            f" ndcg@20 {own['ndcg@20']:.4f}",
            flush=True,
        )


def _kept_as(rows: np.ndarray, kept: Precision) -> np.ndarray:
    """The rows after they were kept in a form."""
    n, d = rows.shape
    r = min(kept.coordinates, d)
    widths = {"float32": 4 * d, "float16": 2 * d, "int8": r + SCALE_BYTES, "int4": r // 2 + SCALE_BYTES}
    width = widths[kept.form]
    turning = 4 * d * r if kept.form == "int4" or (kept.form == "int8" and r < d) else 0
    (table,), found = fit_tables([rows], n * width + turning)
    assert found.form == kept.form
    assert abs(found.coordinates - (r if kept.form in ("int8", "int4") else d)) <= 2  # axes round it down
    return table.vectors()


def _unit(rng: np.random.Generator, n: int) -> np.ndarray:
    rows = rng.normal(size=(n, DIMENSION)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
