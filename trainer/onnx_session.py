"""An open ONNX file, and what it is fed: histories and videos as the arrays its inputs ask for.

Shapes: B users or videos, L likes, T n-grams, D dimensions.
"""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime  # type: ignore[import-untyped]  # it ships no annotations
import torch

from trainer.errors import ModelMismatchError
from trainer.features import ItemFeatures, Vocabularies
from trainer.histories import Histories, Pairs
from trainer.text import count_ngrams

Floats = npt.NDArray[np.float32]
Feeds = dict[str, npt.NDArray[np.generic]]

TYPES = {"tensor(int64)": "int64", "tensor(float)": "float32"}

ROWS_PER_RUN = 32  # 32 users x 1,000 likes x 256 x 4 bytes: 33 MB


class Session:
    """One ONNX file, open."""

    def __init__(self, path: Path) -> None:
        self.name = path.name
        self._session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        self.inputs = [(i.name, i.type, i.shape) for i in self._session.get_inputs()]
        self.outputs = [(o.name, o.type, o.shape) for o in self._session.get_outputs()]

    def run(self, feeds: Feeds) -> list[Floats]:
        """The outputs in order. Raises ModelMismatchError when an input is missing or unknown."""
        wanted = {name for name, _, _ in self.inputs}
        if wanted != feeds.keys():
            missing, unknown = sorted(wanted - feeds.keys()), sorted(feeds.keys() - wanted)
            raise ModelMismatchError(
                f"{self.name} takes {', '.join(sorted(wanted))}; missing: {missing}, unknown: {unknown}",
                "model_meta.json lists the inputs with a worked example",
            )
        outputs: list[Floats] = self._session.run(None, feeds)
        return outputs

    def describe(self, feeds: Feeds) -> dict[str, object]:
        """Inputs and outputs (name, type, shape; a dynamic axis is a word), `feeds` as a worked example."""
        answers = dict(zip((name for name, _, _ in self.outputs), self.run(feeds), strict=True))
        return {
            "inputs": [{"name": n, "type": TYPES[t], "shape": s} for n, t, s in self.inputs],
            "outputs": [{"name": n, "type": TYPES[t], "shape": s} for n, t, s in self.outputs],
            "example": {
                "inputs": {name: array.tolist() for name, array in feeds.items()},
                "outputs": {name: array.tolist() for name, array in answers.items()},
            },
        }


def run_users(session: Session, histories: Histories, history_ND: Floats) -> Floats:
    """u [B, D] of `user_tower.onnx`, a few users at a time, padded to the longest of them."""
    blocks = []
    for start in range(0, len(histories), ROWS_PER_RUN):
        part = histories.take(np.arange(start, min(start + ROWS_PER_RUN, len(histories))))
        blocks.append(session.run(user_feeds(session, part, history_ND))[0])
    return np.concatenate(blocks)


def user_feeds(session: Session, histories: Histories, history_ND: Floats) -> Feeds:
    """Inputs of `user_tower.onnx`: history vectors padded with zeros, weights padded with 0."""
    likes, like_weights = _padded(histories.heard, history_ND)
    dislikes, dislike_weights = _padded(histories.dislikes, history_ND)
    feeds: Feeds = {
        "likes": likes,
        "like_weights": like_weights,
        "dislikes": dislikes,
        "dislike_weights": dislike_weights,
        "aggregates": histories.aggregates,
    }
    return {name: feeds[name] for name, _, _ in session.inputs}


def run_items(
    session: Session, features: ItemFeatures, texts: list[str], vocabularies: Vocabularies
) -> tuple[Floats, Floats]:
    """Both vectors of `item_tower.onnx`, a few videos at a time."""
    blocks = []
    for start in range(0, len(features), ROWS_PER_RUN):
        stop = min(start + ROWS_PER_RUN, len(features))
        part = features.take(torch.arange(start, stop))
        blocks.append(session.run(item_feeds(session, part, texts[start:stop], vocabularies)))
    return np.concatenate([b[0] for b in blocks]), np.concatenate([b[1] for b in blocks])


def item_feeds(
    session: Session, features: ItemFeatures, texts: list[str], vocabularies: Vocabularies
) -> Feeds:
    """Inputs of `item_tower.onnx`; n-grams as bucket and count, padded with count 0."""
    counts = count_ngrams(texts)
    width = int(np.diff(counts.indptr).max(initial=0))
    buckets_BT, counts_BT = np.zeros((len(texts), width), np.int64), np.zeros((len(texts), width), np.float32)
    for row in range(len(texts)):
        begin, end = counts.indptr[row], counts.indptr[row + 1]
        buckets_BT[row, : end - begin] = counts.indices[begin:end]
        counts_BT[row, : end - begin] = counts.data[begin:end]
    feeds: Feeds = {
        "id_index": features.id_index.numpy(),
        "category_index": features.category_index.numpy(),
        "category_weight": features.category_weight.numpy(),
        "numbers": features.dense[:, : 2 * len(vocabularies.numbers)].numpy(),
        "text_buckets": buckets_BT,
        "text_counts": counts_BT,
    }
    return {name: feeds[name] for name, _, _ in session.inputs}


def _padded(pairs: Pairs, history_ND: Floats) -> tuple[Floats, Floats]:
    lengths = np.diff(pairs.starts)
    slot = np.arange(len(pairs.items)) - np.repeat(pairs.starts[:-1], lengths)
    vectors = np.zeros((len(pairs), int(lengths.max(initial=0)), history_ND.shape[1]), np.float32)
    weights = np.zeros(vectors.shape[:2], np.float32)
    vectors[pairs.rows, slot] = history_ND[pairs.items]
    weights[pairs.rows, slot] = pairs.weights
    return vectors, weights
