"""Run the notebooks, and keep of all they put out the pictures of cells tagged `picture`:

    python notebooks/refresh.py [STEPS=5000] [notebooks/01_listen.ipynb ...]

Settings count for this execution only: the notebook stays as it is written.
"""

import base64
import io
import sys
from collections.abc import Mapping
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode
from PIL import Image

HERE = Path(__file__).parent
WIDTH, COLOURS = 1000, 128  # of a picture: an eighth of the bytes, and no metadata of versions
METADATA = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"}}


def executed(path: Path, folder: Path, settings: Mapping[str, str], timeout: float = 3600) -> NotebookNode:
    """The notebook run top to bottom in `folder`, its parameters set so. A cell that fails ends it with its traceback."""
    notebook = nbformat.read(path, as_version=4)
    (first,) = tagged(notebook, "parameters")
    for name, value in settings.items():
        if f"{name} = " not in first.source:
            raise SystemExit(f"{path.name}: its parameters have no {name}")
        first.source += f"\n{name} = {value}"
    NotebookClient(notebook, timeout=timeout, kernel_name="python3", resources={"metadata": {"path": str(folder)}}).execute()
    return notebook


def kept(notebook: NotebookNode, done: NotebookNode) -> NotebookNode:
    """`notebook` as it is committed: without outputs but the pictures that `done` made."""
    for cell, ran in zip(notebook.cells, done.cells, strict=True):
        cell.metadata = {"tags": cell.metadata.tags} if "tags" in cell.metadata else {}
        if cell.cell_type == "code":
            cell.execution_count, cell.outputs = None, [picture(ran)] if "picture" in cell.metadata.get("tags", []) else []
    notebook.metadata = nbformat.from_dict(METADATA)
    return notebook


def picture(cell: NotebookNode) -> NotebookNode:
    """The last picture that a cell showed, in few colours."""
    found = [output.data["image/png"] for output in cell.outputs if "image/png" in output.get("data", {})][-1]
    image, out = Image.open(io.BytesIO(base64.b64decode(found))), io.BytesIO()
    if image.mode != "P":  # else it is one that was kept before
        image = image.convert("RGB")
        image.thumbnail((WIDTH, WIDTH))
        image.quantize(COLOURS, dither=Image.Dither.NONE).save(out, "PNG", optimize=True)
        found = base64.b64encode(out.getvalue()).decode()
    return nbformat.v4.new_output("display_data", {"image/png": found.strip()})


def tagged(notebook: NotebookNode, tag: str) -> list[NotebookNode]:
    return [cell for cell in notebook.cells if tag in cell.metadata.get("tags", [])]


def write(notebook: NotebookNode, path: Path) -> None:
    path.write_text(nbformat.writes(notebook, version=4) + "\n", encoding="utf-8")


def main(arguments: list[str]) -> None:
    settings = dict(a.split("=", 1) for a in arguments if "=" in a)
    for path in [Path(a) for a in arguments if "=" not in a] or sorted(HERE.glob("*.ipynb")):
        write(kept(nbformat.read(path, as_version=4), executed(path, path.parent, settings)), path)
        print(path, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
