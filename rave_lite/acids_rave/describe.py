"""Properties of an imported model, in words."""


from rave_lite.acids_rave.read import Run
from rave_lite.model import RAVE, Checkpoint


def describe(checkpoint: Checkpoint, model: RAVE) -> dict[str, str]:
    """The properties of the imported model, by name."""
    settings, release = model.config, checkpoint.release or {}
    has_discriminators = bool(checkpoint.part("discriminator"))

    continuous = "; the release's discrete models do not quantise" if release.get("discrete") else ""

    def delay(samples: int) -> str:
        return f"{samples} samples, {1000 * samples / model.sample_rate:.1f} ms"

    latency = delay(model.latency)
    if model.config["alignment"] != release["alignment"]:
        latency += f" (as trained, {release['alignment']}: {delay(release['latency'])}): another model now, to be fine-tuned"
    elif release["later"] is not None:
        latency += f"; the run's samples, {abs(release['later'])} {'earlier' if release['later'] < 0 else 'later'}"
    return {"sample_rate": f"{model.sample_rate} Hz", "hop": f"{model.hop} samples", "capacity": str(settings["capacity"]),
            "ratios": str(settings["ratios"]),
            "latent": f"{settings['latent']['name']}, {model.latent_size}" + continuous,
            "noise": "filtered, per band" if settings["noise"] else "none", "alignment": settings["alignment"],
            "latency": latency,
            "phase": f"{checkpoint.phase}, at step {release['step']}" if release["step"] else "not told",
            "directions": "measured" if model.principal.measured else "as the release left them: data.root=DIR measures",
            "discriminators": "kept" if has_discriminators else "none that fit: fine-tuning starts with fresh ones"}


def assumptions(run: Run, checkpoint: Checkpoint) -> str | None:
    """The properties that the run's file does not state and that were assumed, if there are any."""
    if run.text or run.caches is not None:
        return None
    return (f"no config.gin beside {run.path}: taken to be {checkpoint.sample_rate} Hz, "
            f"{checkpoint.architecture['alignment']}, dilations 1, 3, 9")
