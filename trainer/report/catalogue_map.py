"""A map of the catalogue: its vectors on the two axes along which they differ most, by maker or tag."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from trainer.database import Connection, relation_exists

# Dots on the page: some 150 bytes each, and more of them hide each other.
SHOWN = 3000
LONGEST_TITLE = 120  # on hover; three thousand whole ones could be half of what a report may weigh
COLOURS = 7  # groups with a colour of their own; the rest is grey


class Dot(NamedTuple):
    """One video: place in 0..1 from left and bottom, its group (-1: none of the named), its title."""

    x: float
    y: float
    group: int
    title: str


class CatalogueMap(NamedTuple):
    """`groups` names the colours, `by` says what they are; `explained`: share of variance on the two axes."""

    dots: list[Dot]
    groups: list[str]
    by: str
    explained: float


def read_map(connection: Connection, version: str) -> CatalogueMap | None:
    """The most liked videos of a version and an even sample of the rest; None where there are under three."""
    if not relation_exists(connection, "marts.dim_videos"):
        return None
    rows = connection.execute(
        "select videos.title, coalesce(videos.maker, ''), coalesce(videos.tags[1], ''),"
        " vectors.embedding::real[] from (select video_id, title, maker, tags, n_likes,"
        " row_number() over (order by n_likes desc nulls last, video_id) as place,"
        " count(*) over () as n_videos from marts.dim_videos) as videos"
        " inner join recsys.video_embeddings as vectors"
        " on vectors.video_id = videos.video_id and vectors.model_version = %s"
        # half of the dots are the best known, the others are spread over the rest of the ranking
        " where videos.place <= %s or mod(videos.place, greatest(1, videos.n_videos / %s)) = 0"
        " order by videos.place limit %s",
        (version, SHOWN // 2, SHOWN // 2, SHOWN),
    ).fetchall()
    if len(rows) < 3:
        return None
    points, explained = project(np.array([row[3] for row in rows], np.float32))
    by, names, groups = _groups([str(row[1]) for row in rows], [str(row[2]) for row in rows])
    dots = [
        Dot(float(x), float(y), group, str(row[0])[:LONGEST_TITLE])
        for (x, y), group, row in zip(points, groups, rows, strict=True)
    ]
    # the grey ones first: what has a colour is drawn over them
    return CatalogueMap(sorted(dots, key=lambda dot: dot.group >= 0), names, by, explained)


def project(vectors_ND: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.float64], float]:
    """([N, 2] in 0..1, share of the variance they keep): the first two principal components.

    Pearson 1901; by the eigenvectors of the D x D covariance, so N does not matter. The sign of each axis is
    chosen so that its largest weight is positive: the same vectors give the same picture.
    """
    centred_ND = vectors_ND.astype(np.float64) - vectors_ND.mean(0)
    values_D, axes_DD = np.linalg.eigh(centred_ND.T @ centred_ND)
    axes_D2 = axes_DD[:, -2:][:, ::-1]
    axes_D2 = axes_D2 * np.sign(axes_D2[np.abs(axes_D2).argmax(0), np.arange(2)])
    points_N2 = centred_ND @ axes_D2
    # the outermost percent would squeeze everybody else into the middle
    low_2, high_2 = np.percentile(points_N2, [0.5, 99.5], axis=0)
    placed_N2 = np.clip((points_N2 - low_2) / np.maximum(high_2 - low_2, 1e-12), 0, 1)
    whole = float(values_D.sum())
    return placed_N2, float(values_D[-2:].sum() / whole) if whole > 0 else 0.0


def _groups(makers: Sequence[str], tags: Sequence[str]) -> tuple[str, list[str], list[int]]:
    """By maker or by first tag: whichever names more of the videos with the colours there are."""

    def largest(values: Sequence[str]) -> list[tuple[str, int]]:
        return Counter(value for value in values if value).most_common(COLOURS)

    chosen, by = max(((makers, "maker"), (tags, "first tag")), key=lambda c: sum(n for _, n in largest(c[0])))
    names = [name for name, _ in largest(chosen)]
    place = {name: k for k, name in enumerate(names)}
    return by, names, [place.get(value, -1) for value in chosen]
