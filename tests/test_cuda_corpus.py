"""`Corpus` and `TopkState` on the GPU: however the rows are cut, the answers are those of one search."""

import pickle
from itertools import pairwise

import fastpair
import numpy as np
import oracle_similarity as oracle
import pytest
from libraries import has_gpu, on_device, on_host
from searches import assert_found, solved

N, M, D, K = 7, 90, 9, 5
CUTS = (0, 13, 14, 50, M)


def chunks(xp, y):
    return [xp.asarray(y[a:b]) for a, b in pairwise(CUTS)]


@pytest.fixture(params=["gaussian", "duplicated"])
def data(request):
    return solved(request.param, "float32", "cosine", N, M, D)


def corpora(xp, y):
    parts = chunks(xp, y)
    return {"array": xp.asarray(y), "list": parts, "function": lambda: iter(parts), "iterator": iter(parts)}


@pytest.mark.parametrize("form", ["array", "list", "function", "iterator"])
def test_a_corpus_in_any_form(form, data, xp, rng):
    x, y, scores = data
    mask, labels = rng.random((N, M)) < 0.6, rng.integers(0, 3, M)
    bits = np.packbits(mask, axis=-1)
    own = labels[:N]
    given = on_device(xp, {"mask": bits, "x_labels": own, "y_labels": labels, "same_label": False})
    allowed = oracle.admitted(scores, mask=mask, x_labels=own, y_labels=labels, same_label=False)
    queries = xp.asarray(x)
    assert_found(
        on_host(fastpair.Corpus(corpora(xp, y)[form]).topk(queries, K, **given)), scores, K, True, allowed, form
    )
    for sort in (False, True):
        hits = on_host(fastpair.Corpus(corpora(xp, y)[form]).radius(queries, 0.1, sort=sort, **given))
        for seen, meant in zip(hits, oracle.radius(scores, 0.1, True, allowed, best_first=sort), strict=True):
            np.testing.assert_array_equal(seen, meant)


def test_queries_of_the_other_library_are_refused(data, cupy):
    x, y, _ = data
    for corpus, queries in ((fastpair.Corpus(cupy.asarray(y)), x), (fastpair.Corpus(y), cupy.asarray(x))):
        with pytest.raises(TypeError, match=r"x is in .* memory, but the rows of the corpus are in .* memory"):
            corpus.topk(queries, K)
    with pytest.raises(TypeError, match=r"x is in GPU memory .*, but y is a numpy.ndarray in host memory"):
        fastpair.Corpus(lambda: iter([y])).topk(cupy.asarray(x), K)


def test_states_take_parts_in_any_order_and_merge(data, xp):
    x, y, scores = data
    states = [fastpair.TopkState(N, K), fastpair.TopkState(N, K)]
    for i, chunk in enumerate(chunks(xp, y)):
        states[i % 2].update(xp.asarray(x), chunk, offset=CUTS[i])
    if xp is np or has_gpu():  # the stand-in cannot be pickled
        states[1] = pickle.loads(pickle.dumps(states[1]))
    states[0].merge(states[1])
    states[0].merge(fastpair.TopkState(N, K))
    assert_found(on_host(states[0].result()), scores, K, True)
    empty = fastpair.TopkState(N, K)
    empty.merge(states[0])
    assert_found(on_host(empty.result()), scores, K, True)


def test_a_state_stays_where_it_is(data, cupy):
    x, y, _ = data
    here, there = fastpair.TopkState(N, K), fastpair.TopkState(N, K)
    here.update(x, y)
    there.update(cupy.asarray(x), cupy.asarray(y))
    with pytest.raises(TypeError, match="these rows are in GPU memory, but those entered before were in host memory"):
        here.update(cupy.asarray(x), cupy.asarray(y))
    with pytest.raises(TypeError, match="these rows are in GPU memory"):
        here.merge(there)
    with pytest.raises(TypeError, match="these rows are in host memory"):
        there.update(x, y)
