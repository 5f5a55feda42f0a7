"""Time and memory of a training step in each phase, and what they mean for a run."""

import copy
import statistics
import time
from dataclasses import dataclass

import torch
from rich.table import Table

from rave_lite import machine
from rave_lite.data import Clip
from rave_lite.errors import InputError
from rave_lite.tables import make_table
from rave_lite.training.losses import reconstruction_distance
from rave_lite.training.module import RAVETraining
from rave_lite.training.step_graphs import WARM_UP

OUT_OF_MEMORY_MESSAGES = ("out of memory", "can't allocate memory")


@dataclass
class Phase:
    """Measured steps of a phase. `seconds`: mean, discriminator steps included; `median`: s; `memory`: peak, MiB."""

    phase: int
    seconds: float
    median: float
    samples_per_second: float
    memory: float
    steps: int


def measure(module: RAVETraining, *, window: int, batch_size: int, steps: int, warm_up: int,
            device: torch.device) -> list[Phase]:
    """Time `steps` steps of each phase on noise, after `warm_up` steps, and those in which the GPU's graphs are recorded.

    This trains `module`: pass a copy.
    """
    module.to(device).train()
    generator, discriminator = module.configure_optimizers()
    x = 0.1 * torch.randn(batch_size, module.model.channels, window, device=device)
    warm_up += WARM_UP + module.discriminator_every if module.run.records(x) else 0
    phases = []
    for phase in (1, 2):
        module.step, module.phase1_steps = 0, steps + warm_up if phase == 1 else 0
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        durations = []
        for _ in range(steps + warm_up):
            start = now(device)
            module.update_step(x, generator, discriminator)
            durations.append(now(device) - start)
        mean = statistics.mean(durations[warm_up:])
        phases.append(Phase(phase, mean, statistics.median(durations[warm_up:]), batch_size * window / mean,
                            peak_memory(device), steps))
    return phases


def probe(module: RAVETraining, window: int, batch_size: int, device: torch.device) -> list[Phase]:
    """Measure a few steps of both phases on a copy of `module`, so that lack of memory shows before the run starts.

    Precision "auto" becomes the one that takes less time for the rest of the run, if it fits into memory. Raises
    InputError when memory runs out, naming a `runner.micro_batch` that fits.
    """
    if batch_size < 1:
        raise InputError("fewer windows than processes (trainer.devices)", where="data.batch_size")

    def attempt(micro_batch: int | None, precision: str) -> list[Phase] | str:
        trial = copy.deepcopy(module)
        trial.run.micro_batch, trial.run.precision = micro_batch, precision
        try:
            return measure(trial, window=window, batch_size=batch_size, steps=module.discriminator_every, warm_up=1,
                           device=device)
        except RuntimeError as error:  # torch.OutOfMemoryError is one
            if not any(message in str(error) for message in OUT_OF_MEMORY_MESSAGES):
                raise
            return f"phase {trial.phase}"
        finally:
            del trial
            if device.type == "cuda":
                torch.cuda.empty_cache()

    auto = module.run.precision == "auto"
    precisions = ["bf16-mixed", "32-true"] if auto and module.run.mixed(device) else [module.run.precision]
    results = {precision: attempt(module.run.micro_batch, precision) for precision in precisions}
    fitting = {precision: phases for precision, phases in results.items() if not isinstance(phases, str)}
    if fitting:
        fastest = min(fitting, key=lambda precision: remaining_seconds(module, fitting[precision]))
        if auto:
            module.run.precision = fastest
        return fitting[fastest]
    size = module.run.micro_batch or batch_size
    sizes = [size // 2**i for i in range(1, size.bit_length())]
    fits = next((n for n in sizes if not isinstance(attempt(n, precisions[0]), str)), None)
    advice = f"runner.micro_batch={fits} fits: the same training, a third slower" if fits else "No runner.micro_batch fits"
    raise InputError(f"{results[precisions[0]]} does not fit into the memory of {name(device)} with "
                     f"data.batch_size={batch_size} and data.window={window}. {advice}. Less is needed, too, by "
                     f"trainer=rtx3070 (bfloat16), a smaller data.batch_size or data.window, or model=v2_small")


def remaining_steps(module: RAVETraining) -> tuple[int, int]:
    """Steps still to do in each phase."""
    phase1 = max(0, module.phase1_steps - module.step)
    return phase1, max(0, module.total_steps - module.step) - phase1


def remaining_seconds(module: RAVETraining, phases: list[Phase]) -> float:
    return sum(steps * p.seconds for p, steps in zip(phases, remaining_steps(module), strict=True))


@dataclass
class Validations:
    """The validations of a run: `every` so many steps, `seconds` each."""

    every: int
    seconds: float


def measure_validation(module: RAVETraining, clips: list[Clip], every: int, device: torch.device) -> Validations:
    """Times the reconstruction of one sound of the clips' mean length, on a copy, and reckons for all `clips`."""
    length = round(sum(map(len, clips)) / max(1, len(clips)))
    model, distance = copy.deepcopy(module.best_model).to(device), copy.deepcopy(module.distance).to(device)
    seconds = 0.0
    with torch.no_grad():
        for _ in range(2):  # the first warms up
            start = now(device)
            reconstruction_distance(distance, model, 0.1 * torch.randn(1, model.channels, length, device=device))
            seconds = now(device) - start
    return Validations(every, seconds * len(clips))


def now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def peak_memory(device: torch.device) -> float:
    """Peak in MiB: on the GPU since the phase began, or of this process since it started."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    return machine.peak_memory()


def name(device: torch.device) -> str:
    """The device's name and memory, for messages."""
    if device.type != "cuda":
        return "this machine"
    properties = torch.cuda.get_device_properties(device)
    return f"{properties.name}, {properties.total_memory / 2**30:.1f} GiB"


def table(phases: list[Phase]) -> Table:
    rows = [(str(p.phase), f"{p.seconds:.3f}", f"{p.median:.3f}", f"{1 / p.seconds:.2f}", f"{p.samples_per_second:,.0f}",
             f"{p.memory:,.0f}") for p in phases]
    return make_table(("phase", "s/step", "median", "steps/s", "samples/s", "peak MiB"), rows, title="training steps")


def plan(module: RAVETraining, phases: list[Phase], validations: Validations | None = None) -> Table:
    """Remaining steps of a run by phase, and its validations, with time and memory as measured by `probe`."""
    rows = [(str(p.phase), f"{steps:,}", f"{p.seconds:.3f}", duration(steps * p.seconds), f"{p.memory / 1024:.2f} GiB")
            for p, steps in zip(phases, remaining_steps(module), strict=True)]
    total = remaining_seconds(module, phases)
    if validations:
        count = max(0, module.total_steps // validations.every - module.step // validations.every)
        total += count * validations.seconds
        rows.append(("validations", f"{count:,}", f"{validations.seconds:.3f}", duration(count * validations.seconds), ""))
    rows.append(("both", f"{sum(remaining_steps(module)):,}", "", duration(total), ""))
    title = "plan" + (f", {module.run.precision}" if module.run.precision != "auto" else "")
    return make_table(("phase", "steps", "s/step", "takes", "peak memory"), rows, title=title)


def duration(seconds: float) -> str:
    """A duration for people, in its two largest units: "3 h 05 min"."""
    minutes = round(seconds / 60)
    if seconds < 90:
        return f"{seconds:.0f} s"
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours < 48 else f"{hours // 24} d {hours % 24} h"
