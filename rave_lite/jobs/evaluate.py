"""Judges a model by recordings it was not trained on, and by timbre transfer of foreign ones."""

from pathlib import Path
from typing import Any

from omegaconf import DictConfig
from rich import print as show

from rave_lite.data import audio, catalogue, outputs, subsample
from rave_lite.evaluation.evaluate import evaluate as judge
from rave_lite.evaluation.evaluate import names_of, summary, table
from rave_lite.evaluation.recordings import listed, to_compare, to_judge
from rave_lite.evaluation.transfer import transfer
from rave_lite.files import write_json
from rave_lite.model import RAVE, read_checkpoint
from rave_lite.runs import checkpoint_file, run_folder


def evaluate(config: DictConfig) -> dict[str, Any]:
    """Judges the run's held-out clips, or all clips of another folder; and foreign `inputs` if given. Returns the report."""
    path = checkpoint_file(config.ckpt)
    checkpoint = read_checkpoint(path)
    model = RAVE.from_checkpoint(checkpoint)
    run, root, rate = checkpoint.settings, config.data.root, model.sample_rate
    cache = config.data.cache or run["data"]["cache"]
    inputs, other_clips = (listed(config[key], key, rate, cache, channels=model.channels)
                           for key in ("inputs", "reference_set"))
    run_catalogue, clips = to_judge(run, rate, root, cache, model.channels)
    own_clips = run_catalogue is not None and clips is run_catalogue.held_out
    compared_clips = to_compare(run_catalogue, config.max_train_clips, config.seed) if run_catalogue and own_clips else []
    training_clips = subsample(run_catalogue.train, rate, config.seed) if run_catalogue and compared_clips else []
    out = Path(config.out).expanduser() if config.out else run_folder(path) / "evaluation"
    report = judge(model, clips, out, compared=compared_clips, training=training_clips, seed=config.seed)
    show(table(report, "held-out figures" if own_clips else "figures"))
    if inputs:
        wav = dict(zip(names := names_of(inputs), audio.as_wav(names), strict=True))
        keep = lambda name, output: outputs.save(out / "transfer" / wav[name], output, rate)
        reference = run_catalogue or catalogue(root, rate, cache=cache, channels=model.channels)
        sets = {"target": reference.train} | ({"others": other_clips} if other_clips else {})
        report["transfer"] = transfer(model, inputs, sets, reference.held_out, keep, seed=config.seed,
                                      calibrate=config.calibrate, envelope=config.envelope)
        show(table(report["transfer"], "foreign inputs: the gesture kept, the timbre taken"))
    print(summary(report))
    write_json(out / "figures.json", report, indent=2)
    print(f"figures.json, spectrograms.png and the reconstructions (wav/{', transfer/' if inputs else ''}) are in {out}")
    return report
