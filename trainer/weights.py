"""The `.pt` of a version: a plain state_dict, its hash, and how it is read without running anything in it."""

import hashlib
import pickle
from collections.abc import Mapping
from pathlib import Path
from zipfile import BadZipFile

import torch

from trainer.errors import ModelMismatchError

State = Mapping[str, torch.Tensor]


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


def write_weights(path: Path, weights: State) -> None:
    """A state_dict that `torch.load(path, weights_only=True)` reads."""
    torch.save({name: tensor.detach().cpu().clone() for name, tensor in weights.items()}, path)


def read_weights(path: Path) -> dict[str, torch.Tensor]:
    """The tensors of a `.pt`, on the CPU. Raises ModelMismatchError for anything but a plain state_dict."""
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
