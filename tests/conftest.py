"""Fixtures that run a test once per instruction-set level, thread count or score dtype."""

import os

import cases
import helpers
import libraries
import numpy as np
import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(
    "ci",
    derandomize=True,
    deadline=None,
    database=None,
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
settings.register_profile("thorough", settings.get_profile("ci"), derandomize=False, max_examples=2000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


@pytest.fixture(params=helpers.ISAS)
def isa(request):
    """Every instruction-set level that this machine has, one after the other."""
    with helpers.using_isa(request.param) as level:
        yield level


@pytest.fixture(params=helpers.THREADS, ids="threads{}".format)
def threads(request):
    """One thread, two, and more than the work divides into evenly."""
    return request.param


@pytest.fixture(params=cases.DTYPES)
def dtype(request):
    """Every dtype that scores may have, by name."""
    cases.as_dtype(request.param)  # skips bfloat16 where ml_dtypes is missing
    return request.param


@pytest.fixture
def rng(request):
    """Random numbers that are the same in every run of a test."""
    return cases.generator(request.node.name)


@pytest.fixture
def cupy():
    """CuPy where there is a GPU, else the stand-in that runs the same kernels on the processor."""
    with libraries.cupy_or_stand_in() as library:
        yield library


@pytest.fixture(params=["numpy", "cupy"])
def xp(request):
    """The library of the arrays: what a test does with numpy, it does with CuPy too."""
    return np if request.param == "numpy" else request.getfixturevalue("cupy")
