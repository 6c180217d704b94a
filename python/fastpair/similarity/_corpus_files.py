"""A corpus in files: a directory of the rows, what was packed of them, and a note of what they are.

* ``rows.npy``: the rows as they were given (bfloat16 as uint16, bool of a metric of bits as packed bits), row by row;
* ``packed.npy``: bytes that the kernels made of them for a filter, if there are any;
* ``corpus.json``: the rest, see `_note`.

A directory is written under another name and renamed when it is complete, so a corpus is there as a whole or not at
all. Nothing in it is ever unpickled.
"""

import json
import os
import shutil
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from fastpair._array import kernels_of
from fastpair._embeddings import FILTERS, METRICS, are_largest_best
from fastpair.similarity._admission import Admission
from fastpair.similarity._corpus_rows import CorpusRows, aligned
from fastpair.similarity._search import empty_topk
from fastpair.similarity._sparse import Rows

__all__ = ["read_corpus", "write_corpus"]

_Array: TypeAlias = npt.NDArray[Any]

FORMAT = 1
ROWS, PACKED, NOTE = "rows.npy", "packed.npy", "corpus.json"
BLOCK = 8 << 20
"""Bytes of rows that are copied at a time where they do not follow each other in memory."""
DTYPES = ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "b1")


def write_corpus(path: Path, rows: CorpusRows, overwrite: bool) -> None:
    """Write the rows of a corpus into a new directory, or in place of an older corpus."""
    array = rows.array
    if not isinstance(array, np.ndarray):
        kind = "chunks" if array is None else "sparse rows" if isinstance(array, Rows) else "rows in GPU memory"
        raise TypeError(
            f"a corpus of {kind} cannot be saved; make it of one dense array in host memory or of a numpy.memmap"
        )
    _check_free(path, overwrite)
    if not path.parent.is_dir():
        raise FileNotFoundError(f"path is {str(path)!r}, but there is no directory {str(path.parent)!r}; make it first")
    fresh = _sibling(path, "new")
    try:
        fresh.mkdir()
        _write_array(fresh / ROWS, array.view(np.uint16) if array.dtype.name == "bfloat16" else array)
        if rows.packed is not None:
            _write_array(fresh / PACKED, rows.packed)
        with open(fresh / NOTE, "x", encoding="utf-8") as file:
            json.dump(_note(rows, array), file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        _check_free(path, overwrite)
        if os.path.lexists(path):
            old = _sibling(path, "old")
            path.rename(old)
            try:
                fresh.rename(path)
            except BaseException:
                old.rename(path)
                raise
            shutil.rmtree(old)
        else:
            fresh.rename(path)
    except BaseException:
        shutil.rmtree(fresh, ignore_errors=True)
        raise


def read_corpus(path: Path, mapped: bool) -> CorpusRows:
    """Return the rows of a corpus that was saved, mapped into memory or copied there."""
    note = _read_note(path)
    (count, width), dtype, packed = note["shape"], note["dtype"], None
    stored = np.dtype({"bfloat16": np.uint16, "bits": np.uint8}.get(dtype, dtype))
    array = _read_array(path / ROWS, stored, (count, -(-width // 8) if dtype == "bits" else width), mapped)
    if dtype == "bfloat16":
        try:
            import ml_dtypes
        except ImportError as error:
            raise ImportError(
                f"{path} holds bfloat16 rows, which need ml_dtypes; install it with: pip install 'fastpair[bfloat16]'"
            ) from error
        array = array.view(ml_dtypes.bfloat16)
    if note["packed_bytes"]:
        packed = aligned(_read_array(path / PACKED, np.dtype(np.uint8), (note["packed_bytes"],), mapped))
    rows = CorpusRows.of_files(array, packed, width, note["metric"], note["filter"], dtype == "bits")
    _check_packed(path, rows, array)
    return rows


def _note(rows: CorpusRows, array: _Array) -> dict[str, Any]:
    """Return what is to know of rows; the shape is that before bits were packed."""
    dtype = "bits" if rows.are_bits else "bfloat16" if array.dtype.name == "bfloat16" else array.dtype.str
    return {
        "format": FORMAT,
        "metric": rows.metric,
        "filter": rows.filter,
        "dtype": dtype,
        "shape": [rows.count, rows.width],
        "packed_bytes": 0 if rows.packed is None else rows.packed.nbytes,
    }


def _read_note(path: Path) -> dict[str, Any]:
    """Return the note of a corpus, after a check that all of it can be used."""
    try:
        with open(path / NOTE, encoding="utf-8") as file:
            note = json.load(file)
    except (FileNotFoundError, NotADirectoryError):
        raise ValueError(
            f"path is {str(path)!r}, but there is no {NOTE}; pass a directory that Corpus.save made"
        ) from None
    except (OSError, ValueError, RecursionError) as error:
        raise _damaged(path / NOTE, str(error)) from error
    if not isinstance(note, dict) or type(note.get("format")) is not int:
        raise _damaged(path / NOTE, "it has no number of a format")
    if note["format"] != FORMAT:
        raise ValueError(
            f"{path / NOTE} has format {note['format']}, but this version of fastpair reads format {FORMAT}; use the "
            f"version that saved the corpus, or save it again with this one"
        )
    dtype, shape, size = note.get("dtype"), note.get("shape"), note.get("packed_bytes")
    bits = note.get("metric") in ("hamming", "jaccard")
    checks = {
        "metric": note.get("metric") in METRICS,
        "filter": note.get("filter") in FILTERS,
        "dtype": isinstance(dtype, str)
        and (dtype in ("bfloat16", "bits") or (dtype[:1] in "<>|" and dtype[1:] in DTYPES))
        and (dtype in ("bits", "|u1") if bits else dtype != "bits"),
        "shape": isinstance(shape, list) and len(shape) == 2 and all(type(n) is int and n >= 0 for n in shape),
        "packed_bytes": type(size) is int and size >= 0,
    }
    for name, holds in checks.items():
        if not holds:
            raise _damaged(path / NOTE, f"{name} is {note.get(name)!r}")
    return note


def _write_array(path: Path, array: _Array) -> None:
    """Write rows one after the other, whatever their layout: a search of a file reads single rows."""
    header = {"descr": array.dtype.str, "fortran_order": False, "shape": array.shape}
    step = max(1, BLOCK // max(1, array[:1].nbytes))
    with open(path, "xb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        file.flush()  # what comes goes past the buffer
        for begin in range(0, len(array), step):
            np.ascontiguousarray(array[begin : begin + step]).tofile(file)
        file.flush()
        os.fsync(file.fileno())


def _read_array(path: Path, dtype: np.dtype[Any], shape: tuple[int, ...], mapped: bool) -> _Array:
    """Return an array of just this dtype and shape."""
    try:
        # Nothing can be mapped of a file without rows.
        if mapped and all(shape):
            array = np.asarray(np.lib.format.open_memmap(path, mode="r"))
        else:
            with open(path, "rb") as file:
                array = np.lib.format.read_array(file, allow_pickle=False)
    except MemoryError:
        raise
    except Exception as error:  # whatever numpy makes of a damaged header
        raise _damaged(path, str(error)) from error
    if array.dtype != dtype or array.shape != shape or not array.flags.c_contiguous:
        raise _damaged(path, f"it holds {array.dtype} of shape {array.shape}, not {dtype} of shape {shape}")
    return array


def _check_packed(path: Path, rows: CorpusRows, array: _Array) -> None:
    """Let the kernels look at packed rows, by a search for nothing."""
    if rows.packed is None:
        return
    order = are_largest_best(rows.metric, None)
    rules = Admission().rules(0, len(array))
    try:
        kernels_of(array).topk(
            *(array[:0], array, rows.metric, order, rules, *empty_topk(0, 1, order), None, None, None, None),
            *(rows.filter, rows.packed),
        )
    except ValueError as error:
        raise ValueError(
            f"{path / PACKED} does not fit this version of fastpair or these rows ({error}); pack them anew: "
            f"Corpus(rows, {rows.metric!r}, filter={rows.filter!r}).save(path, overwrite=True) with "
            f"rows = numpy.load({str(path / ROWS)!r})"
        ) from error


def _check_free(path: Path, overwrite: bool) -> None:
    """Demand that nothing is there, or an older corpus alone that may be overwritten."""
    if not os.path.lexists(path):
        return
    if not overwrite:
        raise FileExistsError(f"path is {str(path)!r}, which exists; pass another one, or overwrite=True")
    if not path.is_dir() or path.is_symlink() or {NOTE} - _names(path) or _names(path) - {ROWS, PACKED, NOTE}:
        raise FileExistsError(
            f"path is {str(path)!r}, which is not a saved corpus alone, so it is not overwritten; pass another one"
        )


def _names(path: Path) -> set[str]:
    return {entry.name for entry in path.iterdir()}


def _sibling(path: Path, purpose: str) -> Path:
    """Return a name beside a path that nobody else has."""
    return path.with_name(f".{path.name}.{purpose}-{os.urandom(8).hex()}")


def _damaged(path: Path, reason: str) -> ValueError:
    return ValueError(f"{path} is missing or damaged ({reason}); save the corpus again, or restore the file")
