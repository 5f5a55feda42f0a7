"""The report of a learning curve: tables and a picture as files, answers in the terminal."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich import print as show
from rich.table import Table

from rave_lite.evaluation import pictures
from rave_lite.evaluation.learning_curve import Influence, Point, advice, answer, gain, influences
from rave_lite.files import write_csv
from rave_lite.tables import make_table


def report(out: Path, curve: list[Point], whole: list[Point], without: list[Point]) -> dict[str, Any]:
    """Writes tables and picture to `out`, and prints tables and answers.

    Returns {"curve": points, "gain": Gain or None, "influence": list of Influence}.
    """
    result, rows = None, []
    columns = ["fraction", "minutes", "seed", "held_out_distance", "train_distance"]
    write_csv(out / "curve.csv", columns, [
        [f"{p.fraction:g}", f"{p.minutes:.4f}", p.seed, f"{p.held_out:.5f}", f"{p.train:.5f}"] for p in curve])
    print()
    if len({p.fraction for p in curve}) > 1:
        result = gain(curve)
        pictures.save(pictures.learning_curve(curve, str(result)), out / "curve.png")
        print(f"{answer(result)}\n")
    if without:
        rows = influences(whole, without)
        seeds = sorted(p.seed for p in whole)
        columns = ["file", "change", "against_others", "plus_minus", "stands_out", *(f"seed_{s}" for s in seeds)]
        write_csv(out / "influence.csv", columns, [
            [r.source, *(f"{v:.5f}" for v in (r.change, r.against, r.spread)), "yes" if r.stands_out else "no",
             *(f"{v:.5f}" for v in r.changes)] for r in rows])
        show(table(rows))
        print(f"{advice(rows)}\n")
    written = [name for name in ("curve.csv", "curve.png", "influence.csv") if (out / name).exists()]
    print(f"{', '.join(written)} and a folder for each run are in {out}")
    return {"curve": curve, "gain": result, "influence": rows}


def table(rows: Sequence[Influence], shown: int = 20) -> Table:
    """The influence of the files that hurt most and help most, `shown` rows in all."""
    ranking = []
    for i, r in enumerate(rows):
        if len(rows) <= shown or i < shown // 2 or i >= len(rows) - shown // 2:
            ranking.append((r.source, f"{r.change:+.3f}", f"{min(r.changes):+.3f} to {max(r.changes):+.3f}",
                            f"{r.against:+.3f} ± {r.spread:.3f}", "stands out" if r.stands_out else ""))
        elif i == shown // 2:
            ranking.append((f"... {len(rows) - shown} more ...", "", "", "", ""))
    return make_table(("without", "change", "its seeds", "against others", ""), ranking, left=("without", ""),
                      title="held-out distance when a file is left out, against all files")
