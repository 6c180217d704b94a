"""What can be set, what `show_config` says, and the two environment variables."""

import re

import fastpair
import helpers
import numpy as np
import pytest
from fastpair import _core

LEVELS = ("base", "v3", "v4")


def shown(capsys):
    """Return everything `show_config` prints or returns."""
    returned = fastpair.show_config()
    return capsys.readouterr().out + ("" if returned is None else str(returned))


@pytest.fixture
def thread_count():
    """Put the default thread count back afterwards."""
    before = fastpair.get_num_threads()
    yield before
    fastpair.set_num_threads(before)


def test_the_version_is_a_version():
    assert re.match(r"\d+\.\d+\.\d+", fastpair.__version__)


def test_show_config_names_versions_level_and_threads(capsys, thread_count):
    fastpair.set_num_threads(3)
    text = shown(capsys)
    for word in (fastpair.__version__, np.__version__, _core.isa(), "3"):
        assert re.search(rf"(?<![\w.]){re.escape(word)}\b", text), (word, text)
    assert re.search("(?i)thread", text)


def test_show_config_follows_the_level_in_use(capsys, isa):
    assert re.search(rf"\b{isa}\b", shown(capsys))


@pytest.mark.parametrize("count", [1, 2, 7, np.int64(3)])
def test_the_default_thread_count_can_be_set(count, thread_count):
    fastpair.set_num_threads(count)
    assert fastpair.get_num_threads() == count
    assert type(fastpair.get_num_threads()) is int


def test_the_default_thread_count_is_at_least_one():
    assert fastpair.get_num_threads() >= 1


def test_a_count_per_call_leaves_the_default_alone(thread_count):
    fastpair.auc([1.0, 2.0], [0, 1], num_threads=thread_count + 1)
    assert fastpair.get_num_threads() == thread_count


@pytest.mark.parametrize("count", [0, -1])
def test_a_thread_count_below_one_is_refused(count, thread_count):
    with pytest.raises(ValueError, match=rf"{count}\b"):
        fastpair.set_num_threads(count)
    assert fastpair.get_num_threads() == thread_count


@pytest.mark.parametrize("count", [1.5, "2", [2]])
def test_a_thread_count_that_is_no_integer_is_refused(count, thread_count):
    with pytest.raises(TypeError):
        fastpair.set_num_threads(count)
    assert fastpair.get_num_threads() == thread_count


def test_the_level_in_use_is_available():
    available = _core.available_isas()
    assert _core.isa() in available
    assert available == [level for level in LEVELS if level in available]
    assert available[0] == "base"


def test_a_level_can_be_set(isa):
    assert _core.isa() == isa


@pytest.mark.parametrize("level", ["avx2", "", "V3", "v5"])
def test_an_unknown_level_is_refused(level):
    before = _core.isa()
    with pytest.raises(ValueError, match=rf"(?s){level}.*base") as caught:
        _core.set_isa(level)
    assert all(available in str(caught.value) for available in _core.available_isas())
    assert _core.isa() == before


def test_a_level_that_this_machine_lacks_is_refused():
    for level in set(LEVELS) - set(_core.available_isas()):
        with pytest.raises(ValueError, match=rf"(?s){level}.*base"):
            _core.set_isa(level)
        assert_refused({"FASTPAIR_ISA": level}, "FASTPAIR_ISA", level, "base")


REPORT = "import fastpair; print(fastpair._core.isa(), fastpair.get_num_threads())"


@pytest.mark.parametrize("level", _core.available_isas())
def test_the_environment_forces_a_level(level):
    assert helpers.output_of(REPORT, environment={"FASTPAIR_ISA": level}).split()[0] == level


def test_the_best_level_is_the_default():
    assert helpers.output_of(REPORT, environment={"FASTPAIR_ISA": None}).split()[0] == helpers.ISAS[-1]


@pytest.mark.parametrize("count", [1, 3])
def test_the_environment_sets_the_thread_count(count):
    environment = {"FASTPAIR_NUM_THREADS": str(count)}
    assert helpers.output_of(REPORT, environment=environment).split()[1] == str(count)


def assert_refused(environment, *words):
    """Importing, or the first call at the latest, fails and says why."""
    script = REPORT + "; fastpair.auc(range(100_000), [0, 1] * 50_000)"
    done = helpers.run_python(script, environment=environment)
    assert done.returncode == 1, done.stderr
    last = done.stderr.strip().splitlines()[-1]
    assert re.match(r"ValueError|ImportError", last), done.stderr
    assert all(word in last for word in words), last


@pytest.mark.parametrize("level", ["avx512", "V4", "base,v3"])
def test_an_unknown_level_in_the_environment_is_refused(level):
    assert_refused({"FASTPAIR_ISA": level}, "FASTPAIR_ISA", level, *helpers.ISAS)


@pytest.mark.parametrize("count", ["0", "-1", "two", "1.5"])
def test_a_bad_thread_count_in_the_environment_is_refused(count):
    assert_refused({"FASTPAIR_NUM_THREADS": count}, "FASTPAIR_NUM_THREADS", count)
