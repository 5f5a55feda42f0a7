"""The notebooks, run top to bottom in real kernels with few steps; and as they are committed."""

import base64
import io
import re
from pathlib import Path

import nbformat
import numpy as np
import pytest
from PIL import Image

from notebooks.refresh import executed, kept, main, tagged, write

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
BOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
BRIEF = {"STEPS": "12", "HITS": "1", "SHORT": "2"}
MACHINE = re.compile(r"(?<![\w.])/(home|root|tmp|work|Users|mnt|private)/|[A-Z]:\\\\")
each = pytest.mark.parametrize("path", BOOKS, ids=[path.stem for path in BOOKS])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where they run: the model that the first one trains serves them all, and nothing is written elsewhere."""
    made = tmp_path_factory.mktemp("notebooks")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("XDG_CACHE_HOME", "IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR"):
            patch.setenv(name, str(made / name.lower()))
        yield made


def pngs(cell) -> list[np.ndarray]:
    found = [output.data["image/png"] for output in cell.outputs if "image/png" in output.get("data", {})]
    return [np.asarray(Image.open(io.BytesIO(base64.b64decode(png))).convert("L"), float) for png in found]


def test_there_are_four():
    assert [path.stem for path in BOOKS] == ["01_listen", "02_timbre_transfer", "03_small_data", "04_export_live"]


@each
def test_runs(path, folder):
    """No cell fails; there are players and pictures, and what is kept of it is the notebook with its picture alone."""
    text = path.read_text()
    done = executed(path, folder, {name: value for name, value in BRIEF.items() if f"{name} = " in text}, timeout=300)
    code = [cell for cell in done.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell.outputs]
    assert not [output for output in outputs if output.get("name") == "stderr"]
    html = "".join(output.data["text/html"] for output in outputs if "text/html" in output.get("data", {}))
    assert html.count("<audio controls") >= 4
    (cell,) = tagged(done, "picture")
    assert pngs(cell)[-1].std() > 10
    stripped = kept(nbformat.read(path, as_version=4), done)
    assert [c.source for c in stripped.cells] == [c.source for c in nbformat.read(path, as_version=4).cells]
    assert sum(len(c.outputs) for c in stripped.cells if c.cell_type == "code") == 1


@each
def test_is_committed_with_text_and_one_picture(path, tmp_path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    write(kept(notebook, notebook), tmp_path / path.name)
    assert (tmp_path / path.name).read_bytes() == path.read_bytes()
    (cell,) = tagged(notebook, "picture")
    outputs = [output for c in notebook.cells if c.cell_type == "code" for output in c.outputs]
    assert outputs == cell.outputs
    assert [list(output.data) for output in outputs] == [["image/png"]]
    assert len(base64.b64decode(outputs[0].data["image/png"])) < 150_000
    assert pngs(cell)[0].std() > 10
    assert sum(c.cell_type == "markdown" for c in notebook.cells) >= 5
    assert notebook.cells[0].source.startswith("# ")
    assert len(tagged(notebook, "parameters")) == 1


@each
def test_has_no_path_of_a_machine_and_no_dead_link(path):
    notebook = nbformat.read(path, as_version=4)
    assert not MACHINE.search("\n".join(cell.source for cell in notebook.cells))
    assert not MACHINE.search(str(notebook.metadata))
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            for link in re.findall(r"\]\(([^)]+)\)", cell.source):
                assert (path.parent / link).exists(), link


def test_refreshing_twice_changes_nothing(tmp_path, folder):
    """All but the picture goes; settings count for the run and leave no trace."""
    new, path = nbformat.v4, tmp_path / "small.ipynb"
    cells = [new.new_code_cell("SIZE = 2  # inches", metadata={"tags": ["parameters"], "scrolled": True}),
             new.new_code_cell("%matplotlib inline\nfrom matplotlib.figure import Figure\nprint(SIZE)"),
             new.new_code_cell("figure = Figure((SIZE, 1))\nfigure.subplots().plot([1, 3, 2])\nfigure",
                               metadata={"tags": ["picture"]})]
    write(new.new_notebook(cells=cells), path)
    main([str(path), "SIZE=3"])
    once = path.read_bytes()
    notebook = nbformat.reads(once.decode(), as_version=4)
    assert [len(cell.outputs) for cell in notebook.cells] == [0, 0, 1]
    assert notebook.cells[0].source == "SIZE = 2  # inches"
    assert notebook.cells[0].metadata == {"tags": ["parameters"]}
    width = pngs(notebook.cells[2])[0].shape[1]
    main([str(path), "SIZE=3"])
    assert path.read_bytes() == once
    main([str(path)])
    assert pngs(nbformat.read(path, as_version=4).cells[2])[0].shape[1] < 0.8 * width
    with pytest.raises(SystemExit, match="its parameters have no SISE"):
        main([str(path), "SISE=3"])
