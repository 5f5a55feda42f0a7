"""Play foreign sounds through models: the gesture kept, the timbre taken, the attacks; a row per model, setting and group.

    python tests/bench/timbre.py CKPT... INPUTS...

CKPT: checkpoints or folders of runs; INPUTS: folders or files of sounds, each a group of its own, beside the built-in birds,
voices and beat-boxing. Of a folder of more than 24 files 24 are taken, evenly. Prints a Markdown table; the distances are
those of all sounds of a group together, and the rest are means of its files.
"""

import sys
import tempfile
from pathlib import Path

from rave_lite.data import Clip
from rave_lite.data.drums import write as write_drums
from rave_lite.evaluation.attacks import sharpness
from rave_lite.evaluation.recordings import listed, to_judge
from rave_lite.evaluation.transfer import transfer
from rave_lite.model import RAVE, read_checkpoint

SETTINGS: dict[str, dict[str, float]] = {"as it is": {}, "envelope=0.7": {"envelope": 0.7},
                                         "calibrate=1": {"calibrate": 1.0},
                                         "calibrate=1 envelope=0.7": {"calibrate": 1.0, "envelope": 0.7}}
COLUMNS = ("onset_f1", "loudness", "order", "sharp_in", "sharp_out")
MOST = 24  # files of a group


def groups(paths: list[Path], sample_rate: int, folder: Path) -> dict[str, list[Clip]]:
    if not (folder / "birds").exists():
        write_drums(folder, seed=1, hits=1)
    built_in = {name: folder / name for name in ("birds", "voices", "beatbox")}
    clips = {name: listed(str(path), "inputs", sample_rate, None)
             for name, path in (built_in | {f"{path.parent.name}/{path.stem}": path for path in paths}).items()}
    return {name: group[:: -(-len(group) // MOST)] for name, group in clips.items()}


def main() -> None:
    arguments = [Path(argument) for argument in sys.argv[1:]]
    checkpoints = [path for path in arguments if path.suffix == ".ckpt" or (path / "checkpoints").is_dir()]
    print("| model | inputs | setting | distance in | out | held out |", *(f"{name} |" for name in COLUMNS))
    print("|" + "---|" * (6 + len(COLUMNS)))
    with tempfile.TemporaryDirectory() as folder:
        for path in checkpoints:
            saved = read_checkpoint(path)
            model, rate = RAVE.from_checkpoint(saved), saved.sample_rate
            catalogue, _ = to_judge(saved.settings, rate, None, saved.settings["data"]["cache"])
            sets, held_out = {"target": catalogue.train}, catalogue.held_out
            sharp = sum(sharpness(clip.read(), rate) for clip in held_out) / len(held_out)
            for name, clips in groups([path for path in arguments if path not in checkpoints], rate, Path(folder)).items():
                for setting, options in SETTINGS.items():
                    report = transfer(model, clips, sets, held_out, lambda *_: None, **options)
                    distance = report["together"]["target"]
                    cells = [*(f"{distance[side]:.3f}" for side in ("inputs", "outputs", "held_out")),
                             *(f"{report['mean'][column]:.2f}" for column in COLUMNS)]
                    print(f"| {saved.settings['name']} | {name} | {setting} | {' | '.join(cells)} |", flush=True)
            print(f"\n{path}: attacks of the held-out recordings: {sharp:.1f} dB\n", flush=True)


if __name__ == "__main__":
    main()
