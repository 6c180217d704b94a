"""The merge that counts pairs on a GPU, step by step in numpy: compared with the oracle, and with the kernel."""

import importlib

import cases
import numpy as np
import oracle
import pytest
from fastpair._cuda import _source

auc = importlib.import_module("fastpair._cuda.auc")
QUERIES_OF_THREAD = 4
STAGED_BYTES = 24 << 10


def next_place(keys, place, passes):
    """Return the first place from `place` on whose key does not pass: in steps that double, then halves."""
    step = 1
    while place + step <= len(keys) and passes(keys[place + step - 1]):
        place, step = place + step, 2 * step
    low, high = place, min(place + step - 1, len(keys))
    while low < high:
        middle = (low + high) // 2
        low, high = (middle + 1, high) if passes(keys[middle]) else (low, middle)
    return low


def emulated_merge(queries, keys):
    """Return the keys below each query plus those not above it, added up over all: both are sorted, by blocks."""
    total, staged = 0, 0
    for begin in range(0, len(queries), auc.QUERIES_OF_BLOCK):
        block = queries[begin : begin + auc.QUERIES_OF_BLOCK]
        # Two warps find the stretch of keys that matters to the block. It is staged if there is room for it.
        low, high = np.searchsorted(keys, block[0], "left"), np.searchsorted(keys, block[-1], "right")
        stretch = keys[low:high]
        staged += stretch.nbytes <= STAGED_BYTES
        for thread in range(0, len(block), QUERIES_OF_THREAD):
            own = block[thread : thread + QUERIES_OF_THREAD]
            below = upto = np.searchsorted(stretch, own[0], "left")
            for i, query in enumerate(own):
                # From one query to the next it is not far; a query that is tied with the last has its places.
                if i == 0 or query != own[i - 1]:
                    below = next_place(stretch, upto, lambda key, query=query: key < query)
                    upto = next_place(stretch, below, lambda key, query=query: key <= query)
                total += int(2 * low + below + upto)
    return total, staged


def keys_of(scores):
    """Return float32 scores as sorted keys."""
    bits = (scores + np.float32(0)).view(np.uint32)
    return np.sort(np.where(bits >> 31, ~bits + np.uint32(1), bits + np.uint32(1 << 31)).astype(np.uint32))


def gap(n):
    """Return scores of which the negatives lie almost all between two neighbouring positives: nothing to stage."""
    scores = np.linspace(0, 1, n).astype(np.float32)
    return scores, (scores < 0.01) | (scores > 0.99)


PATTERNS = ("normal", "ten_values", "constant", "positives_above", "positives_below", "rare_positives", "signed_zeros")


def merged(case, n):
    """Return sorted keys of positives and negatives of a case, and its area."""
    scores, positive = gap(n) if case == "gap" else cases.make(case, "float32", n)
    return keys_of(scores[positive]), keys_of(scores[~positive]), oracle.counted(scores, positive)


@pytest.mark.parametrize("n", [2, 3, 257, 5000])
@pytest.mark.parametrize("case", PATTERNS)
def test_the_emulation_counts_like_the_oracle(case, n):
    positives, negatives, expected = merged(case, n)
    total, _ = emulated_merge(positives, negatives)
    assert total / (2 * len(positives) * len(negatives)) == expected
    total, _ = emulated_merge(negatives, positives)
    pairs = len(positives) * len(negatives)
    assert (2 * pairs - total) / (2 * pairs) == expected


@pytest.mark.parametrize(("case", "n"), [*((case, 3000) for case in PATTERNS), ("gap", 20_000), ("normal", 20_000)])
def test_the_kernel_is_what_is_emulated(cupy, case, n):
    positives, negatives, expected = merged(case, n)
    total, staged = emulated_merge(positives, negatives)
    assert total / (2 * len(positives) * len(negatives)) == expected
    if case == "gap":
        assert staged == 0
    for dtype in (np.uint32, np.uint64):
        queries, keys = (cupy.asarray(side.astype(dtype)) for side in (positives, negatives))
        for kernel, one, other in (("count_ranks", queries, keys), ("search_ranks", keys, queries)):
            ranks = cupy.zeros(2, np.uint64)
            blocks = -(-len(one) // auc.QUERIES_OF_BLOCK)
            name = f"{kernel}<u{np.dtype(dtype).itemsize * 8}>"
            _source.launch("auc.cu", name, blocks, auc.THREADS, one, len(one), other, len(other), ranks)
            low, high = ranks.get().tolist()
            assert (high << 32) + low == total, kernel
