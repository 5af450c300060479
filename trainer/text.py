"""Titles and descriptions as vectors: hashed character n-grams, tf-idf, a truncated SVD. No tokenizer,
any script.

Character bigrams and trigrams carry Japanese, where words have no spaces; four-grams add what English needs.
Everything is numpy over code points: 100,000 descriptions take seconds, not minutes.
"""

import base64
import unicodedata
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from trainer.linear import leading_directions

N_BUCKETS = 1 << 14
N_GRAMS = (2, 3, 4)
MOST_CHARACTERS = 400  # of a description: what follows is boilerplate in most shops, and time for all
N_COMPONENTS = 64
MOST_FITTED = 20_000  # videos; a sample of this size fixes the directions
MIN_TEXTS = 50  # fewer have no directions worth the name
MULTIPLIERS = np.array([0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D, 0x27D4EB2F], dtype=np.uint64)  # odd, from xxHash


@dataclass(frozen=True)
class TextEncoder:
    """idf [buckets] and projection [buckets, components] of the fitted texts."""

    idf: npt.NDArray[np.float32]
    projection: npt.NDArray[np.float32]

    @property
    def n_components(self) -> int:
        """Length of a text vector."""
        return int(self.projection.shape[1])

    def encode(self, texts: list[str]) -> npt.NDArray[np.float32]:
        """Text vectors [N, components]: unit length times what the projection keeps; zero for an empty
        text."""
        blocks = [
            np.asarray(
                _weighted(count_ngrams(texts[s : s + 4096]), self.idf) @ self.projection, dtype=np.float32
            )
            for s in range(0, len(texts), 4096)
        ]
        return np.concatenate(blocks) if blocks else np.zeros((0, self.n_components), np.float32)

    def to_json(self) -> dict[str, Any]:
        """Float16 in base64: two megabytes instead of twenty."""
        pack = {
            name: base64.b64encode(value.astype(np.float16).tobytes()).decode()
            for name, value in vars(self).items()
        }
        return {"n_buckets": len(self.idf), "n_components": self.n_components, **pack}

    @staticmethod
    def from_json(content: dict[str, Any]) -> "TextEncoder":
        """The inverse of `to_json`."""
        unpack = {k: np.frombuffer(base64.b64decode(content[k]), np.float16) for k in ("idf", "projection")}
        projection = unpack["projection"].reshape(content["n_buckets"], content["n_components"])
        return TextEncoder(unpack["idf"].astype(np.float32), projection.astype(np.float32))


def fit_text(texts: list[str]) -> TextEncoder | None:
    """tf-idf and its leading directions; None when there is not enough text to learn from."""
    texts = [text for text in texts if text]
    if len(texts) < MIN_TEXTS:
        return None
    step = -(-len(texts) // MOST_FITTED)
    counts = count_ngrams(texts[::step])
    documents = np.bincount(counts.indices, minlength=N_BUCKETS)
    idf = np.log((1 + counts.shape[0]) / (1 + documents)).astype(np.float16).astype(np.float32)
    weighted = _weighted(counts, idf)
    k = min(N_COMPONENTS, counts.shape[0] - 1)
    v, s = leading_directions(weighted, k, seed=0)
    # components scaled to unit mean square: the tower's linear layer sees numbers of one size
    projection = v * (np.sqrt(counts.shape[0]) / np.maximum(s, 1e-3 * s[0]))
    # through float16, so that a model read back from its file computes the same
    return TextEncoder(idf, np.clip(projection, -6e4, 6e4).astype(np.float16).astype(np.float32))


def count_ngrams(texts: list[str]) -> sp.csr_matrix:
    """How often each hashed n-gram occurs [N, buckets]: all of a text that ONNX does not compute itself."""
    folded = [f" {unicodedata.normalize('NFKC', t[:MOST_CHARACTERS]).lower()} " if t else "" for t in texts]
    points = np.frombuffer("".join(folded).encode("utf-32-le", "replace"), np.uint32).astype(np.uint64)
    document = np.repeat(np.arange(len(folded)), [len(text) for text in folded])
    rows, buckets = [], []
    for n in N_GRAMS:
        if len(points) < n:
            continue
        last = len(points) - n + 1
        mixed = sum((points[k : k + last] * MULTIPLIERS[k] for k in range(n)), np.zeros(last, np.uint64))
        whole = document[:last] == document[n - 1 :]
        mixed = mixed[whole] * np.uint64(n * 2 + 1)
        buckets.append(((mixed ^ (mixed >> np.uint64(29))) % np.uint64(N_BUCKETS)).astype(np.int64))
        rows.append(document[:last][whole])
    if not rows:
        return sp.csr_matrix(np.zeros((len(texts), N_BUCKETS), np.float32))
    row, bucket = np.concatenate(rows), np.concatenate(buckets)
    counts = sp.csr_matrix((np.ones(len(row), np.float32), (row, bucket)), shape=(len(texts), N_BUCKETS))
    counts.sum_duplicates()
    return counts


def _weighted(counts: sp.csr_matrix, idf: npt.NDArray[np.float32]) -> sp.csr_matrix:
    """(1 + log tf) * idf, rows of unit length."""
    values = (1 + np.log(counts.data)) * idf[counts.indices]
    weighted = sp.csr_matrix((values, counts.indices, counts.indptr), shape=counts.shape)
    norms = np.sqrt(np.asarray(weighted.multiply(weighted).sum(axis=1)).ravel())
    return sp.csr_matrix(sp.diags(1 / np.maximum(norms, 1e-9)) @ weighted, dtype=np.float32)
