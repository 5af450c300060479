"""What the marts are in memory: columns of one length, with dense integer codes."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

TRAIN, VAL, TEST, NO_SPLIT = 0, 1, 2, -1
LIKE, DISLIKE, SEEN_ONLY = 1, 0, -1


@dataclass(frozen=True)
class Catalogue:
    """Every video of marts.dim_videos, ordered by video_id. Lists and arrays of one length; missing =
    None or nan."""

    video_ids: list[str]
    external_id: list[str | None]
    title: list[str | None]
    description: list[str | None]
    maker: list[str | None]
    label: list[str | None]
    series: list[str | None]
    director: list[str | None]
    genre: list[str | None]
    tags: list[list[str]]
    performers: list[list[str]]
    price: npt.NDArray[np.float64]
    duration_seconds: npt.NDArray[np.float64]
    released_on: npt.NDArray[np.float64]
    """Days since 1970-01-01, nan where unknown."""
    popularity: npt.NDArray[np.float32]
    n_likes: npt.NDArray[np.int32]
    n_dislikes: npt.NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.video_ids)


@dataclass(frozen=True)
class Interactions:
    """marts.fct_interactions as columns, sorted by user, then item; one row per user and video."""

    user_index: npt.NDArray[np.int32]
    item_index: npt.NDArray[np.int32]
    label: npt.NDArray[np.int8]
    """1 like, 0 dislike, -1 seen without a label."""
    weight: npt.NDArray[np.float32]
    occurred_at: npt.NDArray[np.float64]
    """Seconds since 1970-01-01 UTC, nan where unknown."""
    split: npt.NDArray[np.int8]
    """0 train, 1 val, 2 test, -1 none."""
    is_file_split: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.user_index)

    def where(self, mask: npt.NDArray[np.bool_]) -> "Interactions":
        """The rows of a mask, order kept."""
        return Interactions(**{name: column[mask] for name, column in self.__dict__.items()})


@dataclass(frozen=True)
class Mart:
    """All that training may know. `data_hash` names the content: same rows, same hash."""

    catalogue: Catalogue
    user_keys: list[str]
    interactions: Interactions
    data_hash: str
