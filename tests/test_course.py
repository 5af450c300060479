"""Which epoch is kept: the start unless another is better beyond doubt; patience ends the rest."""

import pytest
import torch

from trainer.course import Course
from trainer.towers import TwoTowers
from trainer.trained import EpochRecord


def towers_of(epoch: int) -> TwoTowers:
    """Towers that can be told from those of another epoch."""
    towers = TwoTowers(n_videos=1, n_categories=0, n_dense=0, n_aggregates=0, dim=4, hidden_units=0)
    torch.nn.init.constant_(towers.item_tower.id_embedding_ID, float(epoch))
    return towers


def run(gains: list[list[float] | None], patience: int = 3) -> Course:
    """A course over epochs whose users have these gains."""
    course = Course(epochs=20, patience=patience)
    for epoch, users in enumerate(gains):
        values = None if users is None else torch.tensor(users)
        mean = None if values is None else float(values.mean())
        course.note(EpochRecord(epoch, 1.0, mean, 0.0), values, towers_of(epoch))
        if course.is_over:
            break
    return course


START = [0.1, 0.2, 0.3, 0.4]


def kept(course: Course) -> tuple[int, float]:
    """The epoch said to be best, and the one whose weights are there."""
    return course.best_epoch, float(course.best_weights["item_tower.id_embedding_ID"][0, 0])


@pytest.mark.parametrize(
    ("later", "epoch"),
    [
        ([0.11, 0.21, 0.31, 0.41], 1),  # a little, for everybody
        ([0.5, 0.0, 0.3, 0.4], 0),  # .05 on average, as much as chance would: the error of it is .11
        ([0.1, 0.2, 0.3, 0.4], 0),
        ([0.0, 0.1, 0.2, 0.3], 0),
    ],
)
def test_the_start_gives_way_to_what_is_better_beyond_doubt(later: list[float], epoch: int) -> None:
    assert kept(run([START, later])) == (epoch, epoch)


def test_patience_counts_from_the_highest_even_within_doubt() -> None:
    doubtful = [[0.5 + step, 0.0, 0.3, 0.4] for step in (0.0, 0.01, 0.02)]
    course = run([START, START, START, *doubtful, [0.6, 0.5, 0.6, 0.7], START, START, START, START])
    assert kept(course) == (6, 6)
    assert course.curve[-1].epoch == 9  # three after the sixth


def test_of_two_beyond_doubt_the_higher_is_kept() -> None:
    course = run([START, [0.2, 0.3, 0.4, 0.5], [0.3, 0.4, 0.5, 0.6], [0.25, 0.35, 0.45, 0.55]])
    assert kept(course) == (2, 2)


def test_where_nothing_is_validated_the_latest_is_kept() -> None:
    assert kept(run([None, None, None])) == (2, 2)
