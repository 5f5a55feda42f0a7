"""Turns what is typed after a job's name into overrides that Hydra understands."""

import re
import sys
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

TEXT, MANIFEST = "license", "data.manifest"
FILES = {"verify": "file", "live": "file", "bench": "files", "listen": "ckpt"}  # the key of arguments without one
LISTS = ("files", "ckpt")  # keys that may hold several files
NAMES = ("ckpt", "data.cache", "data.root", "input", "inputs", "name", "out", "reference_set", "run", "transfer.from",
         "prior", "continue", "groove")
CLIPS = {"heard": "max_train_clips", "others": "reference_set"}
RUNNER = {f"trainer.{key}": f"runner.{key}" for key in ("precision", "micro_batch", "compile")}
RENAMED = {"evaluate": CLIPS, "listen": CLIPS, "train": RUNNER, "learning-curve": RUNNER, "bench-train": RUNNER}  # until 0.2
ALONE = ("listen", "gallery")  # jobs that are not swept: a comma is part of a name


def named(job: str, arguments: list[str]) -> list[str]:
    """Hydra's overrides from `arguments`: bare file names of some jobs stand for `file='NAME'`, and free text is quoted.

    Also quoted: names that Hydra would take for a number or could not parse (`runs/it's (1)`), the manifest's name
    (browsers call the second `manifest (1).csv`), and each checkpoint to listen to.
    """
    arguments = [renamed(a, RENAMED.get(job.replace("_", "-"), {})) for a in arguments]
    bare = [a for a in arguments if job in FILES and not a.startswith("-") and ("=" not in a or Path(a).exists())]
    overrides = [quoted_value(job, a) for a in arguments if a not in bare]
    if not bare:
        return overrides
    value = ",".join(map(quoted, bare))
    return [f"{FILES[job]}=[{value}]" if FILES[job] in LISTS else f"{FILES[job]}={value}", *overrides]


def renamed(argument: str, words: dict[str, str]) -> str:
    """The override by its present key, old ones by `words`. Says so on standard error where an old one was typed."""
    key, equals, value = argument.partition("=")
    if not equals or key not in words:
        return argument
    print(f"{key}= is now called {words[key]}=; the old word still works in this version", file=sys.stderr)
    return f"{words[key]}={value}"


def quoted_value(job: str, argument: str) -> str:
    key, _, value = argument.partition("=")
    if FILES.get(job) == key == "ckpt":
        return argument if value.startswith("[") else f"{key}=[{','.join(map(quoted, separate(value)))}]"
    if key in (TEXT, MANIFEST) or (key in NAMES and job in ALONE):
        is_sweep = key == MANIFEST and ("," in value or "${" in value)  # for Hydra: a sweep's
        unchanged = (is_sweep or value == "null") and not Path(value).expanduser().is_file()
    else:
        unchanged = key not in NAMES or understood(argument)
    return argument if unchanged else f"{key}={quoted(value)}"


def understood(argument: str) -> bool:
    """Whether Hydra can parse the override, and its value is neither a number nor a truth value."""
    try:
        return not isinstance(OverridesParser.create().parse_override(argument).value(), int | float)
    except HydraException:
        return False


def separate(names: str) -> list[str]:
    """The names between commas; a file whose own name has commas stays one."""
    parts = names.split(",")
    end = next((n for n in range(len(parts), 1, -1) if Path(",".join(parts[:n])).expanduser().exists()), 1)
    first, remaining = ",".join(parts[:end]), ",".join(parts[end:])
    return [name for name in (first, *(separate(remaining) if remaining else [])) if name]


def quoted(text: str) -> str:
    """`text` in quotes, escaped for Hydra's grammar; unchanged if quoted already."""
    if len(text) > 1 and text[0] == text[-1] in "'\"":
        return text
    return "'" + re.sub(r"(\\*)'", r"\1\1\\'", text) + "'"
