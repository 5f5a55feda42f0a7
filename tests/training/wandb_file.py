"""Reads a .wandb file, which is a log in LevelDB's format of wandb's protobuf records; wandb itself reads it in Go."""

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from wandb.proto.wandb_internal_pb2 import Record

BLOCK, HEADER = 32768, 7  # bytes; of the file and of each fragment
WHOLE, LAST = 1, 4  # kinds of fragments that end a record


def records(path: Path) -> Iterator[Record]:
    """In order; what a kill cut short at the end is left out."""
    data, at, parts = path.read_bytes(), HEADER, b""
    assert data[:4] == b":W&B"
    while at + HEADER <= len(data):
        if BLOCK - at % BLOCK < HEADER:
            at += BLOCK - at % BLOCK
            continue
        _, length, kind = struct.unpack_from("<IHB", data, at)
        parts += data[at + HEADER : at + HEADER + length]
        at += HEADER + length
        if kind in (WHOLE, LAST) and at <= len(data):
            yield Record.FromString(parts)
            parts = b""


def history(path: Path) -> list[dict[str, Any]]:
    """The rows that were logged, by key."""
    rows = [record.history.item for record in records(path) if record.HasField("history")]
    return [{item.key or ".".join(item.nested_key): json.loads(item.value_json) for item in row} for row in rows]


def settings(path: Path) -> dict[str, Any]:
    """The configuration, as it was when it was last changed."""
    config: dict[str, Any] = {}
    for record in records(path):
        update = record.config if record.HasField("config") else record.run.config if record.HasField("run") else None
        config |= {item.key: json.loads(item.value_json) for item in update.update} if update else {}
    return config


def summary(path: Path) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for record in records(path):
        if record.HasField("summary"):
            values |= {item.key or ".".join(item.nested_key): json.loads(item.value_json) for item in record.summary.update}
    return values
