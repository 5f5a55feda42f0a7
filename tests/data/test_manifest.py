"""The manifest: hits written here or by a spreadsheet are read back; errors name their line."""

import string
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rave_lite import InputError
from rave_lite.data import manifest
from rave_lite.data.manifest import Hit
from tests.sounds import NASTY

times = st.integers(0, 10**6).map(lambda ms: ms / 1000)


@given(st.lists(st.tuples(st.sampled_from(NASTY) | st.text(string.printable, min_size=1), st.integers(1, 40),
                          st.integers(0, 999).map(lambda n: n / 100), st.booleans()), min_size=1, max_size=20))
def test_what_is_written_is_read(tmp_path_factory, values):
    hits = [Hit(file, n / 7 // 0.001 / 1000, n + 1.0, group, score, keep)
            for n, (file, group, score, keep) in enumerate({value[0]: value for value in values}.values())]
    path = tmp_path_factory.mktemp("m") / "manifest.csv"
    manifest.write(path, hits)
    assert manifest.read(path) == [Hit(h.file, round(h.start, 3), h.end, h.group, h.outlier, h.keep) for h in hits]


@pytest.mark.parametrize("text", [
    "file,start,end,keep\na.wav,0,0.5,yes\nb.wav,1,2,NO\n",
    "FILE;Start;end;keep\r\na.wav;0;0,5;TRUE\r\nb.wav;1,0;2;FALSE\r\n",
    "keep\tend\tfile\tstart\n1\t.5\ta.wav\t0\n\n0\t2\tb.wav\t1",
    "\ufefffile,start,end,keep,group,outlier\na.wav,0,5e-1,y,1,1\nb.wav,1,2,n,1,1\n,,,,,\n"])
def test_as_spreadsheets_save_it(tmp_path, text):
    path = tmp_path / "m.csv"
    path.write_bytes(text.encode())
    assert manifest.read(path) == [Hit("a.wav", 0, 0.5), Hit("b.wav", 1, 2, keep=False)]
    assert manifest.load(path) == {"a.wav": [[0, 0.5]]}


@pytest.mark.parametrize(("rows", "message"), [
    ("a.wav,0,1,maybe", "line 2: keep: 'maybe' is neither yes nor no"), ("a.wav,0,1,", "keep: '' is neither"),
    ("a.wav,0,1,yes\na.wav,x,3,yes", "line 3: start: 'x' is no number"), ("a.wav,0,nan,yes", "end: 'nan' is no number"),
    ("a.wav,0,inf,no", "end: 'inf' is no number"), ("a.wav,2,1,yes", "line 2: start 2 s must be .* less than end 1 s"),
    ("a.wav,1,1,yes", "start 1 s must"), ("a.wav,-1,1,yes", "start -1 s must be at least 0"), (",0,1,yes", "file: no name"),
    ("a.wav,0,1", "line 2: 3 values for 4 columns"), ("a.wav,0,1,yes,", "5 values for 4 columns"),
    ('"a.wav,0,1,yes', r"line 2: not CSV \(unexpected end of data\)"), ('a.wav,0,1,"yes"x', "line 2: not CSV"),
    ("a.wav,0,1,yes\nb.wav,0,1,yes\na.wav,.9,2,no", "lines 2 and 4: they overlap in 'a.wav' from 0.9 to 1 s"),
    ("a.wav,0,9,yes\na.wav,1,2,yes", "lines 2 and 3: they overlap in 'a.wav' from 1 to 2 s"),
    ("a.wav,0,1,no", "nothing is kept: none of its 1 rows says yes"), ("", "nothing is kept: none of its 0 rows")])
def test_what_is_wrong_is_named(tmp_path, rows, message):
    (tmp_path / "m.csv").write_text(f"file,start,end,keep\n{rows}\n")
    with pytest.raises(InputError, match=rf"m\.csv.*{message}"):
        manifest.load(tmp_path / "m.csv")


@pytest.mark.parametrize(("header", "message"), [
    ("file,start,end,keep,colour", "column 'colour' is unknown"), ("file,start,keep", "there is no column 'end'"),
    ("file,start,end,keep,end", "column 'end' is there twice"), ("", "there is no column 'file'"),
    ("a.wav,0,1,yes", "line 1: column 'a.wav' is unknown; the columns are file, start, end, group, outlier, keep")])
def test_columns(tmp_path, header, message):
    (tmp_path / "m.csv").write_text(f"{header}\n")
    with pytest.raises(InputError, match=message):
        manifest.read(tmp_path / "m.csv")


def test_no_manifest_at_all(tmp_path):
    with pytest.raises(InputError, match=r"gone\.csv: No such file"):
        manifest.load(tmp_path / "gone.csv")
    with pytest.raises(InputError, match="Is a directory"):
        manifest.load(tmp_path)
    (tmp_path / "latin.csv").write_bytes("file,start,end,keep\né.wav,0,1,yes\n".encode("latin1"))
    with pytest.raises(InputError, match=r"latin\.csv: not UTF-8 text; a spreadsheet saves it as 'CSV UTF-8'"):
        manifest.load(tmp_path / "latin.csv")


@given(st.lists(times, min_size=2, max_size=30, unique=True), st.data())
def test_touching_regions_are_one_and_others_stay_apart(edges, data):
    edges.sort()
    hits = [Hit("a", start, end, keep=data.draw(st.booleans())) for start, end in pairwise(edges)]
    kept = manifest.kept(data.draw(st.permutations(hits))).get("a", [])
    assert sum(end - start for start, end in kept) == pytest.approx(sum(h.end - h.start for h in hits if h.keep))
    assert all(first[1] < second[0] for first, second in pairwise(kept))
    if all(hit.keep for hit in hits):
        assert kept == [[edges[0], edges[-1]]]
