"""`rave-lite JOB [overrides]`, the same as `python -m rave_lite JOB [overrides]`."""

import importlib
import sys
from pathlib import Path

from rave_lite.overrides import quoted

JOBS = {
    "drums": "write the built-in synthetic drum set",
    "curate": "group the hits of a folder, to see, hear and choose which to train on",
    "train": "train a model on a folder of recordings",
    "learning-curve": "does more data help? which recording hurts?",
    "bench-train": "measure how long training steps take, and how much memory",
    "evaluate": "judge a model by recordings it was not trained on",
    "listen": "hear recordings and what models make of them, on one page",
    "gallery": "hear a run learn: the same hits at each checkpoint, on one page",
    "reconstruct": "play sounds through a model",
    "export": "write a model as streaming TorchScript for live hosts",
    "import": "go on from a model of the public release",
    "verify": "check an exported file",
    "bench": "measure how long an exported file takes per block",
    "live": "play through an exported file: microphone to headphones",
}
TEXT, MANIFEST = "license=", "data.manifest="
FILES = {"verify": "file", "live": "file", "bench": "files", "listen": "ckpt"}  # what arguments without a key are
LISTS = ("files", "ckpt")  # of them those that may be several
NAMES = {"listen": ("inputs", "out", "data.root")}  # values of some jobs that are names and need no quotes


def named(job: str, arguments: list[str]) -> list[str]:
    """Hydra's overrides from `arguments`: bare file names of some jobs stand for `file='NAME'`, and free text is quoted.

    A manifest's name is quoted too: browsers call the second `manifest (1).csv`. So are the checkpoints to listen to.
    """
    bare = [a for a in arguments if job in FILES and not a.startswith("-") and ("=" not in a or Path(a).is_file())]
    rest = [quoted_value(job, a) for a in arguments if a not in bare]
    if not bare:
        return rest
    value = ",".join(map(quoted, bare))
    return [f"{FILES[job]}=[{value}]" if FILES[job] in LISTS else f"{FILES[job]}={value}", *rest]


def quoted_value(job: str, argument: str) -> str:
    key, _, value = argument.partition("=")
    if FILES.get(job) == key == "ckpt" and not value.startswith("["):
        return f"{key}=[{','.join(map(quoted, separate(value)))}]"
    if not argument.startswith((TEXT, MANIFEST)) and key not in NAMES.get(job, ()):
        return argument
    a_list = argument.startswith(MANIFEST) and ("," in value or "${" in value)  # for Hydra: a sweep's
    meant = a_list or value == "null"
    return argument if meant and not Path(value).expanduser().is_file() else f"{key}={quoted(value)}"


def separate(names: str) -> list[str]:
    """The names between commas; a file whose own name has commas stays one."""
    parts = names.split(",")
    end = next((n for n in range(len(parts), 1, -1) if Path(",".join(parts[:n])).expanduser().is_file()), 1)
    first, rest = ",".join(parts[:end]), ",".join(parts[end:])
    return [name for name in (first, *(separate(rest) if rest else [])) if name]


def main() -> None:
    """Run one job; its own overrides and --help are Hydra's."""
    asked = sys.argv[1] if len(sys.argv) > 1 else "--help"
    if asked in JOBS:
        sys.argv = [f"rave-lite {asked}", *named(asked, sys.argv[2:])]
        importlib.import_module(f"rave_lite.jobs.{asked.replace('-', '_')}").main()
        return
    print("rave-lite JOB [key=value ...]     rave-lite JOB --help tells more\n")
    for name, what in JOBS.items():
        print(f"  {name:15} {what}")
    if asked not in ("-h", "--help"):
        print(f"\nrave-lite: there is no job {asked!r}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
