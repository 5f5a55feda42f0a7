"""Judge a model by recordings it was not trained on, and by what it makes of foreign ones."""

from pathlib import Path

from omegaconf import DictConfig
from rich import print as show

from rave_lite.data import audio, catalogue, subsample
from rave_lite.errors import InputError
from rave_lite.evaluation.evaluate import evaluate as judge
from rave_lite.evaluation.evaluate import names_of, save, summary, table
from rave_lite.evaluation.transfer import transfer
from rave_lite.jobs.common import check_numbers, job
from rave_lite.jobs.recordings import listed, to_compare, to_judge
from rave_lite.model import RAVE, read_checkpoint


def evaluate(config: DictConfig) -> None:
    """The run's own held-out clips, or every clip of another folder; and foreign inputs where they are given."""
    check_numbers(config, heard=0, seed=0)
    if config.others and not config.inputs:
        raise InputError("others: what is made of inputs=... is compared with it, and no inputs are given")
    path = Path(config.ckpt).expanduser()
    checkpoint = read_checkpoint(path)
    model = RAVE.from_state(checkpoint, path)
    run, data, rate = checkpoint["config"], config.data, model.sample_rate
    cache = data.cache or run["data"]["cache"]
    inputs, others = (listed(config[key], key, rate, cache) for key in ("inputs", "others"))
    found, clips = to_judge(run, rate, data.root, cache)
    own = found is not None and clips is found.held_out
    heard = to_compare(found, config.heard, config.seed) if found and own else []
    training = subsample(found.train, rate, config.seed) if found and heard else []
    out = Path(config.out).expanduser() if config.out else path.resolve().parents[1] / "evaluation"
    report = judge(model, clips, out, heard=heard, training=training, seed=config.seed)
    show(table(report, "held-out figures" if own else "figures"))
    if inputs:
        names = names_of(inputs)
        wav = dict(zip(names, audio.as_wav(names), strict=True))
        keep = lambda name, made: audio.save(out / "transfer" / wav[name], made, rate)
        taken = found or catalogue(data.root, rate, cache=cache)
        sets = {"target": taken.train} | ({"others": others} if others else {})
        report["transfer"] = transfer(model, inputs, sets, taken.held_out, keep, seed=config.seed)
        show(table(report["transfer"], "foreign inputs: the gesture kept, the timbre taken"))
    print(summary(report))
    save(report, out)
    print(f"figures.json, spectrograms.png and the reconstructions (wav/{', transfer/' if inputs else ''}) are in {out}")


main = job(evaluate)
