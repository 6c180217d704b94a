"""What `hard_negatives` mines, written down naively from the matrix of all scores."""

from math import inf, isnan, nan

import numpy as np


def closeness(score, largest):
    return score if largest else -score


def reference(scores, positive, largest):
    """The score that margins refer to, of those of a query's positives."""
    if not scores:
        return nan
    if positive == "mean":
        return sum(scores) / len(scores)
    hardest, easiest = (min, max) if largest else (max, min)
    return hardest(scores) if positive == "min" else easiest(scores)


def ceilings(reference_score, largest, near=None, absolute=None, relative=None):
    """The largest closeness that each rule admits, the first of the strictest first."""
    rules = []
    if near is not None:
        rules.append(("max_score", closeness(near, largest)))
    if not isnan(reference_score):
        own = closeness(reference_score, largest)
        if absolute is not None:
            rules.append(("abs_margin", own - absolute))
        if relative is not None:
            rules.append(("rel_margin", own - abs(own) * relative))
    return sorted(rules, key=lambda rule: rule[1])


def mine(
    scores,
    positives,
    k,
    *,
    largest=True,
    low=0,
    min_score=None,
    max_score=None,
    abs_margin=None,
    rel_margin=None,
    positive="min",
    exclude=None,
    labels=None,
    corpus=None,
    teacher=None,
    candidates=None,
    relax=False,
):
    """Indices, scores, positive scores, counts, the admissible of each row, and what was dropped by which rule.

    `labels` has those of rows and columns; `corpus` the rows, if equal ones are dropped.
    """
    n, m = scores.shape
    dropped = dict.fromkeys(
        ("positives", "exclude", "labels", "duplicates", "max_score", "abs_margin", "rel_margin", "relaxed"), 0
    )
    rows = [(i, p) for i in range(n) for p in positives[i]] if positive == "own" else [(i, None) for i in range(n)]
    judge, judged = (scores, largest) if teacher is None else (teacher, True)
    result = {name: [] for name in ("indices", "scores", "positive_scores", "counts", "admissible")}
    limits = [None if limit is None else np.broadcast_to(limit, n) for limit in (min_score, max_score)]
    near, far = limits[::-1] if judged else limits
    for i, own in rows:
        named = [own] if own is not None else sorted(set(positives[i]))
        base = reference([float(judge[i, p]) for p in named], "min" if own is not None else positive, judged)
        rules = ceilings(base, judged, None if near is None else near[i], abs_margin, rel_margin)
        least = -inf if far is None else closeness(far[i], judged)
        possible = []
        for j in range(m):
            if j in positives[i]:
                dropped["positives"] += 1
            elif exclude is not None and j in exclude[i]:
                dropped["exclude"] += 1
            elif labels is not None and labels[0][i] == labels[1][j]:
                dropped["labels"] += 1
            elif corpus is not None and any((corpus[j] == corpus[o]).all() for o in [*range(j), *positives[i]]):
                dropped["duplicates"] += 1
            else:
                possible.append(j)
        if teacher is not None:
            possible = sorted(possible, key=lambda j: (-closeness(scores[i, j], largest), j))[:candidates]
        possible.sort(key=lambda j: (-closeness(judge[i, j], judged), j))
        admissible, breaking = [], []
        for j in possible:
            c = closeness(judge[i, j], judged)
            if rules and c > rules[0][1]:
                dropped[rules[0][0]] += 1
                breaking.append(j)
            elif c < least:
                breaking.append(j)
            else:
                admissible.append(j)
        taken = admissible[low : low + k]
        if relax:
            more = breaking[: k - len(taken)]
            dropped["relaxed"] += len(more)
            taken = taken + more
        missing = k - len(taken)
        result["indices"].append(taken + [-1] * missing)
        result["scores"].append([judge[i, j] for j in taken] + [-inf if judged else inf] * missing)
        result["positive_scores"].append(base)
        result["counts"].append(len(taken))
        result["admissible"].append(admissible)
    shapes = {"indices": (len(rows), k), "scores": (len(rows), k)}
    kinds = {"indices": np.int64, "counts": np.int64}
    arrays = {
        name: np.array(result[name], kinds.get(name, float)).reshape(shapes.get(name, len(rows)))
        for name in ("indices", "scores", "positive_scores", "counts")
    }
    return {**arrays, "admissible": result["admissible"], "dropped": dropped}


def assert_mined(found, expected, about=""):
    """Demand the very bits of the oracle, and its counts."""
    for name in ("indices", "scores", "counts", "positive_scores"):
        np.testing.assert_array_equal(getattr(found, name), expected[name], strict=True, err_msg=f"{about} {name}")
    report = found.report._asdict()
    assert {name: report[name] for name in expected["dropped"]} == expected["dropped"], about
    assert report["mined"] == expected["counts"].sum()
    assert report["short"] == (expected["counts"] < found.indices.shape[1]).sum()
    assert (report["rows"], report["k"]) == found.indices.shape
