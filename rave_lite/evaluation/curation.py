"""Which hits of a collection sound alike, and which sound like nothing else in it."""

from collections.abc import Iterable

import numpy as np
from rich.markup import escape
from rich.table import Table
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial import KDTree

from rave_lite.data import Clip
from rave_lite.data.manifest import Hit
from rave_lite.evaluation.embedding import embed
from rave_lite.evaluation.hits import LONGEST, hits

NEIGHBOURS = 5
JOIN_FACTOR = 1.25  # groups are joined up to that many times the typical distance to the root(N)-th neighbour
MAX_GROUPS = 24  # groups
LINKED = 3000  # hits linked to one another; of larger collections the others follow their nearest
STEADY = 0.02  # a feature that varies by less than that varies not


def curate(clips: Iterable[Clip], sample_rate: int, *, longer: float = 4.0,
           keep_below: float | None = None) -> list[tuple[Hit, Clip]]:
    """The hits of recordings, each with its group and its outlier score, the most unusual first.

    Recordings longer than `longer` s are split at onsets. `keep_below`: the outlier score from which on hits are marked to
    be dropped; none by default.
    """
    found = [hit for clip in clips for hit in hits(clip, sample_rate, longer)]
    points = standardised(np.array([embed(hit.read(0, round(LONGEST * sample_rate)), sample_rate) for hit in found]))
    scores, labels = outliers(points).round(2).tolist(), groups(points).tolist()
    made = []
    for clip, score, label in zip(found, scores, labels, strict=True):
        keep = keep_below is None or score < keep_below
        hit = Hit(clip.source, round(clip.start / sample_rate, 3), round(clip.stop / sample_rate, 3), label, score, keep)
        made.append((hit, clip))
    return sorted(made, key=lambda pair: (-pair[0].outlier, pair[0].file, pair[0].start))


def standardised(points: np.ndarray) -> np.ndarray:
    """`(N, D)`, each axis with mean 0 and, where it varies at all, deviation 1."""
    return (points - points.mean(0)) / np.maximum(points.std(0), STEADY)


def outliers(points: np.ndarray) -> np.ndarray:
    """`(N, D) -> (N,)`: mean distance to the five nearest others, as a multiple of the median hit's: 1 is typical.

    Ramaswamy et al., 2000, with the mean over the neighbours; a family of more than five odd hits is a group, no outliers.
    """
    distance = _nearest(points, NEIGHBOURS).mean(1)
    typical = float(np.median(distance))
    return distance / typical if typical > 0 else 1.0 + distance


def groups(points: np.ndarray) -> np.ndarray:
    """`(N, D) -> (N,)`, numbers from 1, the largest group first.

    Average linkage up to 1.25 times the median hit's distance to its root(N)-th neighbour, or further until 24 groups
    at most are left: rather a family in two groups than two families in one.
    """
    order = np.lexsort(points.T)  # the outcome does not depend on the order of the hits
    chosen = points[order[np.unique(np.linspace(0, len(points) - 1, min(LINKED, len(points))).round().astype(int))]]
    if len(chosen) < 2:
        return np.ones(len(points), int)
    tree = linkage(chosen, "average")
    reach = float(np.median(_nearest(chosen, round(len(chosen) ** 0.5))[:, -1]))
    labels = fcluster(tree, max(JOIN_FACTOR * reach, 1e-9), "distance")
    if labels.max() > MAX_GROUPS:
        labels = fcluster(tree, MAX_GROUPS, "maxclust")
    everyone = labels[KDTree(chosen).query(points)[1]]
    names, first, count = np.unique(everyone[order], return_index=True, return_counts=True)
    rank = dict(zip(names[np.lexsort((first, -count))].tolist(), range(1, len(names) + 1), strict=True))
    return np.array([rank[label] for label in everyone.tolist()])


def _nearest(points: np.ndarray, count: int) -> np.ndarray:
    """Distances to the nearest others, ascending, `(N, count)` or as many as there are; 0 for one alone."""
    count = min(count, len(points) - 1)
    return KDTree(points).query(points, count + 1)[0][:, 1:] if count else np.zeros((1, 1))


def by_group(found: list[Hit]) -> dict[int, list[Hit]]:
    """The groups' numbers and hits, the most unusual group first, by its median score."""
    members: dict[int, list[Hit]] = {}
    for hit in found:
        members.setdefault(hit.group, []).append(hit)
    return dict(sorted(members.items(), key=lambda item: (-float(np.median([hit.outlier for hit in item[1]])), item[0])))


def table(found: list[Hit]) -> Table:
    """Per group: hits, seconds, scores, the first files' names."""
    made = Table()
    for column in ("group", "hits", "seconds", "outlier", "among them"):
        made.add_column(column, justify="left" if column == "among them" else "right", overflow="fold")
    for number, mine in by_group(found).items():
        names = list(dict.fromkeys(hit.file for hit in mine))
        shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more files" if len(names) > 3 else "")
        made.add_row(str(number), str(len(mine)), f"{sum(hit.end - hit.start for hit in mine):.1f}",
                     f"{np.median([hit.outlier for hit in mine]):.2f}", escape(shown))
    return made
