"""Statistics of a learning curve: does more data help, which file hurts, and how much of it may be chance?"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean, stdev

import numpy as np
from scipy.stats import t as student

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Point:
    """One training run, with the distances of its last averaged weights; `without`: the file left out of training."""

    fraction: float
    minutes: float
    seed: int
    held_out: float
    train: float
    without: str | None = None


@dataclass(frozen=True)
class Gain:
    """Change from the last but one fraction to the last, paired by seed. `before`, `after`: mean held-out distances; `drop`:
    their difference, positive is better; `spread`: half its confidence interval, infinite for one seed; `doublings`: log2 of
    the ratio of the minutes, mean over the seeds."""

    before: float
    after: float
    minutes: tuple[float, float]
    seeds: int
    drop: float
    spread: float
    doublings: float

    def __str__(self) -> str:
        low, high = map(amount, self.minutes)
        change = f"{low} → {high}: {abs(self.drop):.2f} {'lower' if self.drop > 0 else 'higher'}"
        return change + (f" ± {self.spread:.2f} ({CONFIDENCE:.0%}, paired by {self.seeds} seeds)" if self.seeds > 1 else "")

    @property
    def clear(self) -> bool:
        """Is 0 outside the confidence interval?"""
        return abs(self.drop) > self.spread


def gain(points: Sequence[Point]) -> Gain:
    """The gain between the two largest fractions; at least two fractions are needed, all with the same seeds."""
    first, last = sorted({p.fraction for p in points})[-2:]
    a, b = ([p for p in sorted(points, key=lambda p: p.seed) if p.fraction == f] for f in (first, last))
    drops = [p.held_out - q.held_out for p, q in zip(a, b, strict=True)]
    minutes = mean(p.minutes for p in a), mean(p.minutes for p in b)
    n = len(drops)
    spread = student.ppf((1 + CONFIDENCE) / 2, n - 1) * stdev(drops) / math.sqrt(n) if n > 1 else math.inf
    return Gain(mean(p.held_out for p in a), mean(p.held_out for p in b), minutes, n, mean(drops), float(spread),
                mean(math.log2(q.minutes / p.minutes) for p, q in zip(a, b, strict=True)))


def answer(gain: Gain) -> str:
    """The gain in plain sentences: the numbers, then what they mean."""
    numbers = f"held-out distance {gain.before:.2f} → {gain.after:.2f}; {gain}\n"
    if gain.seeds == 1:
        return f"{numbers}One seed cannot tell that from chance: say seeds=[0,1,2]."
    if not gain.clear:
        return (f"{numbers}No difference can be seen with {gain.seeds} seeds: it is within what they differ among "
                f"themselves. More seeds would see smaller ones.")
    if gain.drop < 0:
        return f"{numbers}More of these recordings does not help at this number of steps: try more steps, or influence=true."
    per_doubling, spread = gain.drop / gain.doublings, gain.spread / gain.doublings
    return (f"{numbers}More helps: twice the recordings would likely lower it by about {per_doubling:.2f} ± {spread:.2f} "
            f"more, if the curve goes on as between these two.")


def amount(minutes: float) -> str:
    return f"{minutes:.1f} min" if minutes >= 2 else f"{60 * minutes:.{0 if minutes >= 0.05 else 1}f} s"


@dataclass(frozen=True)
class Influence:
    """Effect of leaving `source` out of training. `change`: of the held-out distance, relative to the runs with all files,
    mean over the seeds; `against`: the same relative to the median of the other files' changes; `spread`: half the
    confidence interval of `against`, infinite for one seed."""

    source: str
    changes: tuple[float, ...]  # by seed
    change: float
    against: float
    spread: float

    @property
    def stands_out(self) -> bool:
        return abs(self.against) > self.spread


def influences(whole: Sequence[Point], without: Sequence[Point]) -> list[Influence]:
    """The influence of every file, the most harmful file first. All runs must have the same seeds.

    Each file is compared with the others. The noise is estimated from the residuals of a two-way layout (file means and seed
    means removed), so a seed that is worse for all files does not count as noise. Bonferroni's correction allows for testing
    every file.
    """
    seeds = sorted(p.seed for p in whole)
    base = {p.seed: p.held_out for p in whole}
    sources = list(dict.fromkeys(p.without for p in without if p.without is not None))
    distances = {(p.without, p.seed): p.held_out for p in without}
    changes = np.array([[distances[source, seed] - base[seed] for seed in seeds] for source in sources])
    files, n = changes.shape
    effect = changes.mean(1)
    spread, against = math.inf, np.zeros(files)
    if files > 1:
        against = effect - [np.median(np.delete(effect, i)) for i in range(files)]
    if files > 1 and n > 1:
        residuals = changes - effect[:, None] - changes.mean(0) + changes.mean()
        freedom = (files - 1) * (n - 1)
        deviation = math.sqrt((residuals**2).sum() / freedom / n * (1 + math.pi / 2 / (files - 1)))  # and the median's
        spread = float(student.ppf(1 - (1 - CONFIDENCE) / 2 / files, freedom)) * deviation
    rows = [Influence(s, tuple(c), float(e), float(a), spread)
            for s, c, e, a in zip(sources, changes.tolist(), effect, against, strict=True)]
    return sorted(rows, key=lambda row: row.change)


def advice(rows: Sequence[Influence]) -> str:
    """The files whose influence stands out, in plain sentences."""
    seeds = len(rows[0].changes)
    if seeds == 1:
        return "One seed cannot tell a file's influence from chance: say seeds=[0,1,2]."
    lines = []
    for row in (row for row in rows if row.stands_out):
        meaning = f"lower: listen to {row.source}" if row.against < 0 else "higher: more like it would help"
        lines.append(f"Without {row.source} the held-out distance is {abs(row.against):.2f} ± {row.spread:.2f} {meaning}.")
    return "\n".join(lines) or (f"No file's influence stands out from chance with {seeds} seeds: the first of the list is "
                                f"only the likeliest to hurt.")
