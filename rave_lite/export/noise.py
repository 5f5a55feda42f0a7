"""The noise of a block in fewer operations: the samples of `SeededNoise` for all sources, the filters of `NoiseSynth`."""

import math

import torch
from torch import Tensor, nn

from rave_lite.layers.noise import NoiseSynth, SeededNoise, hash32, multiplied, row_keys


class BlockNoise(nn.Module):
    """Draws what `SeededNoise` draws: one hash for all sources; radius and cosine, of 16 bits each, from tables.

    `sources`: each with its rate, samples for each latent frame. `gain`: of each channel of all sources, beside the
    amount that a player sets. `position`: latent frames so far.
    """

    gain: Tensor
    amount: Tensor
    position: Tensor
    rows: Tensor
    times: Tensor
    radius: Tensor
    cosine: Tensor
    channels: list[int]
    rates: list[int]
    salts: list[int]

    def __init__(self, sources: list[tuple[SeededNoise, int]], gain: Tensor, batch_size: int):
        super().__init__()
        self.channels, self.rates = [source.channels for source, _ in sources], [rate for _, rate in sources]
        self.salts = [source.salt for source, _ in sources]
        self.batch_size = batch_size
        halves = torch.arange(65536).float()
        amounts = [source.amount.float().expand(source.channels) for source, _ in sources]
        buffers = {"gain": gain, "amount": gain * torch.cat(amounts), "position": torch.zeros((), dtype=torch.int64),
                   "rows": torch.zeros(sum(self.channels) * batch_size, dtype=torch.int64),
                   "times": torch.zeros(2, 0, dtype=torch.int64),  # of each sample: its time in the block, and its rate
                   "radius": torch.sqrt(-2 * torch.log((halves + 0.5) / 65536)),
                   "cosine": torch.cos(halves * (2 * math.pi / 65536))}
        for name, value in buffers.items():
            self.register_buffer(name, value.clone(), persistent=False)
        self.set_seed(0)

    def set_amount(self, value: float) -> None:
        self.amount.copy_(self.gain * value)

    def set_seed(self, value: int) -> None:
        """Restart from a seed."""
        at, seed = 0, torch.full_like(self.position, value)
        for channels, salt in zip(self.channels, self.salts):  # noqa: B905  (TorchScript)
            rows = self.rows[at : at + self.batch_size * channels]
            rows.copy_(row_keys(seed, len(rows), salt))
            at += len(rows)
        self.position.zero_()

    def forward(self, frames: int, streams: int, targets: list[Tensor]) -> None:
        """Write the noise of `frames` latent frames to a target for each source, `(T, B, channels)`."""
        if self.times.shape[1] != frames * sum(self.rates):
            self._count(frames)
        times = hash32(torch.addcmul(self.times[0], self.times[1], self.position))
        keys, row, time = [], 0, 0
        for channels, rate in zip(self.channels, self.rates):  # noqa: B905  (TorchScript)
            rows = self.rows[row : row + streams * channels]
            keys.append((times[time : time + frames * rate].view(-1, 1) + rows).view(-1))
            time, row = time + frames * rate, row + self.batch_size * channels
        bits = multiplied(torch.cat(keys) if len(keys) > 1 else keys[0])
        high = bits >> 16
        low = (bits ^ high) & 65535
        noise = self.radius.index_select(0, high) * self.cosine.index_select(0, low)
        at, channel = 0, 0
        for target in targets:
            count, channels = target.numel(), target.shape[2]
            torch.mul(noise[at : at + count].view(target.shape), self.amount[channel : channel + channels], out=target)
            at, channel = at + count, channel + channels
        self.position.add_(frames)

    def _count(self, frames: int) -> None:
        device = self.position.device
        times = torch.cat([torch.arange(frames * rate, device=device) for rate in self.rates])
        rates = torch.cat([torch.full([frames * rate], rate, device=device) for rate in self.rates])
        self.times = torch.stack([times, rates])


class NoiseFilter(nn.Module):
    """The filters of `NoiseSynth` as one product for all frames and bands: from amplitudes to taps everything is linear."""

    taps: Tensor
    floor: Tensor
    mask: Tensor

    def __init__(self, synth: NoiseSynth, dtype: torch.dtype):
        super().__init__()
        self.frame, self.filter_bands, self.framewise = synth.frame, synth.filter_bands, synth.framewise

        def kernel(amplitude: Tensor) -> Tensor:
            response = synth.impulse_response(amplitude) * synth.window.float()
            return synth.frame_kernel(response) / 3**0.5 if synth.framewise else response

        taps, floor = kernel(2 * torch.eye(self.filter_bands)), kernel(torch.full((self.filter_bands,), 1e-7))
        self.reach = taps.shape[1] - 1  # earlier samples that a sample depends on
        time = torch.arange(self.frame)
        mask = time.view(-1, 1) + torch.arange(taps.shape[1]) >= self.reach  # samples of the same frame
        for name, value in (("taps", taps), ("floor", floor), ("mask", mask)):
            self.register_buffer(name, value.to(dtype), persistent=False)

    def forward(self, amplitude: Tensor, noise: Tensor, target: Tensor) -> None:
        """`(T / frame, B, n_bands * filter_bands)` before its sigmoid, and noise `(T, B, n_bands)` that is `reach` late."""
        frames, (streams, bands) = amplitude.shape[0], noise.shape[1:]
        response = torch.addmm(self.floor, amplitude.sigmoid_().pow_(2.3).view(-1, self.filter_bands), self.taps)
        step = streams * bands
        windows = noise.as_strided([frames, streams, bands, self.frame, self.reach + 1],
                                   [self.frame * step, bands, 1, step, step])
        products = windows * response.view(frames, streams, bands, 1, -1)
        if self.framewise:
            products = products * self.mask
        torch.sum(products, [4], out=target.view(frames, self.frame, streams, bands).permute(0, 2, 3, 1))
