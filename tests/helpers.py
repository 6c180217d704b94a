"""What many tests do: force an engine, expect an undefined value, compare bits, run a fresh interpreter."""

import itertools
import os
import re
import subprocess
import sys
import textwrap
from contextlib import contextmanager
from math import isnan

import fastpair
import numpy as np
import pytest
from fastpair import _core

ISAS = tuple(_core.available_isas())
THREADS = (1, 2, 5)


@contextmanager
def using_isa(level):
    """Run the body on one instruction-set level."""
    before = _core.isa()
    _core.set_isa(level)
    try:
        yield level
    finally:
        _core.set_isa(before)


def engines():
    """Step through every instruction-set level and thread count: ``for level, threads in engines()``."""
    for level, threads in itertools.product(ISAS, THREADS):
        with using_isa(level):
            yield level, threads


@contextmanager
def undefined(count=1, *, named=True):
    """Expect one `UndefinedMetricWarning` that names the count, or none for a count of 0."""
    if not count:  # any warning is an error
        yield
        return
    with pytest.warns(fastpair.UndefinedMetricWarning) as record:
        yield
    assert len(record) == 1, [str(w.message) for w in record]
    if named:
        assert re.search(rf"\b{count}\b", str(record[0].message)), str(record[0].message)


def assert_auc(expected, scores, labels, about="", **options):
    """Demand this very float64 (or nan with its warning) as the AUC of one series."""
    with undefined(int(isnan(expected)), named=False):
        value = fastpair.auc(scores, labels, **options)
    assert type(value) is np.float64, about
    assert value == expected or (isnan(expected) and isnan(value)), (about, value, expected)


def assert_values(expected, count, scores, labels, **options):
    """Demand these very values from a batch or from groups; ``count`` of them are undefined."""
    with undefined(count, named=count < 1000):
        values = fastpair.auc(scores, labels, **options)
    assert isinstance(values, np.ndarray)
    assert values.dtype == np.float64
    np.testing.assert_array_equal(values, expected, strict=True)
    return values


def bits(values):
    """Return the value as hexadecimal text, so that a difference in the last bit shows."""
    return np.asarray(values, dtype=">f8").tobytes().hex()


def run_python(script, *arguments, timeout=120, environment=None):
    """Run a script in a fresh interpreter and return its completed process, output captured as text.

    A variable of value None is taken out of the environment.
    """
    variables = {**os.environ, **(environment or {})}
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=timeout,
        env={name: value for name, value in variables.items() if value is not None},
        check=False,
    )


def output_of(script, *arguments, **options):
    """Return what a script prints; it must succeed."""
    done = run_python(script, *arguments, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()
