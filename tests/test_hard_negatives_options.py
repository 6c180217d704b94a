"""Draws, teachers, equal rows and memory of `mining.hard_negatives`."""

import re
import sys

import fastpair
import helpers
import numpy as np
import oracle_hard_negatives as oracle
import pytest
from fastpair import mining
from fastpair.mining import _equal_rows
from scipy import sparse
from searches import solved

N, M, K = 30, 200, 5
MIB = 2**20


@pytest.fixture(scope="module")
def problem():
    """Queries, a corpus, all scores and the positives."""
    x, y, scores = solved("gaussian", "float32", "cosine", n=N, m=M, d=12)
    rng = np.random.default_rng(1)
    return x, y, scores, [rng.permutation(M)[: 1 + i % 2].tolist() for i in range(N)]


def admissible(problem, **options):
    _, _, scores, positives = problem
    return oracle.mine(scores, positives, K, **options)["admissible"]


@pytest.mark.parametrize("sample", ["random", "softmax"])
def test_draws_are_of_the_range(problem, sample):
    """Sorted best first, no candidate twice, all of a range of k ranks."""
    x, y, scores, positives = problem
    ranks = admissible(problem, rel_margin=0.2)
    options = {"sample": sample, "rel_margin": 0.2, "seed": 0}
    for low, high in ((0, 20), (7, 60), (3, 3 + K), (0, None), (190, None)):
        found = mining.hard_negatives(x, y, positives, k=K, range=(low, high), **options)
        for row in range(N):
            room = ranks[row][low : low + 100 if high is None else high]
            taken = found.indices[row, : found.counts[row]].tolist()
            assert found.counts[row] == min(K, len(room))
            assert set(taken) <= set(room)
            assert taken == sorted(set(taken), key=room.index)
            np.testing.assert_array_equal(found.scores[row, : len(taken)], scores[row, taken])
        assert (found.indices[:, K - 1] == -1).sum() == found.report.short


def test_draws_of_a_seed(problem):
    x, y, _, positives = problem
    options = {"k": K, "sample": "random", "range": (0, 50)}
    first, again, other = (mining.hard_negatives(x, y, positives, seed=seed, **options).indices for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    rng = np.random.default_rng(1)
    np.testing.assert_array_equal(mining.hard_negatives(x, y, positives, seed=rng, **options).indices, first)
    assert (mining.hard_negatives(x, y, positives, seed=rng, **options).indices != first).any()
    assert (mining.hard_negatives(x, y, positives, **options).indices != first).any()


def test_random_draws_are_uniform():
    """Each of 12 ranks is drawn in 4 of 12 rows, within five standard deviations."""
    x, y = np.ones((6000, 1)), np.arange(20.0)[:, np.newaxis]
    found = mining.hard_negatives(x, y, [[]] * 6000, k=4, metric="dot", range=(3, 15), sample="random", seed=5)
    counts = np.bincount(found.indices.ravel(), minlength=20)
    np.testing.assert_array_equal(np.flatnonzero(counts), np.arange(5, 17))
    assert abs(counts[5:17] - 2000).max() < 5 * np.sqrt(6000 * (1 / 3) * (2 / 3))


@pytest.mark.parametrize("metric", ["dot", "manhattan"])
def test_softmax_draws_by_closeness(metric):
    """One draw follows the softmax of closeness; a low temperature takes the closest, a high one all alike."""
    x, y = np.zeros((20_000, 1)), np.array([[0.0], [1.0], [2.0], [3.0]])
    if metric == "dot":
        x, y = x + 1, -y
    options = {"k": 1, "metric": metric, "sample": "softmax", "seed": 0, "range": (0, 4)}
    for temperature in (0.7, 2.0, 1e6):
        found = mining.hard_negatives(x, y, [[]] * len(x), temperature=temperature, **options)
        expected = np.exp(-np.arange(4) / temperature)
        share = np.bincount(found.indices[:, 0], minlength=4) / len(x)
        np.testing.assert_allclose(share, expected / expected.sum(), atol=5 * 0.5 / np.sqrt(len(x)))
    found = mining.hard_negatives(x, y, [[]] * len(x), temperature=1e-3, **options)
    assert (found.indices == 0).all()


def test_relaxed_rows_of_draws(problem):
    """All that is admissible was drawn, so the rest comes by closeness."""
    x, y, scores, positives = problem
    for sample in ("random", "softmax"):
        found = mining.hard_negatives(
            *(x, y, positives), k=K, range=(0, 40), sample=sample, abs_margin=0.9, fallback="relax", seed=0
        )
        expected = oracle.mine(scores, positives, K, abs_margin=0.9, relax=True)
        some = np.array([len(ranks) <= K for ranks in expected["admissible"]])
        assert some.any()
        np.testing.assert_array_equal(found.indices[some], expected["indices"][some])
        assert (found.counts == K).all()


TEACHER = np.random.default_rng(2).normal(size=(N, M))


@pytest.mark.parametrize("form", ["function", "array", "float32"])
@pytest.mark.parametrize("positive", ["min", "mean", "own"])
@pytest.mark.parametrize("relax", [False, True], ids=["short", "relax"])
def test_a_teacher(problem, form, positive, relax):
    x, y, scores, positives = problem
    teacher = TEACHER.astype(np.float32) if form == "float32" else TEACHER
    given = (lambda rows, columns: teacher[rows, columns].tolist()) if form == "function" else teacher
    rules = {"abs_margin": 0.4, "min_score": -0.5, "positive": positive}
    for low, high in ((0, 30), (2, 9), (0, None)):
        found = mining.hard_negatives(
            *(x, y, positives),
            k=K,
            teacher=given,
            range=(low, high),
            fallback="relax" if relax else "short",
            **rules,
        )
        expected = oracle.mine(
            *(scores, positives, K),
            teacher=teacher.astype(float),
            candidates=100 if high is None else high,
            low=low,
            relax=relax,
            **rules,
        )
        oracle.assert_mined(found, expected)


def test_scores_of_a_teacher_are_no_distances():
    """Larger is closer, whatever the metric is."""
    x, y = [[0.0]], [[1.0], [2.0], [3.0], [4.0]]
    found = mining.hard_negatives(
        *(x, y, [0]), k=2, metric="euclidean", teacher=[[5.0, 1.0, 9.0, 4.0]], abs_margin=1.0, range=(0, 3)
    )
    assert found.indices.tolist() == [[3, 1]]
    assert found.scores.tolist() == [[4.0, 1.0]]
    assert found.positive_scores.tolist() == [5.0]
    assert found.report.abs_margin == 1


EQUAL = np.array([[1, 2], [3, 4], [1, 2], [0.0, 1], [-0.0, 1], [3, 4], [1, 2], [5, 5]])
FIRST = [0, 1, 0, 3, 3, 1, 0, 7]


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "int8", "int64", "bool", ">f4", "bfloat16"])
def test_equal_rows(dtype):
    if dtype == "bfloat16":
        pytest.importorskip("ml_dtypes")
    rows = EQUAL.astype(dtype)
    expected = [min(j for j in range(8) if (rows[j] == rows[i]).all()) for i in range(8)]
    resources = fastpair._validate.parse_resources(None, None)
    for matrix in (rows, np.asfortranarray(rows), np.repeat(rows, 2, axis=1)[:, ::2]):
        assert _equal_rows.first_equal_rows(matrix, resources).tolist() == expected
    assert expected == FIRST or dtype == "bool"
    tight = fastpair._validate.parse_resources(None, 2 * rows.itemsize * 6 * 4)
    assert _equal_rows.first_equal_rows(rows, tight).tolist() == expected


def test_equal_rows_of_sparse():
    matrix = sparse.csr_array(EQUAL)
    matrix.data[:] = matrix.data  # a stored zero is a zero
    stored = sparse.csr_array(
        (np.array([1.0, 2, 0, 1, 0, 1, 3]), np.array([0, 1, 0, 1, 0, 1, 1]), np.array([0, 2, 4, 6, 7])), shape=(4, 2)
    )
    resources = fastpair._validate.parse_resources(None, None)
    for rows in (matrix, stored):
        dense = rows.toarray()
        expected = [min(j for j in range(len(dense)) if (dense[j] == dense[i]).all()) for i in range(len(dense))]
        read = fastpair.similarity._sparse.Rows(rows, "y")
        assert _equal_rows.first_equal_rows(read, resources).tolist() == expected


def test_equal_hashes_of_unequal_rows(monkeypatch, rng):
    """Rows are compared, whatever their hashes are."""
    rows = rng.integers(0, 3, (300, 3)).astype(float)
    resources = fastpair._validate.parse_resources(None, None)
    expected = _equal_rows.first_equal_rows(rows, resources)
    brute = [min(j for j in range(300) if (rows[j] == rows[i]).all()) for i in range(300)]
    assert expected.tolist() == brute
    for modulus in (1, 3):
        monkeypatch.setattr(_equal_rows, "_hashes", lambda part, m=modulus: part[:, 0].astype(np.uint64) % np.uint64(m))
        assert _equal_rows.first_equal_rows(rows, resources).tolist() == brute


def test_hashes_differ_where_rows_do(rng):
    """Numbers whose low bits are all zero, in any order, give no equal hashes."""
    rows = rng.permuted(np.tile(2.0 ** np.arange(-4, 4), (20_000, 1)), axis=1)
    distinct = len(np.unique(rows, axis=0))
    for dtype in (np.float64, np.float32, np.float16):
        assert len(np.unique(_equal_rows._hashes(rows.astype(dtype)))) == distinct


def test_duplicates_are_dropped():
    x, y = np.array([[1.0, 0.0]]), np.array([[1, 0], [0.9, 0.1], [1, 0], [0.9, 0.1], [-0.0, 1], [0.0, 1], [0.5, 0.5]])
    found = mining.hard_negatives(x, y, [2], k=6, duplicates="drop")
    assert found.indices.tolist() == [[1, 6, 4, -1, -1, -1]]
    assert found.report.duplicates == 3
    assert mining.hard_negatives(x, y, [2], k=6).indices.tolist() == [[0, 1, 3, 6, 4, 5]]
    relaxed = mining.hard_negatives(x, y, [2], k=6, duplicates="drop", fallback="relax", max_score=0.5)
    assert relaxed.indices.tolist() == [[4, 1, 6, -1, -1, -1]]


def outcome(x, y, positives, **options):
    """What is mined, or what is said when the call is refused."""
    try:
        return mining.hard_negatives(x, y, positives, k=K, **options), None
    except ValueError as error:
        return None, str(error)


def test_blocks_change_nothing(problem):
    """Neither the number of rows in a block nor memory changes a bit."""
    x, y, _, positives = problem
    labels = np.arange(N) % 4, np.arange(M) % 4
    cases = [
        {"rel_margin": 0.2, "fallback": "relax"},
        {"positive": "own", "abs_margin": 0.1, "max_score": np.linspace(0, 1, N)},
        {"range": (3, None), "query_labels": labels[0], "corpus_labels": labels[1]},
        {"range": (2, 90), "sample": "random", "seed": 4, "duplicates": "drop"},
        {"sample": "softmax", "seed": 4, "positive": "own", "temperature": 0.2},
        {"teacher": lambda rows, columns: np.sin(rows * 3.0 + columns), "abs_margin": 0.1, "fallback": "relax"},
    ]
    for case in cases:
        expected, refused = mining.hard_negatives(x, y, positives, k=K, **case), 0
        for most in (1, 50_000, 300_000, 500_000, 1_000_000, 2**30):
            found, said = outcome(x, y, positives, max_memory=most, num_threads=2, **case)
            if found is None:
                assert re.match(rf"max_memory is {most} bytes, but this call needs \d+ on one thread", said)
                refused += 1
                continue
            for seen, meant in zip(found, expected, strict=True):
                np.testing.assert_array_equal(seen, meant, err_msg=f"{case} {most}")
        assert 0 < refused < 5
    part = mining.hard_negatives(x[7:9], y, positives[7:9], k=K, **cases[0])
    whole = mining.hard_negatives(x, y, positives, k=K, **cases[0])
    np.testing.assert_array_equal(part.scores, whole.scores[7:9])


def test_a_memory_map(problem, tmp_path):
    x, y, _, positives = problem
    for name, rows in (("x", x), ("y", y)):
        mapped = np.memmap(tmp_path / name, rows.dtype, "w+", shape=rows.shape)
        mapped[:] = rows
        mapped.flush()
    x_map, y_map = (np.memmap(tmp_path / name, r.dtype, "r", shape=r.shape) for name, r in (("x", x), ("y", y)))
    for options in ({"duplicates": "drop"}, {"positive": "own", "fallback": "relax"}):
        found = mining.hard_negatives(x_map, y_map, positives, k=K, rel_margin=0.2, **options)
        expected = mining.hard_negatives(x, y, positives, k=K, rel_margin=0.2, **options)
        for seen, meant in zip(found, expected, strict=True):
            np.testing.assert_array_equal(seen, meant)
            assert type(seen) is not np.memmap


def test_progress(problem):
    x, y, _, positives = problem
    for options, rows in (({}, N), ({"positive": "own"}, sum(map(len, positives))), ({"fallback": "relax"}, N)):
        seen = []
        mining.hard_negatives(
            x,
            y,
            positives,
            k=K,
            abs_margin=0.5,
            progress=lambda done, total, s=seen: s.append((done, total)),
            **options,
        )
        assert seen[-1] == (rows * M, rows * M)
        assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_no_queries(problem):
    _, y, _, _ = problem
    for options in ({}, {"positive": "own"}, {"sample": "random"}, {"range": (3, 20), "fallback": "relax"}):
        for positives in ([], np.zeros((0, 3), int), (np.zeros(1, int), np.zeros(0, int))):
            found = mining.hard_negatives(np.zeros((0, 12)), y, positives, k=K, rel_margin=0.1, **options)
            assert found.indices.shape == found.scores.shape == (0, K)
            assert found.counts.shape == found.positive_scores.shape == (0,)
            assert sum(found.report) == K


def test_the_report_in_words():
    x, y = np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([[0.8, 0.6], [0.6, 0.8], [1, 0], [-1, 0], [1, 0.1]])
    found = mining.hard_negatives(x, y, [0, 1], k=2, rel_margin=0.05, exclude=[[], [3]])
    assert str(found.report) == (
        "4 negatives for 2 queries, 2 each; no row is short\ndropped pairs: 2 positive, 1 excluded, 2 within rel_margin"
    )
    found = mining.hard_negatives(x, y, [[0, 1], [1]], k=4, positive="own", max_score=0.0, fallback="relax")
    assert str(found.report).startswith("10 negatives for 2 queries (3 rows), 4 each; 2 rows are short; 6 break a rule")


CHILD = """
import sys
import numpy as np
from fastpair import mining

def status(field):
    with open("/proc/self/status") as lines:
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field))

name, most = sys.argv[1], int(sys.argv[2]) or None
rng = np.random.default_rng(0)
n, m, d = {"top": (30_000, 5000, 32), "own": (6000, 4000, 256)}.get(name, (8000, 6000, 32))
x, y = rng.standard_normal((n, d), np.float32), rng.standard_normal((m, d), np.float32)
y[m // 2 :] = y[: m - m // 2]
options = {
    "top": {"rel_margin": 0.1},
    "skip": {"range": (300, None), "abs_margin": 0.1},
    "own": {"positive": "own", "fallback": "relax", "max_score": -0.9},
    "random": {"range": (0, 1000), "sample": "random", "seed": 0},
    "softmax": {"range": (0, 1000), "sample": "softmax", "seed": 0},
    "teacher": {"range": (0, 1000), "teacher": lambda rows, columns: np.sin(rows + columns)},
    "duplicates": {"duplicates": "drop"},
}[name]

def call(x):
    return mining.hard_negatives(x, y, np.arange(len(x)) % m, k=8, max_memory=most, num_threads=2, **options)

call(x[:40])
before = status("VmRSS")
with open("/proc/self/clear_refs", "w") as reset:
    reset.write("5")
found = call(x)
print(status("VmHWM") - before - found.indices.nbytes - found.scores.nbytes - found.positive_scores.nbytes)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/self/status")
@pytest.mark.parametrize("name", ["top", "skip", "own", "random", "softmax", "teacher", "duplicates"])
@pytest.mark.parametrize("most", [16, 64])
def test_the_bound_holds(name, most):
    """Pools of all queries would take 128 MiB; lists of positives are input that is copied."""
    taken = int(helpers.output_of(CHILD, name, most * MIB if most != 64 else 0))
    assert taken <= (most + 6) * MIB, f"{taken / MIB:.1f} MiB"
