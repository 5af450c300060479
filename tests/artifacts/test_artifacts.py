"""The files of a version: what is in them, that they compute what the model does, that damage is noticed."""

import json
import math
import shutil
from dataclasses import asdict
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from artifacts import trained_world
from trainer.artifacts import load_artifacts, read_described_weights, read_meta, write_artifacts
from trainer.errors import ModelMismatchError, StorageError
from trainer.export import IR_VERSION, OPSET, properties, save
from trainer.features import Vocabularies, texts_of
from trainer.item_graph import item_graph
from trainer.mart import Mart
from trainer.onnx_files import Subject, write_onnx_files
from trainer.onnx_session import Session, item_feeds, run_items
from trainer.parity import check_items, check_users
from trainer.precision import GRAPH_BYTES, SCALE_BYTES, Precision
from trainer.publish import REQUIRED
from trainer.towers import TwoTowers
from trainer.trained import TrainedModel
from trainer.user_graph import user_graph
from trainer.weights import WRAPPING_BYTES, read_weights, weights_sha256, write_weights

VERSION = "202611200900"
EXACT = Precision("float32", 32)


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory, world: Mart, model: TrainedModel) -> Path:
    """A version's folder, not to be changed."""
    folder = tmp_path_factory.mktemp("artifacts")
    return write_artifacts(folder, VERSION, model, world, {"ndcg@20": 0.3, "auc": math.nan}, git_commit="abc")


@pytest.fixture
def folder(tmp_path: Path, written: Path) -> Path:
    """A copy of the version's folder, to be damaged."""
    return Path(shutil.copytree(written, tmp_path / "two_tower" / VERSION))


def test_the_folder_is_the_contracts(written: Path) -> None:
    found = sorted(p.relative_to(written).as_posix() for p in written.rglob("*") if p.is_file())
    assert found == sorted(name.format(version=VERSION) for name in REQUIRED)
    assert list(written.parent.iterdir()) == [written]


def test_meta_says_what_is_there(written: Path, world: Mart, model: TrainedModel) -> None:
    meta = read_meta(written)
    assert meta["embedding_dim"] == 32
    assert meta["counts"] == {
        "users": 60,
        "users_left_out": 0,
        "videos": 240,
        "interactions": len(world.interactions),
    }
    assert meta["weights_sha256"] == weights_sha256(model.towers.state_dict())
    assert meta["weights"] == {
        "files": [f"two_tower_{VERSION}.pt"],
        "precision": "float32",
        "largest_difference": 0.0,
    }
    assert (meta["data_hash"], meta["git_commit"]) == (world.data_hash, "abc")
    assert meta["config"]["history"]["pooling_exponent"] == model.history.pooling_exponent
    assert json.loads((written / "metrics.json").read_text()) == {"ndcg@20": 0.3, "auc": None}
    for name, file in meta["files"].items():
        assert (written / name).stat().st_size == file["bytes"]


def test_worked_examples_come_out_as_written(written: Path) -> None:
    for name, described in read_meta(written)["models"].items():
        session, example = Session(written / name), described["example"]
        feeds = {
            put["name"]: np.array(example["inputs"][put["name"]], put["type"]) for put in described["inputs"]
        }
        for put, answer in zip(described["outputs"], session.run(feeds), strict=True):
            np.testing.assert_allclose(answer, np.array(example["outputs"][put["name"]]), atol=1e-6)


def test_score_model_has_seed_as_signature(written: Path) -> None:
    described = read_meta(written)["models"][f"two_tower_{VERSION}.onnx"]
    assert described["inputs"] == [
        {"name": "user_idx", "type": "int64", "shape": ["batch"]},
        {"name": "item_idx", "type": "int64", "shape": ["batch"]},
    ]
    assert described["outputs"] == [{"name": "score", "type": "float32", "shape": ["batch"]}]


def test_maps_lead_to_the_cosine(written: Path, world: Mart, model: TrainedModel) -> None:
    users, items = (
        json.loads((written / f"mappings/{side}_id_map.json").read_text()) for side in ("user", "item")
    )
    assert list(items) == world.catalogue.video_ids
    user, video = world.user_keys[7], world.catalogue.video_ids[100]
    session = Session(written / f"two_tower_{VERSION}.onnx")
    (score,) = session.run({"user_idx": np.array([users[user]]), "item_idx": np.array([items[video]])})
    vectors = model.user_vectors(model.histories(world, "published"))
    assert score[0] == pytest.approx(float(vectors[7] @ model.item_vectors()[0][100]), abs=1e-6)


def test_an_id_outside_the_maps_scores_zero(written: Path) -> None:
    session = Session(written / f"two_tower_{VERSION}.onnx")
    nobody, nothing = (np.array([-1, n, 2**62, -(2**63)], np.int64) for n in (60, 240))
    inside = np.zeros(4, np.int64)
    assert not session.run({"user_idx": nobody, "item_idx": inside})[0].any()
    assert not session.run({"user_idx": inside, "item_idx": nothing})[0].any()
    assert session.run({"user_idx": inside, "item_idx": inside})[0].all()


@pytest.mark.parametrize("name", ["two_tower_{version}.onnx", "user_tower.onnx", "item_tower.onnx"])
def test_one_file_that_any_name_and_runtime_opens(name: str, written: Path, tmp_path: Path) -> None:
    path = Path(shutil.copy(written / name.format(version=VERSION), tmp_path / "renamed.onnx"))
    proto = onnx.load(path, load_external_data=False)
    assert not any(onnx.external_data_helper.uses_external_data(t) for t in proto.graph.initializer)
    assert (proto.ir_version, proto.opset_import[0].version) == (IR_VERSION, OPSET)
    assert 18 <= OPSET <= 20
    assert "embedding" not in {output.name for output in proto.graph.output}
    assert all(put[2][0] == "batch" for put in Session(path).inputs)


def test_every_file_names_the_weights_it_was_made_from(written: Path, model: TrainedModel) -> None:
    digest = weights_sha256(model.towers.state_dict())
    for path in written.glob("*.onnx"):
        assert properties(path)["weights_sha256"] == digest
        assert properties(path)["version"] == VERSION
    assert weights_sha256(torch.load(written / f"two_tower_{VERSION}.pt", weights_only=True)) == digest


def test_a_missing_input_is_named(written: Path) -> None:
    session = Session(written / f"two_tower_{VERSION}.onnx")
    with pytest.raises(ModelMismatchError, match=r"missing: \['item_idx'\], unknown: \['item'\]"):
        session.run({"user_idx": np.array([0]), "item": np.array([0])})


def test_the_gate_stops_a_tower_with_one_changed_weight(
    world: Mart, model: TrainedModel, tmp_path: Path
) -> None:
    subject = Subject.of(model, world, {"version": VERSION, "weights_sha256": ""})
    rows = [(layer, unit, list(weights), bias) for layer, unit, weights, bias in model.user_tower_rows()]
    rows[3][2][3] += 0.1
    n_aggregates = subject.histories.aggregates.shape[1]
    path = tmp_path / "user_tower.onnx"
    save(user_graph(rows, model.embedding_dim, n_aggregates, model.history.pooling_exponent), path, {})
    with pytest.raises(ModelMismatchError, match=r"user_tower\.onnx differs from PyTorch by 0\.0"):
        check_users(Session(path), model, subject.histories).check(path.name)


def test_the_gate_stops_an_item_tower_of_other_weights(
    world: Mart, model: TrainedModel, written: Path
) -> None:
    other = trained_world.with_other_weights(model)
    session = Session(written / "item_tower.onnx")
    assert check_items(session, model, world.catalogue, EXACT).check(session.name)
    with pytest.raises(ModelMismatchError, match=r"item_tower\.onnx differs from PyTorch"):
        check_items(session, other, world.catalogue, EXACT).check(session.name)


def test_nothing_is_left_when_the_gate_refuses(world: Mart, model: TrainedModel, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"item_tower\.onnx would have \d+ bytes, the limit is 60000"):
        write_artifacts(tmp_path, VERSION, model, world, {}, limit_bytes=60_000)
    assert list(tmp_path.rglob("*.*")) == []


def test_a_version_is_written_once(world: Mart, model: TrainedModel, written: Path) -> None:
    with pytest.raises(StorageError, match="a version is written once"):
        write_artifacts(written.parents[1], VERSION, model, world, {})


@pytest.mark.parametrize(
    ("keep", "dials"),
    [
        ((), {}),
        (("title",), {}),
        (("maker", "tags"), {}),
        (("price", "released_on"), {}),
        (("maker", "price"), {"hidden_units": 0}),
        (("title", "maker", "tags", "price"), {"use_content": False}),
        (("maker", "tags", "price"), {"embedding_dim": 64}),
    ],
    ids=["ids only", "text", "categories", "numbers", "no hidden units", "content off", "64 dimensions"],
)
def test_every_shape_of_towers_has_its_graph(
    keep: tuple[str, ...], dials: dict[str, object], tmp_path: Path
) -> None:
    world = trained_world.mart(trained_world.without_content(trained_world.catalogue(), keep=keep))
    model = trained_world.train(world, **dials)
    folder = write_artifacts(tmp_path, VERSION, model, world, {})  # the gate is inside
    for described in read_meta(folder)["models"].values():
        assert described["parity"]["largest_difference"] < 1e-5


def test_new_videos_need_no_vocabulary(written: Path, world: Mart, model: TrainedModel) -> None:
    newer = trained_world.catalogue(300)
    features = model.encode(newer)
    assert not features.id_index[240:].any()
    texts = texts_of(newer, np.arange(300))
    found = run_items(Session(written / "item_tower.onnx"), features, texts, model.vocabularies)
    for vectors, expected in zip(found, model.item_vectors(features), strict=True):
        np.testing.assert_allclose(vectors, expected, atol=1e-5)


def test_an_id_outside_the_table_is_a_new_video(written: Path, world: Mart, model: TrainedModel) -> None:
    session = Session(written / "item_tower.onnx")
    features = model.features.take(torch.zeros(4, dtype=torch.int64))
    feeds = item_feeds(session, features, texts_of(world.catalogue, np.zeros(4, int)), model.vocabularies)
    n_rows = len(model.towers.item_tower.id_embedding_ID)
    feeds["id_index"] = np.array([0, -1, n_rows, 2**62])
    vectors = session.run(feeds)[0]
    assert (vectors == vectors[0]).all()


def test_the_folder_brings_the_model_back(folder: Path, world: Mart, model: TrainedModel) -> None:
    again = load_artifacts(folder, world.catalogue)
    for found, expected in zip(again.item_vectors(), model.item_vectors(), strict=True):
        np.testing.assert_array_equal(found, expected)
    histories = model.histories(world, "published")
    np.testing.assert_array_equal(again.user_vectors(histories), model.user_vectors(histories))


def test_weights_in_parts_are_the_weights(folder: Path, world: Mart, model: TrainedModel) -> None:
    """Cut, not rounded: every part under the limit and readable by torch alone, the hash that of one file."""
    weights, limit = model.towers.state_dict(), WRAPPING_BYTES + 10_000
    whole = folder / f"two_tower_{VERSION}.pt"
    size = whole.stat().st_size
    paths = write_weights(whole, weights, limit)
    assert paths[:2] == [whole, folder / f"two_tower_{VERSION}.part2.pt"]
    assert len(paths) > size // limit > 1
    assert all(path.stat().st_size <= limit for path in paths)
    parts = [torch.load(path, weights_only=True) for path in paths]
    joined = {name: torch.cat([part[name] for part in parts if name in part]) for name in weights}
    assert weights_sha256(joined) == weights_sha256(weights) == weights_sha256(read_weights(*paths))
    meta = read_meta(folder)
    meta["files"] |= {path.name: {} for path in reversed(paths)}  # the order is the parts', not the file's
    (folder / "model_meta.json").write_text(json.dumps(meta))
    for found, expected in zip(
        load_artifacts(folder, world.catalogue).item_vectors(), model.item_vectors(), strict=True
    ):
        np.testing.assert_array_equal(found, expected)
    with pytest.raises(ModelMismatchError, match="holds weights"):
        read_described_weights(folder, {**meta, "files": [path.name for path in paths[:-1]]})


def test_layers_without_units_come_back_and_a_row_is_never_cut(tmp_path: Path) -> None:
    weights = {"a": torch.zeros(3, 0), "b": torch.ones(0, 4), "c": torch.ones(2, 4)}
    paths = write_weights(tmp_path / "x.pt", weights, WRAPPING_BYTES + 16)
    assert len(paths) == 2
    assert {name: tuple(t.shape) for name, t in read_weights(*paths).items()} == {
        "a": (3, 0),
        "b": (0, 4),
        "c": (2, 4),
    }
    with pytest.raises(StorageError, match="a row of c has 16 bytes, a file takes 15"):
        write_weights(tmp_path / "x.pt", weights, WRAPPING_BYTES + 15)


def test_parts_of_two_models_are_refused(tmp_path: Path) -> None:
    for name, width in (("x.pt", 4), ("y.pt", 5)):
        write_weights(tmp_path / name, {"a": torch.zeros(3, width)})
    with pytest.raises(ModelMismatchError, match=r"x\.pt, y\.pt are not parts of one model"):
        read_weights(tmp_path / "x.pt", tmp_path / "y.pt")


def test_users_without_room_in_the_score_model_are_left_out_the_apps_last(
    world: Mart, model: TrainedModel
) -> None:
    """Ten users fit beside the videos: of the app's 30 those with most likes."""
    limit = GRAPH_BYTES + (240 + 10 + 2) * (32 + SCALE_BYTES)
    subject = Subject.of(model, world, {"version": VERSION}, limit)
    assert (len(subject.user_keys), subject.n_left_out) == (10, 50)
    assert all(key.startswith("app:") for key in subject.user_keys)
    everybody = Subject.of(model, world, {"version": VERSION})
    assert (len(everybody.user_keys), everybody.n_left_out) == (60, 0)
    rows = [everybody.user_keys.index(key) for key in subject.user_keys]
    assert rows == sorted(rows)
    np.testing.assert_allclose(subject.user_vectors, everybody.user_vectors[rows], atol=1e-6)


def test_weights_of_another_dimension_are_refused(folder: Path, world: Mart, model: TrainedModel) -> None:
    other = TwoTowers(**{**model.towers.shape(), "dim": 64})
    write_weights(folder / f"two_tower_{VERSION}.pt", other.state_dict())
    with pytest.raises(ModelMismatchError, match=r"has dimension 64, model_meta\.json says 32\. bring"):
        load_artifacts(folder, world.catalogue)


def test_weights_of_another_training_are_refused(folder: Path, world: Mart, model: TrainedModel) -> None:
    other = trained_world.with_other_weights(model)
    write_weights(folder / f"two_tower_{VERSION}.pt", other.towers.state_dict())
    with pytest.raises(ModelMismatchError, match=r"holds weights .* model_meta\.json describes"):
        load_artifacts(folder, world.catalogue)


class RunsACommand:
    """What a hostile `.pt` may hold."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return Path.touch, ("ran",)


def test_a_pt_is_read_without_running_it(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    torch.save({"weights": RunsACommand()}, path)
    with pytest.raises(ModelMismatchError, match="damaged, or holds more than weights"):
        read_weights(path)
    assert not Path("ran").exists()


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"<html></html>", None])
def test_a_damaged_pt_is_one_line(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ModelMismatchError, match=r"model\.pt is (damaged|not there)") as failed:
        read_weights(path)
    assert "\n" not in str(failed.value)
    assert "weights_only" not in str(failed.value)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"schema": 99}'])
def test_damaged_metadata_is_one_line(content: str, folder: Path, world: Mart) -> None:
    (folder / "model_meta.json").write_text(content)
    with pytest.raises(ModelMismatchError, match="missing, damaged or of another schema"):
        load_artifacts(folder, world.catalogue)


@pytest.mark.parametrize(
    ("limit", "kept"),
    [
        (2_240_000, Precision("float16", 32)),
        (2_225_000, Precision("int8", 32)),
        (2_210_000, Precision("float32", 0)),
    ],
)
def test_an_item_tower_without_room_gives_up_exactness_then_ids(
    limit: int, kept: Precision, world: Mart, model: TrainedModel, tmp_path: Path
) -> None:
    subject = Subject.of(model, world, {"version": VERSION, "weights_sha256": ""})
    described = write_onnx_files(tmp_path, subject, limit)["item_tower.onnx"]
    assert described["precision"] == asdict(kept)
    assert (tmp_path / "item_tower.onnx").stat().st_size <= limit


def test_an_item_tower_of_half_bytes(tmp_path: Path) -> None:
    """Ids and categories of a catalogue so large that two coordinates share a byte point where they did."""
    torch.manual_seed(0)
    tower = TwoTowers(
        n_videos=4000, n_categories=3000, n_dense=0, n_aggregates=0, dim=64, hidden_units=0
    ).item_tower
    for weight in tower.parameters():
        torch.nn.init.normal_(weight)
    few_directions = torch.randn(len(tower.category_G2D), 40) @ torch.randn(40, 128) / 40**0.5
    tower.category_G2D.data = few_directions  # as trained ones have: what is dropped held nothing
    graph, of_ids, of_categories = item_graph(tower, Vocabularies({}, {}, {}, None), 2, 500_000)
    assert (of_ids, of_categories) == (Precision("int4", 64), Precision("int4", 68))
    save(graph, tmp_path / "item_tower.onnx", {}, 500_000)
    feeds = {
        "id_index": np.array([0, 5, 3999]),
        "category_index": np.array([[1, 0], [2, 2999], [0, 0]]),
        "category_weight": np.array([[1, 0], [0.5, 0.5], [0, 0]], np.float32),
    }
    found = Session(tmp_path / "item_tower.onnx").run(feeds)
    category_2D = tower.category_G2D.detach()[feeds["category_index"]]
    content = (category_2D * torch.tensor(feeds["category_weight"])[..., None]).sum(1)
    content[2] = 0
    ids = (tower.id_embedding_ID, tower.id_history_ID)
    for vectors, table, own in zip(found, ids, content.split(64, dim=1), strict=True):
        expected = torch.nn.functional.normalize(table.detach()[feeds["id_index"]] + own).numpy()
        rows = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        assert (rows * expected).sum(axis=1).min() > 0.97
