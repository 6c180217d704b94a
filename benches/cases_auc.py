"""AUC and the sort below it: what is timed, beside which packages, and what is required."""

import fastpair
from benchmarks.data import DISTRIBUTIONS, Data, make_batch, make_data, make_groups, make_keys, make_weights
from cases import Case, Job, MemoryCase, Suite, Target, faster, under, within

FLOOR = "np.sort of the scores (a floor)"
COMMON = ("fastpair", "scikit-learn", "scors")
ARGSORT, PACKED = "numpy argsort (ignores ties)", "numpy packed keys (ignores ties)"
TWO_SORTS = "numpy two sorts and searchsorted"
NUMBA, CATBOOST, FASTAUC = "numba argsort and pass", "catboost eval_metric", "fastauc (C++)"
# scipy ranks by a stable argsort: left out where it would take the minutes of the others.
SCIPY = ("scipy rankdata", "scipy mannwhitneyu")
LARGE = (*COMMON, ARGSORT, PACKED, TWO_SORTS, NUMBA, CATBOOST, FASTAUC, FLOOR)
ALL = (*LARGE, *SCIPY)
FLOAT64 = (*COMMON, ARGSORT, TWO_SORTS, NUMBA, CATBOOST, FLOOR)
SMALL_DTYPES = (*COMMON, TWO_SORTS, NUMBA)
BATCH = ("fastpair", "scikit-learn loop", "scors loop", "scipy rankdata")
SPARSE_GROUPS = ("fastpair", "scors loop", "polars rank().over()", "catboost QueryAUC (mean, presorted)")
GROUPS = (*SPARSE_GROUPS, "scikit-learn loop")
LEVELS = ("fastpair, level v3", "fastpair, level v4")


def scores_case(
    name: str,
    rows: int,
    peers: tuple[str, ...],
    targets: dict[str, Target] | None = None,
    dtype: str = "float32",
    distribution: str = "random",
    positives: float = 0.1,
) -> Case:
    """One series."""
    title = f"{dtype}, n = {{n:,}}, {100 * positives:g} % positive, distribution: {distribution}"

    def make(rows: int) -> Data:
        return make_data(rows, dtype, distribution, positives)

    return Case(name, title, "auc", make, rows, peers, targets or {})


def weights_case(name: str, rows: int, peers: tuple[str, ...], targets: dict[str, Target]) -> Case:
    """One series with weights."""
    title = "float32 with float32 weights, n = {n:,}"

    def make(rows: int) -> Data:
        return make_data(rows)._replace(weights=make_weights(rows))

    return Case(name, title, "auc", make, rows, peers, targets)


def groups_case(
    name: str, rows: int, peers: tuple[str, ...], targets: dict[str, Target] | None = None, sparse: bool = False
) -> Case:
    """Groups of about 100 rows."""
    ids = "spread over forty bits" if sparse else "0, 1, ..."
    title = f"float32, n = {{n:,}} in unsorted groups of about 100 rows, int64 ids {ids}"

    def make(rows: int) -> Data:
        return make_data(rows)._replace(groups=make_groups(rows, rows // 100, sparse))

    return Case(name, title, "groups", make, rows, peers, targets or {})


def sort_case(name: str, rows: int, dtype: str) -> Case:
    """Keys alone; both sides sort a fresh copy."""
    title = f"{dtype} keys, n = {{n:,}}; no AUC: the engine's sort and numpy's, each on a fresh copy"

    def make(rows: int) -> Data:
        return Data(make_keys(rows, dtype), None)

    return Case(name, title, "sort", make, rows, ("fastpair", *LEVELS, "np.sort"))


def sklearn(ratio: float) -> dict[str, Target]:
    """Require a ratio to scikit-learn."""
    return {"scikit-learn": faster(ratio)}


def sklearn_scors(sklearn_ratio: float, scors_ratio: float) -> dict[str, Target]:
    """Require ratios to scikit-learn and scors."""
    return {"scikit-learn": faster(sklearn_ratio), "scors": faster(scors_ratio)}


CASES: tuple[Case, ...] = (
    scores_case("auc-f32-1e3", 1_000, ALL, {"fastpair": under(12e-6), **sklearn(150)}),
    scores_case("auc-f32-1e5", 100_000, ALL, sklearn_scors(50, 6)),
    scores_case("auc-f32-1e6", 1_000_000, ALL, sklearn_scors(45, 6)),
    scores_case("auc-f32-1e7", 10_000_000, LARGE, {**sklearn_scors(45, 6), FLOOR: within(1.9)}),
    scores_case("auc-f32-1e7-rare", 10_000_000, LARGE, sklearn_scors(80, 10), positives=0.001),
    scores_case("auc-f64-1e6", 1_000_000, FLOAT64, sklearn(25), dtype="float64"),
    scores_case("auc-f64-1e7", 10_000_000, FLOAT64, sklearn(35), dtype="float64"),
    scores_case("auc-f16-1e6", 1_000_000, SMALL_DTYPES, sklearn(200), dtype="float16"),
    scores_case("auc-bf16-1e6", 1_000_000, (*COMMON, TWO_SORTS), sklearn(200), dtype="bfloat16"),
    scores_case("auc-int8-1e6", 1_000_000, SMALL_DTYPES, sklearn(200), dtype="int8"),
    scores_case("auc-uint8-1e6", 1_000_000, SMALL_DTYPES, sklearn(200), dtype="uint8"),
    scores_case("auc-int16-1e6", 1_000_000, SMALL_DTYPES, sklearn(200), dtype="int16"),
    weights_case("auc-weights-f32-1e6", 1_000_000, (*COMMON, CATBOOST, FASTAUC, FLOOR), sklearn_scors(20, 4)),
    groups_case(
        "auc-groups-1e6",
        1_000_000,
        GROUPS,
        {"scikit-learn loop": faster(800), "polars rank().over()": faster(6)},
    ),
    groups_case("auc-groups-sparse-1e6", 1_000_000, SPARSE_GROUPS, sparse=True),
    *(
        scores_case(
            f"auc-threads-{short}-1e7",
            10_000_000,
            ("fastpair, 2 threads", "fastpair"),
            {"fastpair": faster(1.6)},
            dtype=dtype,
        )
        for short, dtype in (("f32", "float32"), ("f64", "float64"))
    ),
    scores_case("auc-v3-1e6", 1_000_000, (*LEVELS, *COMMON[1:], FLOOR), sklearn(20)),
    Case(
        "auc-batch-1000x1000",
        "float32, {n:,} series of n = {n:,} against one vector of labels",
        "batch",
        lambda rows: make_batch(rows, rows),
        1_000,
        BATCH,
    ),
    *(
        scores_case(f"auc-{distribution}", 1_000_000, ("fastpair", "scors", FLOOR), distribution=distribution)
        for distribution in DISTRIBUTIONS
        if distribution != "random"
    ),
    *(
        sort_case(f"sort-{short}-1e{power}", 10**power, dtype)
        for short, dtype in (("u32", "uint32"), ("u64", "uint64"))
        for power in (3, 4, 5, 6, 7)
    ),
)


def memory_case(name: str, dtype: str, distribution: str = "random", num_threads: int = 1) -> MemoryCase:
    """One call; `fastpair.auc` promises to take a copy of the scores and 2 MiB, or 1 MiB for at most 16 bits."""
    threads = "1 thread" if num_threads == 1 else f"{num_threads} threads"

    def prepare(rows: int) -> Job:
        scores, labels, _, _ = make_data(rows, dtype, distribution)
        allowed = (1 << 20) if scores.itemsize < 4 else scores.nbytes + (2 << 20)
        return Job(lambda: fastpair.auc(scores, labels, num_threads=num_threads), scores.nbytes, allowed)

    title = f"{dtype}, {distribution}, n = {{n:,}}, {threads}"
    return MemoryCase(f"memory-{name}", title, prepare, rows=20_000_000, quick=1_000_000)


MEMORY_CASES: tuple[MemoryCase, ...] = (
    *(memory_case(f"f32-{distribution}", "float32", distribution) for distribution in DISTRIBUTIONS),
    memory_case("f32-random-2-threads", "float32", num_threads=2),
    memory_case("f64-random", "float64"),
    memory_case("f16-random", "float16"),
    memory_case("int8-random", "int8"),
)

NOTES = """\
- The distribution of the scores is `random` and 10 % of the rows are positive unless the case says otherwise. Integer
  dtypes hold the same scores, spread over their range.
- Labels are bool for everybody, which all of these packages take as they are (catboost's grouped metric:
  float32), so that none pays for a conversion. Where a package does not take a dtype of scores, the conversion
  to float32 that a user would write is part of its time.
- Answers are compared with that of fastpair.

Distributions:

- `random`: N(0, 1) for negatives, N(1, 1) for positives; `sorted` and `reversed`: the same, in order.
- `skewed`: exp(4 x) of those; `saturated`: the logistic function of 16 + 8 x, of which about half is 1.0 in
  float32; `ties`: 1000 levels; `constant`: one value; `clusters`: 99 % around 0.5 with a deviation of 0.0001,
  the others around 0 with one of 1e6.
"""

MEMORY_NOTES = """\
One call of `fastpair.auc`: `counted` are the bytes of the scores, and `allowed` is what the documentation of the
function promises: the bytes of the scores and 2 MiB, or 1 MiB in all for scores of at most 16 bits.
"""

SUITE = Suite("AUC", CASES, MEMORY_CASES, NOTES, MEMORY_NOTES)
