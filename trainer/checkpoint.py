"""A training that was killed goes on where it was: one file, written anew after every epoch.

Equal numbers with and without a kill need no state of a random generator: every epoch draws from its own,
seeded by (seed, epoch), so what is kept is the weights, the optimisers and how far the course has come.
"""

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, Literal

import torch

from trainer.course import Course
from trainer.errors import TrainingError
from trainer.start_maker import Chosen
from trainer.trained import EpochRecord

FILE_NAME = "training.checkpoint"

Stage = Literal["search", "final"]


@dataclass(frozen=True)
class Snapshot:
    """A training between two epochs. `search` is the course that is over when the final stage runs."""

    stage: Stage
    chosen: Chosen
    scale: float
    course: Course
    search: Course
    shape: dict[str, int]
    weights: Mapping[str, Any]
    optimizers: list[dict[str, Any]]
    seconds: float


@dataclass(frozen=True)
class Checkpoint:
    """The file, and what it belongs to: rows and dials. Only a file of the same is resumed."""

    path: Path | None
    """None: nothing is written, nothing resumed."""
    data_hash: str
    dials: Mapping[str, Any]
    resumes: bool = False
    """False: a file that lies there is of another training and is written over."""

    def write(self, snapshot: Snapshot) -> None:
        """Replace the file as a whole: a kill at any moment leaves the old one or the new one."""
        if self.path is None:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        beside = self.path.with_suffix(".partial")
        content = vars(snapshot) | {
            "chosen": asdict(snapshot.chosen),
            "course": _plain(snapshot.course),
            "search": _plain(snapshot.search),
        }
        with beside.open("wb") as file:
            torch.save({"data_hash": self.data_hash, "dials": dict(self.dials), "snapshot": content}, file)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(self.path)

    def read(self) -> Snapshot | None:
        """Where to go on; None without `resumes` or without a file.

        Raises TrainingError naming what differs: the file is of other rows or of other dials.
        """
        if self.path is None or not self.resumes or not self.path.exists():
            return None
        try:
            found = torch.load(self.path, map_location="cpu", weights_only=True)
            content = found["snapshot"]
            snapshot = Snapshot(
                **content
                | {
                    "chosen": Chosen.from_plain(content["chosen"]),
                    "course": _course(content["course"]),
                    "search": _course(content["search"]),
                }
            )
        except (OSError, RuntimeError, ValueError, KeyError, TypeError, UnpicklingError) as error:
            raise TrainingError(f"{self.path} cannot be read: {error}", "train without --resume") from None
        if found["data_hash"] != self.data_hash:
            raise TrainingError(
                f"{self.path} was written for other rows of the marts", "train without --resume"
            )
        dials = dict(self.dials)
        if other := [name for name in dials if found["dials"].get(name) != dials[name]]:
            said = ", ".join(f"{name} {found['dials'].get(name)}, now {dials[name]}" for name in other)
            raise TrainingError(
                f"{self.path} was written with {said}", "use those dials, or train without --resume"
            )
        return snapshot

    def delete(self) -> None:
        """The training has come to its end."""
        if self.path is not None:
            for path in (self.path, self.path.with_suffix(".partial")):
                path.unlink(missing_ok=True)


def _plain(course: Course) -> dict[str, Any]:
    return vars(course) | {"curve": [asdict(record) for record in course.curve]}


def _course(content: dict[str, Any]) -> Course:
    return Course(**content | {"curve": [EpochRecord(**record) for record in content["curve"]]})
