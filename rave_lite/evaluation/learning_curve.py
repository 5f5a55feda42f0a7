"""Does more data help, and which file hurts? What a set of runs says, and how much of it may be chance."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean, stdev

import numpy as np
from scipy.stats import t as student

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Point:
    """One run: distances of its last averaged weights; `without`: the file left out of training."""

    fraction: float
    minutes: float
    seed: int
    held_out: float
    train: float
    without: str | None = None


@dataclass(frozen=True)
class Gain:
    """From the last but one fraction to the last, paired by seed. `drop`: of the held-out distance, positive is better;
    `spread`: half its confidence interval, infinite with one seed; `doublings`: of the minutes, between the two."""

    before: float
    after: float
    minutes: tuple[float, float]
    seeds: int
    drop: float
    spread: float
    doublings: float

    def __str__(self) -> str:
        low, high = map(amount, self.minutes)
        seen = f"{low} → {high}: {abs(self.drop):.2f} {'lower' if self.drop > 0 else 'higher'}"
        return seen + (f" ± {self.spread:.2f} ({CONFIDENCE:.0%}, paired by {self.seeds} seeds)" if self.seeds > 1 else "")

    @property
    def clear(self) -> bool:
        """Is it more than the seeds differ among themselves?"""
        return abs(self.drop) > self.spread


def gain(points: Sequence[Point]) -> Gain:
    """Of the runs of two fractions or more, each with the same seeds."""
    first, last = sorted({p.fraction for p in points})[-2:]
    a, b = ([p for p in sorted(points, key=lambda p: p.seed) if p.fraction == f] for f in (first, last))
    drops = [p.held_out - q.held_out for p, q in zip(a, b, strict=True)]
    minutes = mean(p.minutes for p in a), mean(p.minutes for p in b)
    n = len(drops)
    spread = student.ppf((1 + CONFIDENCE) / 2, n - 1) * stdev(drops) / math.sqrt(n) if n > 1 else math.inf
    return Gain(mean(p.held_out for p in a), mean(p.held_out for p in b), minutes, n, mean(drops), float(spread),
                mean(math.log2(q.minutes / p.minutes) for p, q in zip(a, b, strict=True)))


def answer(found: Gain) -> str:
    """In plain sentences: what was seen, then what it means."""
    seen = f"held-out distance {found.before:.2f} → {found.after:.2f}; {found}\n"
    if found.seeds == 1:
        return f"{seen}One seed cannot tell that from chance: say seeds=[0,1,2]."
    if not found.clear:
        return (f"{seen}No difference can be seen with {found.seeds} seeds: it is within what they differ among themselves. "
                f"More seeds would see smaller ones.")
    if found.drop < 0:
        return f"{seen}More of these recordings does not help at this number of steps: try more steps, or influence=true."
    per, spread = found.drop / found.doublings, found.spread / found.doublings
    return (f"{seen}More helps: twice the recordings would likely lower it by about {per:.2f} ± {spread:.2f} more, if the "
            f"curve goes on as between these two.")


def amount(minutes: float) -> str:
    return f"{minutes:.1f} min" if minutes >= 2 else f"{60 * minutes:.{0 if minutes >= 0.05 else 1}f} s"


@dataclass(frozen=True)
class Influence:
    """Of leaving `source` out. `change` of the held-out distance, mean over the seeds, against the runs with all files;
    `against`: the same against the median of leaving out another; `spread`: the least that is no chance in `against`."""

    source: str
    changes: tuple[float, ...]  # by seed
    change: float
    against: float
    spread: float

    @property
    def stands_out(self) -> bool:
        return abs(self.against) > self.spread


def influences(whole: Sequence[Point], without: Sequence[Point]) -> list[Influence]:
    """Files by what leaving them out changes, the one that hurts most first. The same seeds in all runs.

    A seed that is bad for all files alike is no noise here: what is compared is a file with the others, by the scatter
    that is left after the means of file and seed (a two-way layout), with Bonferroni's correction for trying every file.
    """
    seeds = sorted(p.seed for p in whole)
    base = {p.seed: p.held_out for p in whole}
    sources = list(dict.fromkeys(p.without for p in without if p.without is not None))
    found = {(p.without, p.seed): p.held_out for p in without}
    changes = np.array([[found[source, seed] - base[seed] for seed in seeds] for source in sources])
    files, n = changes.shape
    effect = changes.mean(1)
    spread, against = math.inf, np.zeros(files)
    if files > 1:
        against = effect - [np.median(np.delete(effect, i)) for i in range(files)]
    if files > 1 and n > 1:
        rest = changes - effect[:, None] - changes.mean(0) + changes.mean()
        freedom = (files - 1) * (n - 1)
        deviation = math.sqrt((rest**2).sum() / freedom / n * (1 + math.pi / 2 / (files - 1)))  # a median's too
        spread = float(student.ppf(1 - (1 - CONFIDENCE) / 2 / files, freedom)) * deviation
    rows = [Influence(s, tuple(c), float(e), float(a), spread)
            for s, c, e, a in zip(sources, changes.tolist(), effect, against, strict=True)]
    return sorted(rows, key=lambda row: row.change)


def advice(rows: Sequence[Influence]) -> str:
    """Which files to listen to, in plain sentences."""
    seeds = len(rows[0].changes)
    if seeds == 1:
        return "One seed cannot tell a file's influence from chance: say seeds=[0,1,2]."
    said = []
    for row in (row for row in rows if row.stands_out):
        meaning = f"lower: listen to {row.source}" if row.against < 0 else "higher: more like it would help"
        said.append(f"Without {row.source} the held-out distance is {abs(row.against):.2f} ± {row.spread:.2f} {meaning}.")
    return "\n".join(said) or (f"No file's influence stands out from chance with {seeds} seeds: the first of the list is "
                               f"only the likeliest to hurt.")
