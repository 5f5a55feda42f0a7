"""Audio files whose header says a wrong length: written to a pipe, cut short, or by a recorder that lost power."""

import os
import struct
import sys
from dataclasses import dataclass
from typing import Any, NamedTuple

UNKNOWN = 0x7FFF0000  # bytes: programs that write to a pipe say this length or a larger one


class Container(NamedTuple):
    """How a format lays out its chunks. `first`: byte of the first one; `size`: `struct` format of a chunk's length.

    `header`: bytes before a chunk's content, which its length counts if `whole`. `data`: the chunk of the samples, which
    begin with `extra` other bytes.
    """

    first: int
    size: str
    header: int
    data: bytes
    pad: int = 1
    whole: bool = False
    extra: int = 0


RIFF = Container(12, "<I", 8, b"data", pad=2)
CONTAINERS = {b"RIFF": RIFF, b"RF64": RIFF, b"BW64": RIFF, b"FORM": Container(12, ">I", 8, b"SSND", pad=2, extra=8),
              b"caff": Container(8, ">Q", 12, b"data", extra=4),
              b"riff": Container(40, "<Q", 24, b"data", pad=8, whole=True)}  # Sony's wave64


@dataclass
class Mended:
    """A file as it should be: bytes of `raw`, some of them replaced by `patches`, by position.

    `said`, `there`: the length of the samples by the header, None if it gives none, and in truth; bytes.
    """

    raw: Any
    patches: dict[int, bytes]
    said: int | None
    there: int

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return self.raw.seek(offset, whence)

    def tell(self) -> int:
        return self.raw.tell()

    def readinto(self, buffer: Any) -> int:
        start = self.raw.tell()
        count = self.raw.readinto(buffer) or 0
        for position, patch in self.patches.items():
            for at, byte in enumerate(patch, position - start):
                if 0 <= at < count:
                    buffer[at] = bytes([byte])
        return count

    def note(self, seconds: float) -> str:
        """What was wrong, for people. `seconds`: the length in truth."""
        said = "no length" if self.said is None else f"{seconds * self.said / self.there:.2f} s"
        return f"wrong header: it says {said}; the {seconds:.2f} s there are read"


def mended(raw: Any) -> Mended | None:
    """The open file `raw` with a right length in its header; None if nothing is wrong with it, or no format known here.

    Wrong is a length of samples beyond the end of the file, or none although no other chunk follows.
    """
    end, magic = raw.seek(0, os.SEEK_END), _read(raw, 0, 4)
    if magic == b".snd":
        at, said = struct.unpack(">II", _read(raw, 4, 8).ljust(8, b"\0"))
        is_wrong = at < end and (said == 0 or end - at < said < 0xFFFFFFFF)  # which is its word for an unknown length
        return _mended(raw, {8: struct.pack(">I", min(end - at, UNKNOWN))}, said, end - at) if is_wrong else None
    container = CONTAINERS.get(magic)
    if container is None:
        return None
    position, long_sizes = container.first, None
    while chunk := _chunk(raw, container, position):
        name, at, said = chunk
        if name == container.data:
            break
        if name == b"ds64":
            long_sizes = at
        position = at + -(-said // container.pad) * container.pad
    else:
        return None
    if long_sizes:
        said = struct.unpack("<Q", _read(raw, long_sizes + 8, 8).ljust(8, b"\0"))[0]
    there, width = end - at, struct.calcsize(container.size)
    if said <= there and (said > container.extra or _follows(raw, container, at + said, end)):
        return None
    if long_sizes:
        patches = {long_sizes: struct.pack("<QQ", end - 8, there), at - 4: b"\xff" * 4}
    else:
        size = there + (container.header if container.whole else 0)
        patches = {at - width: struct.pack(container.size, min(size, 256**width - 1))}
    return _mended(raw, patches, said - container.extra, there - container.extra)


def _mended(raw: Any, patches: dict[int, bytes], said: int, there: int) -> Mended | None:
    return Mended(raw, patches, said if 0 < said < UNKNOWN else None, there) if there > 0 else None


def _chunk(raw: Any, container: Container, position: int) -> tuple[bytes, int, int] | None:
    """Name, first byte and length of the content of the chunk at `position`; None if there is none."""
    head = _read(raw, position, container.header)
    if len(head) < container.header or not head[:4].decode("latin-1").isprintable():
        return None
    size = struct.unpack(container.size, head[-struct.calcsize(container.size) :])[0]
    return head[:4], position + container.header, max(0, size - container.header) if container.whole else size


def _follows(raw: Any, container: Container, position: int, end: int) -> bool:
    """Whether the file ends at `position`, or has a chunk there that ends within the file."""
    chunk = _chunk(raw, container, position)
    return position >= end or (chunk is not None and chunk[1] + chunk[2] <= end)


def _read(raw: Any, position: int, count: int) -> bytes:
    buffer = bytearray(count)
    raw.seek(min(position, sys.maxsize))
    return bytes(buffer[: raw.readinto(buffer) or 0])
