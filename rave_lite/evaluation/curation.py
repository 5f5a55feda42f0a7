"""Curation: groups the hits of a collection by sound and scores how unusual each hit is."""

from collections.abc import Iterable

import numpy as np
from rich.table import Table
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial import KDTree

from rave_lite.data import Clip
from rave_lite.data.manifest import Hit
from rave_lite.evaluation.hits import ONE_HIT, embeddings, hits
from rave_lite.tables import make_table

NEIGHBOURS = 5
JOIN_FACTOR = 1.25  # groups closer than this multiple of the typical distance to the root(N)-th neighbour are joined
MAX_GROUPS = 24  # groups
LINKED = 3000  # hits in the linkage tree; in larger collections every other hit takes the label of its nearest linked hit
STEADY = 0.02  # least standard deviation a feature is divided by; one that varies less counts as constant


def curate(clips: Iterable[Clip], sample_rate: int, *, longer: float = ONE_HIT,
           keep_below: float | None = None) -> list[tuple[Hit, Clip]]:
    """The hits of recordings, each with its group and its outlier score, the most unusual first.

    Recordings longer than `longer` s are split at onsets. `keep_below`: hits with this outlier score or a higher one are
    marked to be dropped; by default none are.
    """
    hit_clips = [hit for clip in clips for hit in hits(clip, sample_rate, longer)]
    points = standardised(embeddings(hit_clips, sample_rate))
    scores, labels = outliers(points).round(2).tolist(), groups(points).tolist()
    rows = []
    for clip, score, label in zip(hit_clips, scores, labels, strict=True):
        keep = keep_below is None or score < keep_below
        hit = Hit(clip.source, round(clip.start / sample_rate, 3), round(clip.stop / sample_rate, 3), label, score, keep)
        rows.append((hit, clip))
    return sorted(rows, key=lambda pair: (-pair[0].outlier, pair[0].file, pair[0].start))


def standardised(points: np.ndarray) -> np.ndarray:
    """Points `(N, D)`, each axis shifted to mean 0 and, unless it is constant, scaled to standard deviation 1."""
    return (points - points.mean(0)) / np.maximum(points.std(0), STEADY)


def outliers(points: np.ndarray) -> np.ndarray:
    """Outlier scores `(N, D) -> (N,)`: mean distance to the five nearest points, as a multiple of its median: 1 is typical.

    Ramaswamy et al., 2000, with the mean over the neighbours. More than five unusual hits that resemble each other are a
    group, not outliers.
    """
    distance = _nearest(points, NEIGHBOURS).mean(1)
    typical = float(np.median(distance))
    return distance / typical if typical > 0 else 1.0 + distance


def groups(points: np.ndarray) -> np.ndarray:
    """Group numbers `(N, D) -> (N,)`, counted from 1, the largest group first.

    Average linkage, cut at 1.25 times the median distance to the root(N)-th neighbour, or higher where that would leave more
    than 24 groups. A low cut is preferred: it splits a family into two groups rather than merging two families.
    """
    order = np.lexsort(points.T)  # sorted, so that the groups do not depend on the order of the hits
    linked = points[order[np.unique(np.linspace(0, len(points) - 1, min(LINKED, len(points))).round().astype(int))]]
    if len(linked) < 2:
        return np.ones(len(points), int)
    tree = linkage(linked, "average")
    reach = float(np.median(_nearest(linked, round(len(linked) ** 0.5))[:, -1]))
    labels = fcluster(tree, max(JOIN_FACTOR * reach, 1e-9), "distance")
    if labels.max() > MAX_GROUPS:
        labels = fcluster(tree, MAX_GROUPS, "maxclust")
    all_labels = labels[KDTree(linked).query(points)[1]]
    names, first, count = np.unique(all_labels[order], return_index=True, return_counts=True)
    rank = dict(zip(names[np.lexsort((first, -count))].tolist(), range(1, len(names) + 1), strict=True))
    return np.array([rank[label] for label in all_labels.tolist()])


def _nearest(points: np.ndarray, count: int) -> np.ndarray:
    """Distances to the `count` nearest other points, ascending, `(N, count)`, or to all if there are fewer; 0 if alone."""
    count = min(count, len(points) - 1)
    return KDTree(points).query(points, count + 1)[0][:, 1:] if count else np.zeros((1, 1))


def by_group(hits: list[Hit]) -> dict[int, list[Hit]]:
    """The hits of each group number, the group with the highest median outlier score first."""
    members: dict[int, list[Hit]] = {}
    for hit in hits:
        members.setdefault(hit.group, []).append(hit)
    return dict(sorted(members.items(), key=lambda item: (-float(np.median([hit.outlier for hit in item[1]])), item[0])))


def table(hits: list[Hit]) -> Table:
    """A row per group: number of hits, seconds, median outlier score and the first file names."""
    rows = []
    for number, members in by_group(hits).items():
        names = list(dict.fromkeys(hit.file for hit in members))
        shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more files" if len(names) > 3 else "")
        rows.append((str(number), str(len(members)), f"{sum(hit.end - hit.start for hit in members):.1f}",
                     f"{np.median([hit.outlier for hit in members]):.2f}", shown))
    return make_table(("group", "hits", "seconds", "outlier", "among them"), rows, left=("among them",))
