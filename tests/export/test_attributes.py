"""What hosts send to attributes: strings, parsed by nn~'s rules, and every number there is."""

import math
import random
import re
import statistics
import time
from collections.abc import Callable

import pytest
import torch

from rave_lite.export.torchscript import load
from tests.conftest import build
from tests.models import written

RANGES = {"scale": (-100, 100), "bias": (-1000, 1000), "noise": (0, 10), "noise_on": (0, 1), "seed": (-(2**53), 2**53),
          "dry_wet": (0, 1), "gain": (0, 16), "from_silence": (0, 1), "reset": (0, 0), "learn_source": (0, 1),
          "reset_source": (0, 0), "source_seconds": (1, 3600), "calibrate": (0, 1), "envelope": (0, 1),
          "learn_target": (0, 1), "reset_target": (0, 0), "adapt": (0, 1)}
NUMBERS = [math.nan, math.inf, -math.inf, 0.0, -0.0, 1.0, -1.0, 0.5, 1e308, -1e308, 3.5e38, 5e-324, 1e-40, 2.0**31, 2.0**63,
           10**300, -(10**300), 10**18 + 1, True, False]


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    model = build("model=tiny", "model.capacity=4", "model.adaptive_norm=true").eval()
    with torch.no_grad():
        model.decoder.waveform.weight = 20 * model.decoder.waveform.weight
    return written(model, tmp_path_factory.mktemp("attributes"))


@pytest.fixture(scope="module")
def shared(file):
    """A loaded file whose attributes each test leaves as they were."""
    return load(file)


def nn_tilde(live, name: str, text: str, version: str = "1.6.0") -> int:
    """Set an attribute as nn~ does with a word of a message; what a C++ exception is there is one here.

    1.6.0 and 1.5.6 parse alike; 1.5.6 throws where a setter returns other than 0.
    """
    (code,) = getattr(live, f"{name}_params").tolist()
    code_returned = getattr(live, f"set_{name}")({0: to_bool, 1: stoi, 2: stof}[code](text))
    if version == "1.5.6" and code_returned != 0:
        raise RuntimeError(f"terminate called: set_{name} refused {text}")
    return code_returned


def to_bool(text: str) -> bool:
    """std::boolalpha: words, no numbers."""
    return text.lower() == "true"


def stoi(text: str) -> int:
    """std::stoi: the leading digits, 32 bits."""
    value = int(re.match(r"\s*[+-]?\d+", text)[0])
    if not -(2**31) <= value < 2**31:
        raise OverflowError(text)
    return value


def stof(text: str) -> float:
    """std::stof: single precision; overflow throws, as do denormal results."""
    value = float(text)
    rounded = torch.tensor(value, dtype=torch.float64).float().item()
    if math.isfinite(value) and (math.isinf(rounded) or 0 < abs(value) < 2.0**-126):
        raise OverflowError(text)
    return rounded


def pure_data(value: float) -> str:
    """A number as Pure Data's nn~ writes it: std::to_string of a float."""
    return f"{torch.tensor(value, dtype=torch.float64).float().item():f}"


@pytest.mark.parametrize("version", ["1.6.0", "1.5.6"])
def test_numbers_of_pure_data_arrive(file, version):
    live = load(file)
    for name in live.get_attributes():
        for value in (0.0, 1.0):
            assert nn_tilde(live, name, pure_data(value), version) == 0
            low, high = RANGES[re.sub(r"_\d+", "", name)]
            assert getattr(live, f"get_{name}")() == (min(max(value, low), high),)
    for value in NUMBERS:
        for name in live.get_attributes():
            assert nn_tilde(live, name, pure_data(float(value)), version) == 0


def test_switches_switch(file):
    """noise_on and reset do what their numbers say, not only read back."""
    live = load(file)
    silence, sound = torch.zeros(1, 1, 8 * live.hop), 0.3 * torch.randn(1, 1, 8 * live.hop)

    def first(text: str) -> torch.Tensor:
        nn_tilde(live, "noise_on", text)
        live.reset()
        return live(silence)

    assert not torch.equal(first("0.000000"), first("1.000000"))
    assert torch.equal(first("1"), first("1.000000"))
    assert torch.equal(first("0"), first("0.000000"))
    live.reset()
    fresh = live(sound)
    for text, again in (("0.000000", False), ("nan", False), ("1.000000", True)):
        nn_tilde(live, "reset", text)
        assert torch.equal(live(sound), fresh) == again


def test_true_and_false_are_numbers_too(file):
    live = load(file)
    assert live.set_noise_on(False) == live.set_reset(True) == 0
    assert live.get_noise_on() == (0.0,)
    live.set_noise_on(True)
    assert live.get_noise_on() == (1.0,)
    assert live.set_seed(123456789) == 0
    assert live.get_seed() == (123456789.0,)


@pytest.mark.parametrize("value", NUMBERS)
def test_setters_take_every_number(shared, value):
    for name in shared.get_attributes():
        put, get = getattr(shared, f"set_{name}"), getattr(shared, f"get_{name}")
        low, high = RANGES[re.sub(r"_\d+", "", name)]
        (before,) = get()
        assert put(value) == 0
        (after,) = get()
        if not math.isfinite(value):
            assert after == before
        elif name in ("noise_on", "from_silence", "learn_source", "learn_target"):
            assert after == (value > 0)
        elif name == "seed":
            assert after == min(max(int(value), low), high)
        else:
            assert after == pytest.approx(min(max(float(value), low), high), abs=1e-6)
        put(before)


def test_a_thousand_random_settings_between_blocks(file):
    """The sound stays finite, and the file plays as before once all attributes are back."""
    live, dice = load(file), random.Random(0)
    names = live.get_attributes()
    defaults = {name: getattr(live, f"get_{name}")()[0] for name in names}
    x = 0.3 * torch.randn(1, 1, 8 * live.hop)
    live.reset()
    expected = live(x)
    for _ in range(250):
        for name in dice.sample(names, 4):
            assert getattr(live, f"set_{name}")(dice.choice([*NUMBERS, dice.gauss(0, 1), dice.gauss(0, 1000)])) == 0
        with torch.inference_mode():
            assert live(8 * torch.randn(1, 1, live.hop)).isfinite().all()
    for name, value in defaults.items():
        getattr(live, f"set_{name}")(value)
    assert live.set_reset_target(1.0) == 0  # else it plays with what it has learned
    live.reset()
    assert torch.equal(live(x), expected)


def milliseconds(call: Callable[[], object]) -> float:
    """Of this thread's own time: others use the machine, too."""
    start = time.thread_time()
    call()
    return 1000 * (time.thread_time() - start)


def test_nothing_compiles_after_loading(file):
    """Once a host has asked for the methods, even first calls are short; in one of three loads."""
    blocks, attributes = [], []
    for _ in range(3):
        live = load(file)
        methods, words = live.get_methods(), []
        for name in live.get_attributes():
            (value,) = getattr(live, f"get_{name}")()
            words += [milliseconds(lambda: getattr(live, f"set_{name}")(value)) for _ in range(2)]  # noqa: B023
        attributes.append(words)
        with torch.inference_mode():
            for name in methods:
                channels, ratio, _, _ = getattr(live, f"{name}_params").tolist()
                x = 0.1 * torch.randn(1, channels, live.hop // ratio)
                first, *later = [milliseconds(lambda: getattr(live, name)(x)) for _ in range(24)]  # noqa: B023
                blocks.append((name, first - 5 * statistics.median(later)))
    shortest = list(map(min, zip(*attributes, strict=True)))
    assert max(shortest) < 2.0, attributes
    assert statistics.median(shortest) < 0.1, attributes  # the thousandth call: 0.006
    for name in methods:
        assert min(excess for method, excess in blocks if method == name) < 10, blocks


def test_asking_for_the_methods_leaves_no_trace(file):
    """A fresh file plays as if it had not been compiled, and one that plays is not interrupted."""
    live, asked, x = load(file), load(file), 0.3 * torch.randn(1, 1, 4 * load(file).hop)
    asked.set_gain(0.5)
    asked.get_methods()
    assert asked.get_gain() == (0.5,)
    asked.set_gain(1.0)
    asked.reset()
    first, second = x.chunk(2, -1)
    expected = live(first), live(second)
    assert torch.equal(asked(first), expected[0])
    again = load(file)
    again(first)
    again.get_methods()
    assert torch.equal(again(second), expected[1])
