"""What the item tower reads of a video: id, categories, numbers, text. Fitted on the training split only.

Shapes: N videos, L categories per video at most, D dense numbers.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from trainer.errors import ModelMismatchError
from trainer.held_out import usable_rows
from trainer.mart import TRAIN, Catalogue, Mart
from trainer.text import TextEncoder, fit_text

SINGLE = ("maker", "label", "series", "director", "genre")
MULTIPLE = ("tags", "performers")
NUMBERS = ("log_price", "log_duration", "release_year")

# A compilation lists hundreds of performers; the first ones name it well enough, and L stays small in ONNX.
MOST_VALUES = 16
# A value seen on one training video only is that video's id again: it cannot generalise.
MIN_VIDEOS_PER_VALUE = 2


@dataclass(frozen=True)
class ItemFeatures:
    """Tensors of N videos. Index 0 of ids and categories means: unknown, nothing."""

    id_index: torch.Tensor
    """[N] int64: row of the id tables; 0 for a video nobody has rated or seen in the training split."""
    category_index: torch.Tensor
    """[N, L] int64 into the one table of all categories; 0 = padding."""
    category_weight: torch.Tensor
    """[N, L] float32: 1 / number of values of the group, so that a group is a mean; 0 = padding."""
    dense: torch.Tensor
    """[N, D] float32: standardised numbers with a known-flag each, then the text vector."""

    def __len__(self) -> int:
        return len(self.id_index)

    def take(self, items: torch.Tensor) -> "ItemFeatures":
        """The features of some videos [M]."""
        return ItemFeatures(*(tensor[items] for tensor in self.__dict__.values()))

    def to(self, device: torch.device | str) -> "ItemFeatures":
        """The same on another device."""
        return ItemFeatures(*(tensor.to(device) for tensor in self.__dict__.values()))


@dataclass(frozen=True)
class Vocabularies:
    """All that turns a catalogue into ItemFeatures; saved with the weights, checked on load."""

    videos: dict[str, int]
    """video_id -> row of the id tables, from 1."""
    categories: dict[str, dict[str, int]]
    """group -> value -> row of the category table, from 1, one numbering over all groups."""
    numbers: dict[str, tuple[float, float]]
    """name -> mean, standard deviation."""
    text: TextEncoder | None

    @property
    def n_categories(self) -> int:
        """Rows of the category table without the padding row."""
        return sum(len(values) for values in self.categories.values())

    @property
    def n_dense(self) -> int:
        """Width D of the dense features."""
        return 2 * len(self.numbers) + (self.text.n_components if self.text else 0)

    def to_json(self) -> dict[str, Any]:
        """Plain lists and strings, for vocabularies.json and the checkpoint."""
        return {
            "videos": list(self.videos),
            "categories": {group: list(values) for group, values in self.categories.items()},
            "numbers": {name: list(statistics) for name, statistics in self.numbers.items()},
            "text": self.text.to_json() if self.text else None,
        }

    @staticmethod
    def from_json(content: dict[str, Any]) -> "Vocabularies":
        """The inverse of `to_json`. Raises ModelMismatchError naming the part that is missing."""
        if missing := {"videos", "categories", "numbers", "text"} - content.keys():
            raise ModelMismatchError(
                f"the vocabularies lack {', '.join(sorted(missing))}", "train a new version"
            )
        return Vocabularies(
            {video: row for row, video in enumerate(content["videos"], start=1)},
            _number_categories(content["categories"]),
            {name: (float(mean), float(std)) for name, (mean, std) in content["numbers"].items()},
            TextEncoder.from_json(content["text"]) if content["text"] else None,
        )


def fit_vocabularies(
    mart: Mart, mask: npt.NDArray[np.bool_] | None = None, *, use_content: bool = True
) -> Vocabularies:
    """Values, statistics and text weights of the videos with a row that training may see.

    One that people saw and nobody liked is known too: that is why it ranks below one nobody has met yet.
    `mask` narrows the interactions further (the held-out tenth of early stopping).
    """
    rows, catalogue = mart.interactions, mart.catalogue
    train = rows.split == TRAIN
    known = np.unique(rows.item_index[usable_rows(mart, train if mask is None else train & mask)])
    videos = {catalogue.video_ids[i]: row for row, i in enumerate(known, start=1)}
    categories = {}
    for group in SINGLE + MULTIPLE if use_content else ():
        counts: dict[str, int] = {}
        for i in known:
            for value in _values(catalogue, group, int(i)):
                counts[value] = counts.get(value, 0) + 1
        kept = sorted(value for value, n in counts.items() if n >= MIN_VIDEOS_PER_VALUE)
        if len(kept) > 1:  # one value for all says nothing
            categories[group] = kept
    numbers = {}
    for name, column in zip(NUMBERS, _numbers(catalogue), strict=True) if use_content else ():
        values = column[known][~np.isnan(column[known])]
        if len(values) and values.std() > 1e-6:
            numbers[name] = (float(values.mean()), float(values.std()))
    text = fit_text(texts_of(catalogue, known)) if use_content else None
    return Vocabularies(videos, _number_categories(categories), numbers, text)


def encode(catalogue: Catalogue, vocabularies: Vocabularies) -> ItemFeatures:
    """The features of every video of a catalogue, known in training or not."""
    n = len(catalogue)
    ids = np.array([vocabularies.videos.get(video, 0) for video in catalogue.video_ids], dtype=np.int64)
    widths = [MOST_VALUES if group in MULTIPLE else 1 for group in vocabularies.categories]
    index = np.zeros((n, sum(widths)), dtype=np.int64)
    weight = np.zeros((n, sum(widths)), dtype=np.float32)
    begin = 0
    for (group, rows), width in zip(vocabularies.categories.items(), widths, strict=True):
        for i in range(n):
            found = [rows[value] for value in _values(catalogue, group, i) if value in rows][:width]
            index[i, begin : begin + len(found)] = found
            weight[i, begin : begin + len(found)] = 1 / max(len(found), 1)
        begin += width
    dense = [np.zeros((n, 0), np.float32)]
    columns = dict(zip(NUMBERS, _numbers(catalogue), strict=True))
    for name, (mean, std) in vocabularies.numbers.items():
        known = ~np.isnan(columns[name])
        scaled = np.clip((np.where(known, columns[name], mean) - mean) / std, -5, 5)
        dense.append(np.stack([scaled, known], axis=1).astype(np.float32))
    if vocabularies.text:
        dense.append(vocabularies.text.encode(texts_of(catalogue, np.arange(n))))
    tensors = ids, index, weight, np.concatenate(dense, axis=1)
    return ItemFeatures(*(torch.from_numpy(array) for array in tensors))


def groups_of(vocabularies: Vocabularies) -> list[str]:
    """The feature groups a permutation importance can shuffle."""
    return ["id", *vocabularies.categories, *vocabularies.numbers, *(["text"] if vocabularies.text else [])]


def shuffled(
    features: ItemFeatures, vocabularies: Vocabularies, group: str, order: torch.Tensor
) -> ItemFeatures:
    """The features with one group taken from other videos (`order` is a permutation [N])."""
    parts = {name: tensor.clone() for name, tensor in features.__dict__.items()}
    if group == "id":
        parts["id_index"] = parts["id_index"][order]
    elif group in vocabularies.categories:
        begin = 0
        for name in vocabularies.categories:
            width = MOST_VALUES if name in MULTIPLE else 1
            if name == group:
                for part in ("category_index", "category_weight"):
                    parts[part][:, begin : begin + width] = parts[part][order, begin : begin + width]
            begin += width
    else:
        begin = 2 * list(vocabularies.numbers).index(group) if group in vocabularies.numbers else 0
        columns = (
            slice(begin, begin + 2)
            if group in vocabularies.numbers
            else slice(2 * len(vocabularies.numbers), None)
        )
        parts["dense"][:, columns] = parts["dense"][order, columns]
    return ItemFeatures(**parts)


def _number_categories(categories: dict[str, list[str]]) -> dict[str, dict[str, int]]:
    numbered, row = {}, 1
    for group, values in categories.items():
        numbered[group] = {value: row + k for k, value in enumerate(values)}
        row += len(values)
    return numbered


def _values(catalogue: Catalogue, group: str, item: int) -> list[str]:
    value = getattr(catalogue, group)[item]
    if isinstance(value, list):
        return [v for v in value if v]
    return [value] if value else []


def _numbers(catalogue: Catalogue) -> list[npt.NDArray[np.float64]]:
    price = np.where(np.isfinite(catalogue.price) & (catalogue.price >= 0), catalogue.price, np.nan)
    duration = catalogue.duration_seconds
    duration = np.where(np.isfinite(duration) & (duration > 0), duration, np.nan)
    return [np.log1p(price), np.log1p(duration), catalogue.released_on / 365.25]


def texts_of(catalogue: Catalogue, items: npt.NDArray[np.integer]) -> list[str]:
    """Title and description of some videos, one string each."""
    return [f"{catalogue.title[i] or ''} {catalogue.description[i] or ''}".strip() for i in items]
