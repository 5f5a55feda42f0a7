"""What is typed after a job's name, as overrides that Hydra understands."""

import re
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

TEXT, MANIFEST = "license", "data.manifest"
FILES = {"verify": "file", "live": "file", "bench": "files", "listen": "ckpt"}  # what arguments without a key are
LISTS = ("files", "ckpt")  # of them those that may be several
NAMES = ("ckpt", "data.cache", "data.root", "input", "inputs", "name", "others", "out", "run", "transfer.from")
ALONE = ("listen", "gallery")  # jobs that are not swept: a comma is part of a name


def named(job: str, arguments: list[str]) -> list[str]:
    """Hydra's overrides from `arguments`: bare file names of some jobs stand for `file='NAME'`, and free text is quoted.

    So are names that would be a number to Hydra or nothing it can read (`runs/it's (1)`), a manifest's name (browsers call
    the second `manifest (1).csv`), and each of the checkpoints to listen to.
    """
    bare = [a for a in arguments if job in FILES and not a.startswith("-") and ("=" not in a or Path(a).is_file())]
    rest = [quoted_value(job, a) for a in arguments if a not in bare]
    if not bare:
        return rest
    value = ",".join(map(quoted, bare))
    return [f"{FILES[job]}=[{value}]" if FILES[job] in LISTS else f"{FILES[job]}={value}", *rest]


def quoted_value(job: str, argument: str) -> str:
    key, _, value = argument.partition("=")
    if FILES.get(job) == key == "ckpt":
        return argument if value.startswith("[") else f"{key}=[{','.join(map(quoted, separate(value)))}]"
    if key in (TEXT, MANIFEST) or (key in NAMES and job in ALONE):
        a_list = key == MANIFEST and ("," in value or "${" in value)  # for Hydra: a sweep's
        as_it_is = (a_list or value == "null") and not Path(value).expanduser().is_file()
    else:
        as_it_is = key not in NAMES or understood(argument)
    return argument if as_it_is else f"{key}={quoted(value)}"


def understood(argument: str) -> bool:
    """Whether Hydra takes the value of an override for something else than a number or a truth value."""
    try:
        return not isinstance(OverridesParser.create().parse_override(argument).value(), int | float)
    except HydraException:
        return False


def separate(names: str) -> list[str]:
    """The names between commas; a file whose own name has commas stays one."""
    parts = names.split(",")
    end = next((n for n in range(len(parts), 1, -1) if Path(",".join(parts[:n])).expanduser().is_file()), 1)
    first, rest = ",".join(parts[:end]), ",".join(parts[end:])
    return [name for name in (first, *(separate(rest) if rest else [])) if name]


def quoted(text: str) -> str:
    """As Hydra's grammar undoes it; what is in quotes already stays."""
    if len(text) > 1 and text[0] == text[-1] in "'\"":
        return text
    return "'" + re.sub(r"(\\*)'", r"\1\1\\'", text) + "'"
