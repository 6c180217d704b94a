"""false_negative_filter: each rule by its definition, their combination, forms of positives, blocks."""

import re
import tracemalloc

import numpy as np
import pytest
import scipy.sparse
from fastpair._pair_sets import CompressedRows, Coordinates
from fastpair.mining import _values
from fastpair.mining._false_negative_filter import false_negative_filter
from fastpair.mining._iqr_filter import iqr_filter
from hypothesis import given
from hypothesis import strategies as st

FORMS = ("diagonal", "column", "mask", "scores")


def naive(
    scores,
    positive,
    *,
    reference,
    ignore=None,
    max_score=np.inf,
    abs_margin=-np.inf,
    rel_margin=-np.inf,
    judge=None,
    band=(-np.inf, np.inf),
    facts=(),
    clusters=None,
    eps=None,
    quantile=None,
    iqr=None,
    least=0,
):
    """The definition, pair by pair; positives are a mask, and the score to compare with is given."""
    keep = np.zeros(scores.shape, bool)
    for row, line in enumerate(scores):
        out = np.zeros(len(line), bool) if ignore is None else ignore[row]
        candidates = [c for c in range(len(line)) if line[c] > -np.inf and not positive[row, c] and not out[c]]
        ordered = sorted(line[c] for c in candidates)
        ceiling = max_score
        if reference[row] < np.inf:
            ceiling = min(ceiling, reference[row] - abs_margin)
            if rel_margin > -np.inf:
                ceiling = min(ceiling, reference[row] - abs(reference[row]) * rel_margin)
        possible = [c for c in candidates if not any(codes[0][row] == codes[1][c] for codes in facts)]
        kept = []
        for c in possible:
            good = line[c] <= ceiling and (eps is None or line[c] < 1 - eps)
            good &= clusters is None or clusters[0][row] != clusters[1][c]
            good &= judge is None or band[0] <= judge[row, c] <= band[1]
            good &= quantile is None or line[c] <= ordered[min(int(quantile * len(ordered)), len(ordered) - 1)]
            if iqr is not None:
                found = iqr_filter(ordered, iqr)
                good &= found.low <= line[c] <= found.high
            if good:
                kept.append(c)
        back = sorted((c for c in possible if c not in kept), key=lambda c: (line[c], c))
        kept += back[: max(0, least - len(kept))]
        keep[row, kept] = True
    return keep | positive


def batch(rng, form="diagonal", rows=9, columns=12):
    """Scores with many ties, and positives in one of the forms: as a mask, their lowest scores, as an argument."""
    scores = rng.integers(-8, 9, (rows, columns)) / 8
    mask = np.zeros((rows, columns), bool)
    if form == "diagonal":
        mask[np.arange(rows), np.arange(rows)] = True
        options = {}
    elif form == "column":
        places = rng.integers(-1, columns, rows)
        places[0] = -1
        mask[places >= 0, places[places >= 0]] = True
        options = {"positives": places}
    elif form == "mask":
        mask = rng.random((rows, columns)) < 0.2
        mask[0] = False
        options = {"positives": mask}
    else:
        reference = rng.integers(-8, 9, rows) / 8
        reference[0] = np.inf
        return scores, mask, reference, {"positive_scores": reference}
    return scores, mask, np.where(mask, scores, np.inf).min(axis=1), options


def test_a_worked_example():
    scores = np.array([[0.8, 0.9, 0.79, 0.7], [0.5, -0.4, -0.31, -0.45]])
    keep = false_negative_filter(scores)
    assert keep.all()
    assert false_negative_filter(scores, abs_margin=0.05).tolist() == [[1, 0, 0, 1], [0, 1, 0, 1]]
    assert false_negative_filter(scores, abs_margin=-0.1).tolist() == [[1, 1, 1, 1], [0, 1, 1, 1]]
    assert false_negative_filter(scores, max_score=[0.75, -0.42]).tolist() == [[1, 0, 0, 1], [0, 1, 0, 1]]
    assert false_negative_filter(scores, rel_margin=0.05).tolist() == [[1, 0, 0, 1], [0, 1, 0, 1]]


def test_limits_themselves_are_kept():
    scores = [[0.5, 0.25, 0.25 + 2**-40]]
    assert false_negative_filter(scores, abs_margin=0.25).tolist() == [[1, 1, 0]]
    assert false_negative_filter(scores, rel_margin=0.5).tolist() == [[1, 1, 0]]
    assert false_negative_filter(scores, max_score=0.25).tolist() == [[1, 1, 0]]
    assert false_negative_filter([[0.5, 0.75, 0.75 - 2**-40]], duplicates=0.25).tolist() == [[1, 0, 1]]


@pytest.mark.parametrize("reference", [-0.5, 0.0, 0.5])
def test_the_relative_margin_is_below_the_positive_for_every_sign(reference):
    scores = np.array([[reference, reference, reference - 0.03, reference + 0.03]])
    keep = false_negative_filter(scores, rel_margin=0.05)
    assert keep.tolist() == [[True, reference == 0, True, False]]


@pytest.mark.parametrize("form", FORMS)
def test_margins_of_minus_infinity_keep_everything(form, rng):
    scores, _mask, _reference, options = batch(rng, form)
    assert false_negative_filter(scores, **options, abs_margin=-np.inf, rel_margin=-np.inf).all()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("least", [0, 1, 3])
def test_the_definition(form, least, rng, monkeypatch):
    monkeypatch.setattr(_values, "MOST_CELLS", 30)
    for _ in range(20):
        scores, mask, reference, options = batch(rng, form)
        rows, columns = scores.shape
        ignore = (rng.random(scores.shape) < 0.1) & ~mask
        judge = rng.integers(0, 5, scores.shape)
        labels, ids, clusters = ((rng.integers(0, top, rows), rng.integers(0, top, columns)) for top in (6, 9, 4))
        found = false_negative_filter(
            scores,
            **options,
            ignore=ignore,
            max_score=0.875,
            abs_margin=0.125,
            rel_margin=0.25,
            judge_scores=judge,
            band=(1, None),
            same_label=labels,
            same_id=ids,
            same_cluster=clusters,
            duplicates=0.25,
            quantile=0.75,
            iqr=1.0,
            keep_at_least=least,
        )
        expected = naive(
            scores,
            mask,
            reference=reference,
            ignore=ignore,
            max_score=0.875,
            abs_margin=0.125,
            rel_margin=0.25,
            judge=judge,
            band=(1, np.inf),
            facts=(labels, ids),
            clusters=clusters,
            eps=0.25,
            quantile=0.75,
            iqr=1.0,
            least=least,
        )
        np.testing.assert_array_equal(found, expected)


RULES = {
    "max_score": ({"max_score": 0.25}, {"max_score": 0.25}),
    "abs_margin": ({"abs_margin": -0.25}, {"abs_margin": -0.25}),
    "rel_margin": ({"rel_margin": 0.5}, {"rel_margin": 0.5}),
    "duplicates": ({"duplicates": 0.5}, {"eps": 0.5}),
    "quantile": ({"quantile": 0.5}, {"quantile": 0.5}),
    "nothing": ({"quantile": 0}, {"quantile": 0}),
    "everything": ({"quantile": 1}, {"quantile": 1}),
    "iqr": ({"iqr": 0.5}, {"iqr": 0.5}),
}


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("form", FORMS)
def test_each_rule_alone(rule, form, rng):
    scores, mask, reference, options = batch(rng, form, 20, 25)
    given, meaning = RULES[rule]
    found = false_negative_filter(scores, **options, **given)
    np.testing.assert_array_equal(found, naive(scores, mask, reference=reference, **meaning))


@given(
    st.integers(0, 6),
    st.integers(1, 6),
    st.integers(0, 4),
    st.one_of(st.none(), st.floats(-1, 1)),
    st.one_of(st.none(), st.floats(-1, 1)),
    st.randoms(use_true_random=False),
)
def test_positives_stay_and_rows_are_filled(rows, columns, least, absolute, relative, random):
    rng = np.random.default_rng(random.getrandbits(32))
    scores, mask, _reference, options = batch(rng, "mask", rows + 1, columns)
    keep = false_negative_filter(scores, **options, abs_margin=absolute, rel_margin=relative, keep_at_least=least)
    assert keep[mask].all()
    negatives = (keep & ~mask).sum(axis=1)
    assert (negatives >= np.minimum(least, (~mask).sum(axis=1))).all()


@pytest.mark.parametrize(("positive", "reference"), [("min", 0.25), ("mean", 0.5), ("max", 0.75)])
def test_rows_of_several_positives(positive, reference):
    scores = np.array([[0.25, 0.75, 0.3, 0.6, 0.9, 0.1], [0.0, 0.0, 5.0, 0.0, 0.0, 0.0]])
    mask = np.array([[1, 1, 0, 0, 0, 0], [0] * 6], bool)
    keep = false_negative_filter(scores, mask, positive=positive, abs_margin=0)
    np.testing.assert_array_equal(keep[0], mask[0] | (scores[0] <= reference))
    assert keep[1].all()  # no positive, no margin


@pytest.mark.parametrize("form", ["bits", "csr", "coo", "sparse"])
def test_pairs_in_every_format(form, rng):
    scores, mask, _reference, _options = batch(rng, "mask", 9, 13)
    ignore = (rng.random(scores.shape) < 0.2) & ~mask

    def pairs(mask):
        rows, columns = np.nonzero(mask)
        if form == "bits":
            return np.packbits(mask, axis=1)
        if form == "coo":
            return Coordinates(rows, columns)
        if form == "sparse":
            return scipy.sparse.csr_array(mask)
        return CompressedRows(np.concatenate([[0], np.cumsum(mask.sum(axis=1))]), columns)

    expected = false_negative_filter(scores, mask, ignore=ignore, abs_margin=0.1)
    found = false_negative_filter(scores, pairs(mask), ignore=pairs(ignore), abs_margin=0.1)
    np.testing.assert_array_equal(found, expected)


def test_codes_of_rows_are_those_of_their_positives():
    scores = np.zeros((2, 4))
    ids = ["a", "b", "a", "c"]
    assert false_negative_filter(scores, same_id=ids).tolist() == [[1, 1, 0, 1], [1, 1, 1, 1]]
    assert false_negative_filter(scores, [2, -1], same_id=ids).tolist() == [[0, 1, 1, 1], [1, 1, 1, 1]]
    assert false_negative_filter(scores, [2, -1], duplicates=ids).tolist() == [[0, 1, 1, 1], [1, 1, 1, 1]]
    hashes = (["x", "c"], ids)
    assert false_negative_filter(scores, duplicates=hashes).tolist() == [[1, 1, 1, 1], [1, 1, 1, 0]]
    own = false_negative_filter(np.zeros((3, 3)), np.eye(3, k=1, dtype=bool), same_label=[7, 7, 8])
    assert own.tolist() == [[0, 1, 1], [0, 0, 1], [1, 1, 0]]


def test_facts_never_come_back():
    scores = np.zeros((1, 3))
    keep = false_negative_filter(scores, same_id=[1, 1, 2], max_score=-1, keep_at_least=2)
    assert keep.tolist() == [[True, False, True]]


def test_padded_lists_of_candidates():
    scores = np.array([[0.9, 0.5, -np.inf], [0.2, -np.inf, -np.inf]])
    keep = false_negative_filter(scores, positive_scores=[0.6, 0.1], abs_margin=0.0, keep_at_least=1)
    assert keep.tolist() == [[False, True, False], [True, False, False]]


def test_a_band_of_each_row():
    judge = np.array([[1, 2, 3], [1, 2, 3]])
    keep = false_negative_filter(
        np.zeros((2, 3)), positive_scores=np.ones(2), judge_scores=judge, band=([1, 2], [2, 3])
    )
    assert keep.tolist() == [[True, True, False], [False, True, True]]


@pytest.mark.parametrize("cells", [1, 7, 1 << 20])
def test_blocks_change_nothing(cells, rng, monkeypatch):
    scores = rng.random((50, 23)).astype(np.float32)
    options = {
        "quantile": 0.9,
        "iqr": 1.5,
        "abs_margin": 0.01,
        "keep_at_least": 2,
        "positives": rng.integers(-1, 23, 50),
    }
    expected = false_negative_filter(scores, **options)
    monkeypatch.setattr(_values, "MOST_CELLS", cells)
    np.testing.assert_array_equal(false_negative_filter(scores, **options), expected)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.int8, ">f4"])
def test_dtypes_strides_and_no_change_of_the_input(dtype, rng):
    scores = rng.integers(-8, 9, (6, 14)).astype(dtype)
    view = scores[:, ::2][:, ::-1]
    before = scores.copy()
    expected = false_negative_filter(view.astype(np.float64), abs_margin=2)
    np.testing.assert_array_equal(false_negative_filter(view, abs_margin=2), expected)
    np.testing.assert_array_equal(scores, before)


@pytest.mark.parametrize("positives", [None, "column", "mask"])
def test_memory_is_the_result_and_a_block(positives):
    scores = np.random.default_rng(0).random((2000, 3000), np.float32)
    options = {"ignore": np.zeros(scores.shape, bool), "same_id": (np.arange(2000), np.arange(3000) % 7)}
    if positives == "column":
        options["positives"] = np.arange(2000)
    elif positives == "mask":
        options["positives"] = np.eye(2000, 3000, dtype=bool)
    tracemalloc.start()
    false_negative_filter(scores, **options, abs_margin=0.1, quantile=0.9, keep_at_least=3)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < scores.size + (16 << 20)


def test_empty_input():
    assert false_negative_filter(np.zeros((0, 4)), abs_margin=0).shape == (0, 4)
    assert (
        false_negative_filter(np.zeros((2, 0)), positive_scores=[1, 2], quantile=0.5, iqr=1, keep_at_least=1).size == 0
    )


SQUARE = np.zeros((2, 2))


@pytest.mark.parametrize(
    ("arguments", "options", "kind", "message"),
    [
        ([[1.0]], {}, ValueError, "similarities has shape (1,)"),
        ([np.zeros((3, 2))], {}, ValueError, "there are 3 rows but 2 columns"),
        ([[[0.0, np.nan]]], {}, ValueError, "similarities is nan at row 0, column 1"),
        ([[[0.0, np.inf]]], {}, ValueError, "similarities is inf at row 0, column 1"),
        ([[[-np.inf, 0.0]]], {"abs_margin": 0}, ValueError, "similarities is -inf at row 0, column 0, which is pos"),
        ([SQUARE, [0, 2]], {}, ValueError, "positives is 2 at index 1"),
        ([SQUARE], {"positive": "own"}, ValueError, "positive must be one of 'min', 'mean', 'max'"),
        ([SQUARE], {"positive_scores": [1.0]}, ValueError, "positive_scores has shape (1,)"),
        ([SQUARE], {"positive_scores": [1.0, np.nan]}, ValueError, "positive_scores is nan at index 1"),
        ([SQUARE], {"positive_scores": [1.0, -np.inf]}, ValueError, "positive_scores is -inf at index 1"),
        ([SQUARE], {"ignore": np.eye(2, dtype=bool)}, ValueError, "ignore is True at row 0, column 0"),
        ([SQUARE], {"ignore": [True, False]}, ValueError, "ignore has shape (2,)"),
        ([SQUARE], {"max_score": [1, 2, 3]}, ValueError, "max_score has shape (3,)"),
        ([SQUARE], {"max_score": np.nan}, ValueError, "max_score is nan"),
        ([SQUARE], {"abs_margin": np.inf}, ValueError, "abs_margin must be finite"),
        ([SQUARE], {"rel_margin": "5%"}, TypeError, "rel_margin must be a number"),
        ([SQUARE], {"judge_scores": SQUARE}, ValueError, "judge_scores was given without band"),
        ([SQUARE], {"band": (0, 1)}, ValueError, "band was given without judge_scores"),
        ([SQUARE], {"judge_scores": SQUARE, "band": 1}, TypeError, "band must be a tuple (low, high)"),
        ([SQUARE], {"judge_scores": SQUARE, "band": (1, 0)}, ValueError, "band is (1.0, 0.0) for row 0"),
        ([SQUARE], {"judge_scores": [1.0], "band": (0, 1)}, ValueError, "judge_scores has shape (1,)"),
        ([SQUARE], {"judge_scores": SQUARE * np.nan, "band": (0, 1)}, ValueError, "judge_scores is nan at row 0"),
        ([SQUARE], {"same_label": [1]}, ValueError, "same_label has shape (1,)"),
        ([SQUARE], {"same_id": ([1], [1, 2])}, ValueError, "same_id has shapes (1,) and (2,)"),
        ([SQUARE], {"same_id": [1.0, np.nan]}, ValueError, "same_id is NaN at index 1"),
        ([SQUARE], {"positive_scores": [1, 1], "same_cluster": [1, 1]}, ValueError, "but rows have no positives"),
        ([np.zeros((1, 2)), np.ones((1, 2), bool)], {"same_id": [1, 2]}, ValueError, "but rows have several positives"),
        ([SQUARE], {"duplicates": -0.1}, ValueError, "duplicates must be at least 0"),
        ([SQUARE], {"quantile": 1.5}, ValueError, "quantile must be at most 1"),
        ([SQUARE], {"iqr": -1}, ValueError, "iqr must be at least 0"),
        ([SQUARE], {"keep_at_least": -1}, ValueError, "keep_at_least must be at least 0"),
        ([SQUARE], {"keep_at_least": 0.5}, TypeError, "keep_at_least must be an integer"),
    ],
)
def test_errors(arguments, options, kind, message):
    with pytest.raises(kind, match=re.escape(message)):
        false_negative_filter(*arguments, **options)
