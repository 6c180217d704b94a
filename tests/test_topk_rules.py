"""Which pairs count in a search: masks, lists, labels and limits act within it, in every form that they come in."""

import fastpair
import helpers
import numpy as np
import oracle_similarity as oracle
import pytest
from searches import RULES, K, M, N, assert_found, rules, solved


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("metric", ["cosine", "euclidean", "manhattan"])
@pytest.mark.parametrize("pattern", ["gaussian", "duplicated"])
def test_rules_act_inside_the_search(name, metric, pattern, isa, rng):
    x, y, scores = solved(pattern, "float32", metric)
    given, meant = rules(name, rng, N, M, scores)
    allowed = oracle.admitted(scores, **meant)
    for largest in (True, False):
        for threads in helpers.THREADS:
            found = fastpair.topk(x, y, K, metric=metric, largest=largest, num_threads=threads, **given)
            assert_found(found, scores, K, largest, allowed)


@pytest.mark.parametrize("metric", oracle.BITS)
def test_rules_of_bits(metric, isa, rng):
    x, y = rng.random((N, 50)) < 0.3, rng.random((M, 50)) < 0.3
    scores = oracle.pairwise(x, y, metric)
    for name in RULES:
        given, meant = rules(name, rng, N, M, scores)
        allowed = oracle.admitted(scores, **meant)
        assert_found(fastpair.topk(x, y, K, metric=metric, **given), scores, K, False, allowed, name)


def test_excluded_columns_in_every_form(rng):
    scipy_sparse = pytest.importorskip("scipy.sparse")
    x, y, scores = solved("gaussian", "float32", "cosine")
    lists = [rng.permutation(M)[: rng.integers(0, 20)].tolist() for _ in range(N)]
    indptr = np.concatenate([[0], np.cumsum([len(part) for part in lists])])
    indices = np.array([j for part in lists for j in part])
    cells = np.zeros((N, M))
    for i, part in enumerate(lists):
        cells[i, part] = 1
    padded = np.full((N, 20), -1)
    for i, part in enumerate(lists):
        padded[i, : len(part)] = part
    forms = {
        "lists": lists,
        "arrays": [np.array(part, np.uint16) for part in lists],
        "pair": (indptr, indices),
        "pair of lists": (indptr.tolist(), indices.tolist()),
        "int32 pair": (indptr.astype(np.int32), indices.astype(np.int32)),
        "padded": padded,
        "csr_matrix": scipy_sparse.csr_matrix(cells),
        "coo_array": scipy_sparse.coo_array(cells),
        "stored zeros": scipy_sparse.csr_array((np.zeros(len(indices)), indices, indptr), shape=(N, M)),
    }
    before = indices.copy()
    allowed = oracle.admitted(scores, exclude=lists)
    for name, exclude in forms.items():
        assert_found(fastpair.topk(x, y, K, exclude=exclude), scores, K, True, allowed, name)
    np.testing.assert_array_equal(indices, before)


def test_what_was_found_can_be_excluded():
    x, y, _ = solved("gaussian", "float32", "cosine")
    first = fastpair.topk(x, y, 3)
    second = fastpair.topk(x, y, 3, exclude=first.indices)
    both = fastpair.topk(x, y, 6)
    np.testing.assert_array_equal(np.hstack([first.indices, second.indices]), both.indices)


def test_rules_of_a_single_query():
    x, y, scores = solved("gaussian", "float32", "cosine")
    labels = np.arange(M) % 3
    allowed = oracle.admitted(scores[:1], exclude=[[1, 2, 3]], x_labels=[2], y_labels=labels, same_label=True)
    expected = oracle.topk(scores[:1], K, True, allowed)
    for exclude, label in (([3, 1, 2], 2), ([[1, 2, 3]], [2]), (np.array([2, 3, 1]), np.int64(2))):
        found = fastpair.topk(x[0], y, K, exclude=exclude, x_labels=label, y_labels=labels, same_label=True)
        np.testing.assert_array_equal(found.indices, expected[1][0])


def test_labels_of_two_kinds_of_integers_and_of_objects():
    x, y, scores = solved("gaussian", "float32", "cosine")
    codes = np.arange(N) % 3, np.arange(M) % 4
    allowed = oracle.admitted(scores, x_labels=codes[0], y_labels=codes[1], same_label=True)
    forms = [
        (codes[0].astype(a), codes[1].astype(b)) for a, b in (("i1", "u8"), ("u8", "i8"), ("f4", "i2"), ("O", "O"))
    ]
    forms.append(([str(v) for v in codes[0]], np.array([str(v) for v in codes[1]], object)))
    forms.append(([(v, "a") for v in codes[0]], None))
    for own, others in forms[:-1]:
        found = fastpair.topk(x, y, K, x_labels=own, y_labels=others, same_label=True)
        assert_found(found, scores, K, True, allowed)
    large = np.array([2**63 + 1, 2**63], np.uint64)
    found = fastpair.topk(x, y, K, x_labels=large[codes[0] % 2], y_labels=large[codes[1] % 2], same_label=True)
    allowed = oracle.admitted(scores, x_labels=codes[0] % 2, y_labels=codes[1] % 2, same_label=True)
    assert_found(found, scores, K, True, allowed)


def test_labels_of_x_serve_for_y_if_y_is_x():
    x, _, _ = solved("gaussian", "float32", "cosine")
    labels = [("even", "odd")[i % 2] for i in range(N)]
    scores = oracle.pairwise(x, x, "cosine")
    allowed = oracle.admitted(scores, exclude_self=True, x_labels=labels, y_labels=labels, same_label=True)
    found = fastpair.topk(x, k=4, exclude_self=True, x_labels=labels, same_label=True)
    assert_found(found, scores, 4, True, allowed)


def test_a_large_mask_is_packed_in_parts(monkeypatch, rng):
    from fastpair.similarity import _search

    x, y, scores = solved("gaussian", "float32", "cosine")
    mask = rng.random((N, M)) < 0.5
    monkeypatch.setattr(_search, "MOST_MASK_BYTES", 300)
    done = []
    found = fastpair.topk(x, y, K, mask=mask, progress=lambda *seen: done.append(seen))
    assert_found(found, scores, K, True, oracle.admitted(scores, mask=mask))
    assert done == sorted(done)
    assert done[-1] == (N * M, N * M)
    assert len(done) > 1
