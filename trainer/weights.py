"""The `.pt` of a version: a plain state_dict, its hash, and how it is read without running anything in it.

What Supabase takes per file (50 MB) is full at some 24,000 videos of 256 dimensions. Larger weights go into
several parts, each a plain state_dict again: `x.pt`, `x.part2.pt`, `x.part3.pt`, … A tensor that is cut
continues under its own name; `torch.cat` along the first axis makes it whole. Nothing is rounded, so the hash
of the weights that were evaluated is the hash of what comes back.
"""

import hashlib
import pickle
from collections.abc import Iterator, Mapping
from pathlib import Path
from zipfile import BadZipFile

import torch

from trainer.errors import ModelMismatchError, StorageError
from trainer.precision import LIMIT_BYTES

State = Mapping[str, torch.Tensor]
# What torch.save puts around a dozen tensors: names, a directory, every tensor aligned; 6 kB were seen.
WRAPPING_BYTES = 20_000


def weights_sha256(weights: State) -> str:
    """One hash for one set of weights: names, types, shapes and numbers in the order of the names.

    The same from a model in memory and from its file, whatever wrote the file: it ties the artifacts, the
    registry's row and the manifest to the model that was evaluated.
    """
    digest = hashlib.sha256()
    for name in sorted(weights):
        tensor = weights[name].detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def write_weights(path: Path, weights: State, limit_bytes: int = LIMIT_BYTES) -> list[Path]:
    """One state_dict under `path`, or as many as it takes to keep each under `limit_bytes`; their paths.

    `torch.load(path, weights_only=True)` reads them. Raises StorageError when one row is larger than that.
    """
    paths: list[Path] = []
    for part in _parts(weights, limit_bytes - WRAPPING_BYTES):
        paths.append(path.with_suffix(f".part{len(paths) + 1}{path.suffix}") if paths else path)
        torch.save(part, paths[-1])
    return paths


def read_weights(*paths: Path) -> dict[str, torch.Tensor]:
    """The tensors of a `.pt` and its further parts, on the CPU.

    Raises ModelMismatchError for anything but plain state_dicts.
    """
    parts = [_read(path) for path in paths]
    names = dict.fromkeys(name for part in parts for name in part)
    try:
        return {name: torch.cat([part[name] for part in parts if name in part]) for name in names}
    except RuntimeError:
        raise ModelMismatchError(
            f"{', '.join(path.name for path in paths)} are not parts of one model", "use files of one version"
        ) from None


def _parts(weights: State, limit_bytes: int) -> Iterator[dict[str, torch.Tensor]]:
    """The tensors in order, cut between rows wherever `limit_bytes` are full."""
    part: dict[str, torch.Tensor] = {}
    left = limit_bytes
    for name, tensor in weights.items():
        rows = tensor.detach().cpu()
        row_bytes = max(rows[:1].nbytes, 1)  # a layer of no units has rows of no bytes
        if row_bytes > limit_bytes:
            raise StorageError(f"a row of {name} has {row_bytes} bytes, a file takes {limit_bytes}")
        while len(rows) > (fitting := left // row_bytes):
            if fitting:  # clone: torch.save writes all that a slice is a part of
                part[name] = rows[:fitting].clone()
            yield part
            part, left, rows = {}, limit_bytes, rows[fitting:]
        part[name] = rows.clone()
        left -= rows.nbytes
    yield part


def _read(path: Path) -> dict[str, torch.Tensor]:
    try:
        read = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise ModelMismatchError(
            f"{path} is not there", "bring it: python -m trainer fetch VERSION"
        ) from None
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError, BadZipFile):
        # torch's own words would advise weights_only=False, which runs what the file says
        raise ModelMismatchError(
            f"{path} is damaged, or holds more than weights",
            "bring it again: python -m trainer fetch VERSION",
        ) from None
    if not isinstance(read, dict) or not all(isinstance(value, torch.Tensor) for value in read.values()):
        raise ModelMismatchError(f"{path} is not a plain state_dict", "use the .pt that the trainer wrote")
    return read
