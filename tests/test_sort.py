"""The engine's vector sort against numpy's: every small size, the edges of its blocks, hostile patterns."""

import cases
import helpers
import numpy as np
import pytest
from fastpair import _core

GUARD = 40
KEYS = ("uint32", "uint64")

PATTERNS = {
    "random": lambda rng, n, top: cases.between(rng, n, 0, top),
    "one_value": lambda rng, n, top: cases.pick(rng, n, top // 3),
    "two_values": lambda rng, n, top: cases.pick(rng, n, 5, top // 3),
    "three_values": lambda rng, n, top: cases.pick(rng, n, 0, top // 2, top),
    "ten_values": lambda rng, n, top: cases.between(rng, n, 0, 9) * (top // 9),
    "square_root_values": lambda rng, n, top: cases.between(rng, n, 0, int(n**0.5)),
    "ascending": lambda rng, n, top: np.arange(n).astype(object) * (top // (n + 1)),
    "descending": lambda rng, n, top: np.arange(n)[::-1].astype(object) * (top // (n + 1)),
    "organ_pipe": lambda rng, n, top: np.minimum(np.arange(n), np.arange(n)[::-1]),
    "sawtooth": lambda rng, n, top: np.arange(n) % 37,
    "nearly_sorted": lambda rng, n, top: np.arange(n) + rng.integers(0, 5, n),
    "sorted_but_last": lambda rng, n, top: np.roll(np.arange(n), -1),
    "all_largest": lambda rng, n, top: cases.pick(rng, n, top),
    "all_zero": lambda rng, n, top: cases.pick(rng, n, 0),
    "mostly_one_value": lambda rng, n, top: np.where(rng.random(n) < 0.9, 7, cases.between(rng, n, 0, top)),
    "zero_and_largest": lambda rng, n, top: (np.arange(n) % 2).astype(object) * top,
    "ends_of_the_range": lambda rng, n, top: cases.pick(rng, n, 0, 1, top // 2, top // 2 + 1, top - 1, top),
    "single_bits": lambda rng, n, top: cases.pick(rng, n, *(1 << k for k in range(top.bit_length()))),
    "low_bits": lambda rng, n, top: cases.between(rng, n, 0, 255),
    "high_bits": lambda rng, n, top: cases.between(rng, n, 0, 255) * (top // 255),
}


def near(*sizes):
    return sorted({size + step for size in sizes for step in (-1, 0, 1)})


POWERS_OF_TWO = near(*(2**k for k in range(10, 17)))
MULTIPLES_OF_16 = near(608, 912, 1520, 3056, 5008, 9104, 16_400, 33_008, 50_000, 70_000)


def assert_sorts(keys, offset):
    """Sort a copy that lies inside a larger array; the neighbours must not change."""
    guard = keys.dtype.type(0xA5A5A5A5)
    room = np.full(len(keys) + offset + GUARD, guard)
    inside = room[offset : offset + len(keys)]
    inside[:] = keys
    _core.sort(inside)
    assert inside.tobytes() == np.sort(keys).tobytes()
    assert (room[:offset] == guard).all()
    assert (room[offset + len(keys) :] == guard).all()


def keys_of(pattern, dtype, n):
    top = int(np.iinfo(dtype).max)
    return PATTERNS[pattern](cases.generator(pattern, n), n, top).astype(dtype)


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("pattern", PATTERNS)
def test_sorts_every_size_up_to_600(pattern, key, isa):
    for n in range(601):
        assert_sorts(keys_of(pattern, key, n), offset=n % 18)


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("pattern", PATTERNS)
def test_sorts_sizes_around_powers_of_two_and_of_whole_vectors(pattern, key, isa):
    for n in (*POWERS_OF_TWO, *MULTIPLES_OF_16):
        assert_sorts(keys_of(pattern, key, n), offset=n % 18)


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("pattern", ["random", "ten_values", "mostly_one_value", "organ_pipe"])
def test_sorts_more_than_a_million_keys(pattern, key, isa):
    assert_sorts(keys_of(pattern, key, 1_500_001), offset=1)


@pytest.mark.parametrize("key", KEYS)
def test_sorts_at_every_alignment(key, isa):
    for offset in range(1, 18):
        for n in (15, 16, 17, 63, 64, 255, 1000, 5001):
            assert_sorts(keys_of("random", key, n), offset)


@pytest.mark.parametrize("key", KEYS)
def test_every_level_leaves_the_same_bytes(key):
    keys = keys_of("square_root_values", key, 20_000)
    results = set()
    for _ in helpers.engines():
        mine = keys.copy()
        _core.sort(mine)
        results.add(mine.tobytes())
    assert results == {np.sort(keys).tobytes()}


@pytest.mark.parametrize(
    "keys",
    [
        pytest.param(np.arange(9, dtype=np.float32)[::-1].copy(), id="float"),
        pytest.param(np.arange(9, dtype=np.uint16)[::-1].copy(), id="narrow"),
        pytest.param(np.arange(18, dtype=np.uint32)[::-2], id="strided"),
        pytest.param([3, 2, 1], id="list"),
    ],
)
def test_refuses_what_it_cannot_sort_in_place(keys):
    before = list(keys)
    with pytest.raises((TypeError, ValueError)):
        _core.sort(keys)
    assert list(keys) == before
