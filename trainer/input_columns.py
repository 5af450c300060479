"""The columns of each kind of input file: which header means which of ours, and which must be there."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from trainer.errors import InputFileError

Meanings = dict[str, tuple[str, ...]]

# Our column -> the headers that mean it, the best first: when a file has several, the first of these is read.
REVIEWS: Meanings = {
    "product_url": ("product_url",),
    "reviewer_id": ("reviewer_id",),
    "stars": ("stars",),
    "reviewed_at": ("reviewed_at", "timestamp", "write_date"),
    "split": ("split",),
}
DECISIONS: Meanings = {
    "reviewer_id": ("reviewer_id",),
    "user_id": ("user_id",),
    # A uuid names its video without a guess, a URL holds the shop's id, a bare id says least.
    "item": ("video_id", "product_url", "item_id", "item"),
    "decision": ("decision", "decision_type"),
    "label": ("label",),
    "decided_at": ("decided_at", "created_at", "timestamp"),
    "split": ("split",),
}
VIDEOS: Meanings = {
    name: (name,)
    for name in (
        "external_id",
        "title",
        "id",
        "product_url",
        "description",
        "maker",
        "label",
        "series",
        "director",
        "genre",
        "tags",
        "performers",
        "price",
        "duration_seconds",
        "released_on",
        "source",
    )
}
COLUMNS = {"reviews": REVIEWS, "decisions": DECISIONS, "videos": VIDEOS}
# Of each group one column must be in the file.
REQUIRED: dict[str, tuple[tuple[str, ...], ...]] = {
    "reviews": (("product_url",), ("reviewer_id",), ("stars",)),
    "decisions": (("reviewer_id", "user_id"), ("item",), ("label", "decision")),
    "videos": (("external_id",), ("title",)),
}
SHOWN_HEADER_CHARS = 200  # of a header in an error message: enough to recognise the file, still one line


@dataclass(frozen=True)
class Mapping:
    """Where our columns stand in a file: `positions[i]` is the place of `names[i]` among `n_columns`.

    Both are in the file's order; `ignored` are headers that mean nothing to us.
    """

    names: tuple[str, ...]
    positions: tuple[int, ...]
    n_columns: int
    ignored: tuple[str, ...]

    @property
    def is_whole(self) -> bool:
        """Whether every column of the file is wanted, so that lines can pass as they stand."""
        return len(self.positions) == self.n_columns


def map_columns(kind: str, header: Sequence[str], path: Path) -> Mapping:
    """Find our columns in a header, in any order and case.

    Raises InputFileError naming the missing columns and what was seen, or a column that appears twice.
    """
    seen = [re.sub(r"[\s-]+", "_", name.strip().lower()) for name in header]
    place: dict[str, int] = {}
    for column, meanings in COLUMNS[kind].items():
        for meaning in meanings:
            if seen.count(meaning) > 1:
                raise InputFileError(f"{path} has the column {meaning} twice", "remove or rename one of them")
            if meaning in seen:
                place[column] = seen.index(meaning)
                break
    missing = [group for group in REQUIRED[kind] if not any(column in place for column in group)]
    if missing:
        raise _missing_columns(kind, missing, header, path)
    names = tuple(sorted(place, key=place.__getitem__))
    positions = tuple(place[name] for name in names)
    ignored = tuple(name for position, name in enumerate(header) if position not in positions)
    return Mapping(names, positions, len(header), ignored)


def _missing_columns(
    kind: str, missing: list[tuple[str, ...]], header: Sequence[str], path: Path
) -> InputFileError:
    columns = COLUMNS[kind]
    wanted = ", ".join(" or ".join(name for column in group for name in columns[column]) for group in missing)
    shown = ",".join(header)[:SHOWN_HEADER_CHARS]
    fact = f"{path} has no column {wanted}; its first line is {shown!r}"
    for name, delimiter in (("semicolons", ";"), ("tabs", "\t"), ("bars", "|")):
        if len(header) == 1 and delimiter in header[0]:
            return InputFileError(fact, f"its columns are separated by {name}: save it with commas")
    return InputFileError(
        fact, f"`load {kind}` needs {_needs(kind)} in the first line, in any order and case"
    )


def _needs(kind: str) -> str:
    columns = COLUMNS[kind]
    return ", ".join(
        " or ".join(name for column in group for name in columns[column]) for group in REQUIRED[kind]
    )
