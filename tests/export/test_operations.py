"""A block dispatches few operations: on a GPU each is a launch, and the card waits for them, not they for the card.

Their number depends neither on the width of a model nor on the device. Every activation waits for the product before it, and
every product for its activation, which torch has no one operation for: 54 and 59 of v2's operations cannot be fewer. A
Snake is three, and the windows of the 32 layers that reach back are then a copy.
"""

import pytest
import torch

from rave_lite.export.torchscript import Live
from tests.conftest import build
from tests.operations import count_operations


def operations(live: Live, streams: int = 1):
    x = 0.1 * torch.randn(streams, 1, live.hop)
    with torch.no_grad():
        for _ in range(3):
            live(x)
        return count_operations(lambda: live(x))


@pytest.mark.parametrize(("model", "precision", "activation", "most"), [
    ("v2", "float32", "leaky_relu", 162), ("v2_small", "float32", "leaky_relu", 177),
    ("low_latency", "float32", "leaky_relu", 166), ("v2", "float16", "leaky_relu", 168), ("v2", "int8", "leaky_relu", 188),
    ("v2_small", "int8", "leaky_relu", 205), ("v2", "float32", "snake", 302), ("v2_small", "int8", "snake", 351)])
def test_a_block_dispatches_few_operations(model, precision, activation, most):
    live = Live(build(f"model={model}", "model.capacity=4", f"model.activation={activation}").eval(), batch_size=2,
                precision=precision).eval()
    counts = operations(live)
    assert sum(counts.values()) <= most, counts


def test_a_steady_block_copies_its_windows_and_its_past_once():
    """No concatenation, no copy of a cache by itself: two gathers and two scatters for all of them."""
    live = Live(build("model=v2", "model.capacity=4").eval(), batch_size=2).eval()
    counts = operations(live)
    assert counts["cat"] == counts["clone"] == 0
    assert counts["copy_"] == 5  # the windows of the four layers that no activation precedes, and the smoothed values
    assert counts["index_copy_"] == 2
