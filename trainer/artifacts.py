"""A version as files: weights, three ONNX graphs, maps, vocabularies, metadata; written, checked, read back.

    two_tower/<version>/  two_tower_<version>.pt  two_tower_<version>.onnx  user_tower.onnx  item_tower.onnx
                          two_tower_<version>.part2.pt … when the weights are more than one file may hold
                          mappings/user_id_map.json  mappings/item_id_map.json  vocabularies.json
                          model_meta.json  metrics.json

The folder appears under its name when everything in it has been written and has passed the parity gate.
"""

import json
import math
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version as version_of
from pathlib import Path
from typing import Any

from trainer.errors import ModelMismatchError, StorageError
from trainer.export import OPSET
from trainer.manifest import MODEL_NAME, version_folder, weights_names
from trainer.mart import Catalogue, Mart
from trainer.onnx_files import Subject, write_onnx_files
from trainer.precision import LIMIT_BYTES
from trainer.store import sha256
from trainer.trained import TrainedModel, load_model
from trainer.weights import read_weights, weights_sha256, write_weights

META_SCHEMA = 1


def write_artifacts(
    out_dir: Path,
    version: str,
    model: TrainedModel,
    mart: Mart,
    metrics: Mapping[str, Any],
    *,
    git_commit: str | None = None,
    limit_bytes: int = LIMIT_BYTES,
) -> Path:
    """The folder of a version under `out_dir`, whole and checked; `latest` and the manifest stay as they are.

    Users of the map are those with a like (at most as many as the score model can hold), videos all of the
    catalogue. Raises StorageError when the version
    has a folder already or a file cannot be kept under `limit_bytes`, ModelMismatchError when a file does not
    compute what the model computes; then nothing is left.
    """
    target = out_dir / version_folder(version)
    if target.exists():
        raise StorageError(
            f"{target} exists", "a version is written once: use a new one, or remove that folder"
        )
    building = target.with_name(f".{version}.building")
    shutil.rmtree(building, ignore_errors=True)
    (building / "mappings").mkdir(parents=True)
    try:
        digest, parts = _write_weights(building / f"{MODEL_NAME}_{version}.pt", model, limit_bytes)
        about = {"version": version, "weights_sha256": digest}
        subject = Subject.of(model, mart, about, limit_bytes)
        models = write_onnx_files(building, subject, limit_bytes)
        _write_json(building / "mappings/user_id_map.json", _places(subject.user_keys))
        _write_json(building / "mappings/item_id_map.json", _places(mart.catalogue.video_ids))
        _write_json(building / "vocabularies.json", model.vocabularies.to_json())
        _write_json(building / "metrics.json", _finite(dict(metrics)))
        meta = {
            "schema": META_SCHEMA,
            "model_name": MODEL_NAME,
            "version": version,
            "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "embedding_dim": model.embedding_dim,
            "weights_sha256": digest,
            # several parts are cut, not rounded: what is lost is nothing
            "weights": {"files": parts, "precision": "float32", "largest_difference": 0.0},
            "data_hash": mart.data_hash,
            "git_commit": git_commit,
            "counts": {
                "users": len(subject.user_keys),
                "users_left_out": subject.n_left_out,
                "videos": len(mart.catalogue),
                "interactions": len(mart.interactions),
            },
            "shape": model.towers.shape(),
            "config": model.serving_config(),
            "made_with": {"torch": version_of("torch"), "onnx": version_of("onnx"), "opset": OPSET},
            "models": models,
            "files": _describe_files(building),
        }
        _write_json(building / "model_meta.json", meta)
        building.rename(target)
    except BaseException:
        shutil.rmtree(building, ignore_errors=True)
        raise
    return target


def load_artifacts(folder: Path, catalogue: Catalogue) -> TrainedModel:
    """The model of a version's folder, with features for a catalogue; everything has to fit together.

    Raises ModelMismatchError: weights of another dimension, of another version, or not the ones described.
    """
    meta = read_meta(folder)
    state = {
        "weights": read_described_weights(folder, meta),
        "shape": meta["shape"],
        "vocabularies": json.loads((folder / "vocabularies.json").read_bytes()),
        "serving": meta["config"],
    }
    return load_model(state, catalogue)


def read_described_weights(folder: Path, meta: Mapping[str, Any]) -> dict[str, Any]:
    """The weights of a folder, when they are those its model_meta.json describes; else ModelMismatchError."""
    names = weights_names(meta["files"])
    weights = read_weights(*(folder / name for name in names))
    remedy = f"bring the version again: python -m trainer fetch {meta['version']}"
    skip = weights.get("user_tower.skip.weight")
    dimension = None if skip is None else len(skip)
    if dimension != meta["embedding_dim"]:
        raise ModelMismatchError(
            f"{names[0]} has dimension {dimension}, model_meta.json says {meta['embedding_dim']}", remedy
        )
    found, described = weights_sha256(weights), str(meta["weights_sha256"])
    if found != described:
        raise ModelMismatchError(
            f"{names[0]} holds weights {found[:12]}, model_meta.json describes {described[:12]}", remedy
        )
    return weights


def read_meta(folder: Path) -> dict[str, Any]:
    """model_meta.json of a version's folder. Raises ModelMismatchError for one that cannot be read."""
    path = folder / "model_meta.json"
    try:
        meta = json.loads(path.read_bytes())
    except (OSError, ValueError):
        meta = None
    if not isinstance(meta, dict) or meta.get("schema") != META_SCHEMA:
        raise ModelMismatchError(
            f"{path} is missing, damaged or of another schema than {META_SCHEMA}",
            "bring the version again: python -m trainer fetch VERSION",
        )
    return meta


def _write_weights(path: Path, model: TrainedModel, limit_bytes: int) -> tuple[str, list[str]]:
    """The `.pt` and its parts; the hash of what they hold, which is the model's own, and their names."""
    weights = model.towers.state_dict()
    digest, paths = weights_sha256(weights), write_weights(path, weights, limit_bytes)
    if weights_sha256(read_weights(*paths)) != digest:
        raise ModelMismatchError(f"{path.name} does not hold the weights that were evaluated")
    return digest, [path.name for path in paths]


def _describe_files(folder: Path) -> dict[str, dict[str, Any]]:
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {
        path.relative_to(folder).as_posix(): {
            "sha256": sha256(path.read_bytes()),
            "bytes": path.stat().st_size,
        }
        for path in paths
    }


def _places(keys: list[str]) -> dict[str, int]:
    return {key: place for place, key in enumerate(keys)}


def _finite(value: Any) -> Any:
    """JSON has no NaN: a metric nobody could compute is null."""
    if isinstance(value, Mapping):
        return {str(name): _finite(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _write_json(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, ensure_ascii=False, allow_nan=False), encoding="utf-8")
