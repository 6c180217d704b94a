"""Corpora in files: what was saved comes back with the same answers, and what is damaged is refused in words."""

import json
import os
import re
import zipfile

import embeddings
import fastpair
import filters
import numpy as np
import pytest
from fastpair import Corpus, _core
from filters import FILTERS, LOW, assert_same

K = 5


def searches(corpus, x):
    """What a corpus answers."""
    threshold = float(np.median(corpus.topk(x, 20).scores))
    counts = corpus.count(x, threshold)
    return (*corpus.topk(x, K), *corpus.topk(x, K, largest=False), *corpus.radius(x, threshold, sort=True), counts)


def names(path):
    return sorted(entry.name for entry in path.iterdir())


@pytest.mark.parametrize("mmap", [True, False])
@pytest.mark.parametrize("name", FILTERS)
@pytest.mark.parametrize("dtype", embeddings.DTYPES)
def test_a_corpus_comes_back(dtype, name, mmap, tmp_path):
    x, y = filters.rows("gaussian", dtype)
    corpus = Corpus(y, "cosine", filter=name)
    assert corpus.save(tmp_path / "corpus") is None
    expected_files = ["corpus.json", *["packed.npy"] * bool(corpus.packed_nbytes), "rows.npy"]
    assert names(tmp_path / "corpus") == expected_files
    assert names(tmp_path) == ["corpus"]
    again = Corpus.load(str(tmp_path / "corpus"), mmap=mmap)
    assert repr(again) == repr(corpus)
    assert (again.shape, again.metric, again.filter) == (corpus.shape, corpus.metric, name)
    assert again.packed_nbytes == corpus.packed_nbytes
    assert_same(searches(again, x), searches(corpus, x))


@pytest.mark.parametrize("metric", ["dot", "euclidean", "sqeuclidean", "manhattan", "poincare", "lorentz"])
def test_every_metric(metric, tmp_path):
    x, y = filters.rows("gaussian", "float32", metric)
    for name in ("auto", "int8"):
        corpus = Corpus(y, metric, filter=name)
        corpus.save(tmp_path / name)
        assert_same(searches(Corpus.load(tmp_path / name), x), searches(corpus, x))


@pytest.mark.parametrize("metric", ["hamming", "jaccard"])
def test_bits(metric, tmp_path, rng):
    x, y = rng.random((9, 50)) < 0.3, rng.random((173, 50)) < 0.3
    for name, rows in (("bool", y), ("bytes", np.packbits(y, axis=-1))):
        Corpus(rows, metric).save(tmp_path / name)
        again = Corpus.load(tmp_path / name)
        assert again.shape == rows.shape
        assert_same(searches(again, np.packbits(x, axis=-1)), searches(Corpus(y, metric), x))
    bits = Corpus.load(tmp_path / "bool")
    assert_same(searches(bits, x), searches(Corpus(y, metric), x))
    with pytest.raises(ValueError, match="x has 49 columns but y has 50"):
        bits.topk(x[:, :49], K)


@pytest.mark.parametrize("name", ["columns first", "backwards", "broadcast", "swapped bytes", "mapped"])
@pytest.mark.parametrize("block", [1, 1000, 8 << 20])
def test_rows_of_any_layout_are_written_row_by_row(name, block, tmp_path, monkeypatch):
    from fastpair.similarity import _corpus_files

    monkeypatch.setattr(_corpus_files, "BLOCK", block)
    x, y = filters.rows("gaussian", "float32")
    (y + 0).tofile(tmp_path / "file")
    views = {
        "columns first": np.asfortranarray(y),
        "backwards": y[::-1, ::-1],
        "broadcast": np.broadcast_to(y[3], y.shape),
        "swapped bytes": y.astype(">f4"),
        "mapped": np.memmap(tmp_path / "file", np.float32, "r", shape=y.shape),
    }
    corpus = Corpus(views[name], filter="int8")
    corpus.save(tmp_path / "corpus")
    stored = np.load(tmp_path / "corpus" / "rows.npy")
    assert stored.flags.c_contiguous
    np.testing.assert_array_equal(stored, views[name], strict=True)
    assert_same(searches(Corpus.load(tmp_path / "corpus"), x), searches(corpus, x))


@pytest.mark.parametrize("mmap", [True, False])
@pytest.mark.parametrize("shape", [(0, 3), (4, 0), (0, 0), (1, 1)])
def test_small_corpora(shape, mmap, tmp_path):
    for name in ("auto", "int8"):
        corpus = Corpus(np.ones(shape, np.float32), filter=name)
        corpus.save(tmp_path / name)
        again = Corpus.load(tmp_path / name, mmap=mmap)
        x = np.ones((2, shape[1]), np.float32)
        assert_same(again.topk(x, 3), corpus.topk(x, 3))
        assert again.shape == shape


def test_a_mapped_corpus_is_not_read_into_memory(tmp_path):
    y = filters.rows("gaussian", "float32")[1]
    Corpus(y, filter="int8").save(tmp_path / "corpus")
    mapped, held = Corpus.load(tmp_path / "corpus"), Corpus.load(tmp_path / "corpus", mmap=False)
    for corpus, is_mapped in ((mapped, True), (held, False)):
        for array in (corpus._source.array, corpus._source.packed):
            owner = array
            while isinstance(owner, np.ndarray) and not isinstance(owner, np.memmap):
                owner = owner.base
            assert isinstance(owner, np.memmap) == is_mapped
            assert array.ctypes.data % 64 == 0 or array is corpus._source.array


def test_what_was_loaded_is_what_the_search_gets(tmp_path, monkeypatch):
    x, y = filters.rows("gaussian", "float32")
    corpus = Corpus(y, filter="int16")
    corpus.save(tmp_path / "corpus")
    again, kernel, seen = Corpus.load(tmp_path / "corpus"), _core.topk, []

    def recorded(*arguments):
        seen.append(arguments[-2:])
        return kernel(*arguments)

    monkeypatch.setattr(_core, "topk", recorded)
    again.topk(x, K)
    ((name, packed),) = seen
    assert name == "int16"
    assert packed.tobytes() == corpus._source.packed.tobytes()


def test_an_older_corpus_is_replaced_on_demand_only(tmp_path):
    x, y = filters.rows("gaussian", "float32")
    path = tmp_path / "corpus"
    Corpus(y, filter="int8").save(path)
    loaded = Corpus.load(path)
    expected = searches(loaded, x)
    with pytest.raises(FileExistsError, match=r"path is .*corpus'.*exists.*overwrite=True"):
        Corpus(y[:9]).save(path)
    assert len(Corpus.load(path)) == len(y)
    if os.name == "posix":  # elsewhere, files that are mapped cannot be replaced
        loaded.save(path, overwrite=True)
        assert_same(searches(Corpus.load(path), x), expected)
        assert_same(searches(loaded, x), expected)
    del loaded
    Corpus(y[:9], "euclidean").save(path, overwrite=True)
    assert repr(Corpus.load(path)) == "Corpus(shape=(9, 65), metric='euclidean')"
    assert names(tmp_path) == ["corpus"]


@pytest.mark.parametrize("kind", ["file", "empty directory", "another directory", "corpus and more"])
def test_nothing_but_a_corpus_is_replaced(kind, tmp_path):
    path = tmp_path / "there"
    if kind == "file":
        path.write_text("mine")
    elif kind == "corpus and more":
        Corpus(np.eye(3)).save(path)
        (path / "notes.txt").write_text("mine")
    else:
        path.mkdir()
        if kind == "another directory":
            (path / "rows.npy").write_text("mine")
    before = path.read_text() if kind == "file" else names(path)
    for overwrite in (False, True):
        with pytest.raises(FileExistsError, match=r"path is .*there'"):
            Corpus(np.eye(3)).save(path, overwrite=overwrite)
    assert (path.read_text() if kind == "file" else names(path)) == before
    assert names(tmp_path) == ["there"]


def test_a_write_that_fails_leaves_what_was_there(tmp_path, monkeypatch):
    path = tmp_path / "corpus"
    Corpus(np.eye(3)).save(path)

    def fail(*arguments, **options):
        raise OSError("no space left")

    monkeypatch.setattr(json, "dump", fail)
    for target in (path, tmp_path / "other"):
        with pytest.raises(OSError, match="no space left"):
            Corpus(np.eye(4)).save(target, overwrite=True)
    assert names(tmp_path) == ["corpus"]
    assert len(Corpus.load(path)) == 3


def test_a_rename_that_fails_leaves_what_was_there(tmp_path, monkeypatch):
    from pathlib import Path

    path, rename = tmp_path / "corpus", Path.rename
    Corpus(np.eye(3)).save(path)

    def fail(self, target):
        if ".new-" in self.name:
            raise OSError("not now")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises(OSError, match="not now"):
        Corpus(np.eye(4)).save(path, overwrite=True)
    assert names(tmp_path) == ["corpus"]
    assert len(Corpus.load(path)) == 3


def test_no_directory_is_made_but_the_last(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"there is no directory .*missing'"):
        Corpus(np.eye(3)).save(tmp_path / "missing" / "corpus")


def test_only_one_dense_array_is_saved(tmp_path, cupy):
    sparse = pytest.importorskip("scipy.sparse")
    refused = {
        "chunks": Corpus([np.eye(3), np.eye(3)]),
        "chunks ": Corpus(iter([np.eye(3)])),
        "sparse rows": Corpus(sparse.csr_array(np.eye(3))),
        "rows in GPU memory": Corpus(cupy.asarray(np.eye(3))),
    }
    for kind, corpus in refused.items():
        with pytest.raises(TypeError, match=f"a corpus of {kind.strip()} cannot be saved.*one dense array"):
            corpus.save(tmp_path / "corpus")
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    "call",
    [
        lambda path: Corpus(np.eye(3)).save(path, overwrite=1),
        lambda path: Corpus.load(path, mmap="r"),
    ],
)
def test_flags_are_bool(call, tmp_path):
    with pytest.raises(TypeError, match="must be True or False"):
        call(tmp_path / "corpus")


def note(**changes):
    """Change the note of a corpus."""

    def change(path):
        text = json.loads((path / "corpus.json").read_text())
        (path / "corpus.json").write_text(json.dumps({**text, **changes}))

    return change


def content(file, text):
    return lambda path: (path / file).write_bytes(text)


def cut(file, share):
    def shorten(path):
        whole = (path / file).read_bytes()
        (path / file).write_bytes(whole[: int(len(whole) * share)])

    return shorten


def array(file, make):
    return lambda path: np.save(path / file, make(np.load(path / file)), allow_pickle=True)


def zipped(path):
    with zipfile.ZipFile(path / "rows.npy", "w") as file:
        file.writestr("rows", "1")


def changed_bytes(begin, end):
    def change(path):
        packed = np.load(path / "packed.npy")
        packed[begin:end] ^= 0xFF
        np.save(path / "packed.npy", packed)

    return change


class Never:
    """Fails the test if somebody unpickles it."""

    def __reduce__(self):
        return pytest.fail, ("something was unpickled",)


DAMAGES = {
    "nothing there": (lambda path: [entry.unlink() for entry in path.iterdir()], "no corpus.json.*Corpus.save"),
    "no note": (lambda path: (path / "corpus.json").unlink(), "no corpus.json.*Corpus.save"),
    "empty note": (content("corpus.json", b""), "corpus.json is missing or damaged"),
    "half a note": (cut("corpus.json", 0.5), "corpus.json is missing or damaged"),
    "bytes": (content("corpus.json", b"\xff\xfe\x00"), "corpus.json is missing or damaged"),
    "a list": (content("corpus.json", b"[1]"), "corpus.json is missing or damaged"),
    "no format": (content("corpus.json", b"{}"), "corpus.json is missing or damaged"),
    "newer": (note(format=2), "has format 2, but this version of fastpair reads format 1"),
    "format true": (note(format=True), "corpus.json is missing or damaged"),
    "metric": (note(metric="kl"), "metric is 'kl'"),
    "metric of bits": (note(metric="hamming"), "dtype is '<f4'"),
    "filter": (note(filter="fp8"), "filter is 'fp8'"),
    "dtype of objects": (note(dtype="|O8"), r"dtype is '\|O8'"),
    "dtype": (note(dtype="<f3"), "dtype is '<f3'"),
    "no dtype": (note(dtype=None), "dtype is None"),
    "bits": (note(dtype="bits"), "dtype is 'bits'"),
    "another dtype": (note(dtype="<f8"), "rows.npy.*float32.*float64"),
    "shape": (note(shape=[-1, 65]), r"shape is \[-1, 65\]"),
    "sizes": (note(shape=[173.0, 65]), r"shape is \[173.0, 65\]"),
    "one size": (note(shape=173), "shape is 173"),
    "another shape": (note(shape=[172, 65]), r"rows.npy.*\(173, 65\).*\(172, 65\)"),
    "packed bytes": (note(packed_bytes=-1), "packed_bytes is -1"),
    "other packed bytes": (note(packed_bytes=64), "packed.npy.*damaged"),
    "no rows": (lambda path: (path / "rows.npy").unlink(), "rows.npy is missing or damaged"),
    "empty rows": (content("rows.npy", b""), "rows.npy is missing or damaged"),
    "no array": (content("rows.npy", b"rows" * 99), "rows.npy is missing or damaged"),
    "header": (content("rows.npy", b"\x93NUMPY\x01\x00\x10\x00{'descr': (((((\n"), "rows.npy is missing or damaged"),
    "half a header": (content("rows.npy", b"\x93NUMPY\x01\x00\x76\x00{'descr'"), "rows.npy is missing or damaged"),
    "half of the rows": (cut("rows.npy", 0.5), "rows.npy is missing or damaged"),
    "zip": (zipped, "rows.npy is missing or damaged"),
    "pickle": (array("rows.npy", lambda rows: np.array([[Never()]], object)), "rows.npy is missing or damaged"),
    "columns first": (array("rows.npy", np.asfortranarray), "rows.npy is missing or damaged"),
    "flat rows": (array("rows.npy", np.ravel), "rows.npy.*damaged"),
    "no packed rows": (lambda path: (path / "packed.npy").unlink(), "packed.npy is missing or damaged"),
    "half of what is packed": (cut("packed.npy", 0.5), "packed.npy is missing or damaged"),
    "packed numbers": (array("packed.npy", lambda packed: packed.astype(np.int8)), "packed.npy.*damaged"),
    "another layout": (changed_bytes(0, 64), "packed.npy does not fit.*overwrite=True"),
    "zeros": (array("packed.npy", np.zeros_like), "packed.npy does not fit.*overwrite=True"),
}


@pytest.mark.parametrize("mmap", [True, False])
@pytest.mark.parametrize("kind", DAMAGES)
def test_what_is_damaged_is_refused(kind, mmap, tmp_path):
    path, (damage, words) = tmp_path / "corpus", DAMAGES[kind]
    Corpus(filters.rows("gaussian", "float32")[1], filter="int8").save(path)
    damage(path)
    with pytest.raises(ValueError) as caught:
        Corpus.load(path, mmap=mmap)
    assert str(path) in str(caught.value)
    assert re.search(words, str(caught.value)), str(caught.value)


@pytest.mark.parametrize("mmap", [True, False])
def test_what_was_packed_of_other_rows_is_refused(mmap, tmp_path):
    """Of the same number of bytes, but of another shape or metric."""
    y = filters.rows("gaussian", "float32", "cosine", 1, 128, 64)[1]
    for name, other in (("metric", Corpus(y, "euclidean", filter="int8")), ("shape", Corpus(y[:64], filter="int8"))):
        own, foreign = tmp_path / name, tmp_path / f"other {name}"
        Corpus(y, filter="int8").save(own)
        other.save(foreign)
        (own / "packed.npy").write_bytes((foreign / "packed.npy").read_bytes())
        note(packed_bytes=other.packed_nbytes)(own)
        with pytest.raises(ValueError, match=r"packed.npy does not fit.*overwrite=True"):
            Corpus.load(own, mmap=mmap)


def test_what_is_no_directory_is_refused(tmp_path):
    (tmp_path / "file").write_text("{}")
    for path in (tmp_path / "missing", tmp_path / "file"):
        with pytest.raises(ValueError, match=rf"path is .*{path.name}'.*no corpus.json"):
            Corpus.load(path)


@pytest.mark.parametrize("name", LOW)
def test_a_packed_corpus_can_be_made_anew_as_the_error_says(name, tmp_path):
    x, y = filters.rows("gaussian", "float32")
    path = tmp_path / "corpus"
    Corpus(y, filter=name).save(path)
    expected = fastpair.topk(x, y, K)
    changed_bytes(0, 64)(path)
    with pytest.raises(ValueError) as caught:
        Corpus.load(path)
    code = re.search(r"anew: (Corpus\(.*\)\.save\(path, overwrite=True\)) with rows = (numpy.*)$", str(caught.value))
    space = {"Corpus": Corpus, "numpy": np, "path": path}
    space["rows"] = eval(code[2], space)
    eval(code[1], space)
    assert_same(Corpus.load(path).topk(x, K), expected)
