"""Write a model as streaming TorchScript."""

from pathlib import Path

from omegaconf import DictConfig

from rave_lite import __version__
from rave_lite.export.torchscript import export as write
from rave_lite.export.verify import verify
from rave_lite.jobs.common import job
from rave_lite.model import RAVE, read_checkpoint


def export(config: DictConfig) -> None:
    """Script the checkpoint's model, prove the file in a new process, and say what it is."""
    path = Path(config.ckpt).expanduser()
    checkpoint = read_checkpoint(path)
    model = RAVE.from_state(checkpoint, path)
    run = checkpoint["config"]
    out = Path(config.out).expanduser() if config.out else path.resolve().parents[1] / f"{run['name']}.ts"
    card = {"name": run["name"], "sample_rate": model.sample_rate, "hop": model.hop, "latency": model.latency,
            "latent_size": model.latent_size, "parameters": sum(p.numel() for p in model.parameters()),
            "training_minutes": round(run["minutes"], 2), "rave_lite": __version__}
    write(model, out, batch_size=config.batch_size, metadata=card)
    verify(out, path)
    print(f"{out}: verified against the checkpoint in a new process")
    for key, value in card.items():
        unit = {"sample_rate": " Hz", "hop": " samples", "training_minutes": " min",
                "latency": f" samples, {1000 * model.latency / model.sample_rate:.1f} ms, and the host's block"}.get(key, "")
        print(f"  {key:16} {value}{unit}")


main = job(export)
