"""The public names, their signatures and docstrings, and which module may import which."""

import ast
import doctest
import inspect
import re
from operator import attrgetter
from pathlib import Path

import embedding_loss_signatures
import fastpair
import helpers
import loss_signatures
import numpy as np
import pytest

NO = inspect.Parameter.empty
RULES = [
    ("exclude_self", False),
    ("mask", None),
    ("exclude", None),
    ("x_labels", None),
    ("y_labels", None),
    ("same_label", None),
    ("min_score", None),
    ("max_score", None),
]
PAIRS = [
    ("x", NO),
    ("labels", NO),
    "*",
    ("metric", "cosine"),
    ("exact", None),
    ("bins", 1 << 18),
    ("num_threads", None),
    ("progress", False),
]
COVARIANCES = [("covariance", None), ("inverse_covariance", None)]
SIGNATURES = {
    "auc": [
        ("scores", NO),
        ("labels", NO),
        "*",
        ("weights", None),
        ("groups", None),
        ("offsets", None),
        ("axis", -1),
        ("pos_label", None),
        ("nan_policy", "raise"),
        ("presorted", None),
        ("return_groups", False),
        ("num_threads", None),
    ],
    "gauc": [
        ("scores", NO),
        ("labels", NO),
        ("groups", None),
        "*",
        ("offsets", None),
        ("weighting", "uniform"),
        ("weights", None),
        ("undefined", "skip"),
        ("pos_label", None),
        ("nan_policy", "raise"),
        ("num_threads", None),
    ],
    "topk": [
        ("x", NO),
        ("y", None),
        ("k", 10),
        "*",
        ("metric", "cosine"),
        ("largest", None),
        *RULES,
        ("num_threads", None),
        ("max_memory", None),
        ("progress", False),
        ("out", None),
    ],
    "radius": [
        ("x", NO),
        ("y", None),
        ("threshold", None),
        "*",
        ("metric", "cosine"),
        ("largest", None),
        *RULES,
        ("max_hits", None),
        ("sort", False),
        ("num_threads", None),
        ("max_memory", None),
        ("progress", False),
    ],
    "pairwise": [
        ("x", NO),
        ("y", None),
        ("metric", "dot"),
        "*",
        ("bandwidth", None),
        *COVARIANCES,
        ("exact", False),
        ("num_threads", None),
        ("max_memory", None),
        ("out", None),
        ("return_grad", False),
        ("grad_output", None),
    ],
    "similarity.rowwise": [
        ("x", NO),
        ("y", NO),
        ("metric", "dot"),
        "*",
        ("bandwidth", None),
        *COVARIANCES,
        ("num_threads", None),
    ],
    "similarity.reduce": [
        ("x", NO),
        ("y", None),
        "*",
        ("op", "max"),
        ("metric", "cosine"),
        ("threshold", None),
        ("scale", 1.0),
        ("bins", 10),
        ("range", None),
        ("largest", None),
        *RULES[:-2],
        ("num_threads", None),
        ("max_memory", None),
        ("progress", False),
    ],
    "similarity.late_interaction": [
        ("a", NO),
        ("b", NO),
        "*",
        ("a_mask", None),
        ("b_mask", None),
        ("a_offsets", None),
        ("b_offsets", None),
        ("mode", "max"),
        ("alpha", 0.1),
        ("symmetric", False),
        ("metric", "cosine"),
        ("k", None),
        ("num_threads", None),
    ],
    "metrics.pair_auc": PAIRS,
    "metrics.pair_eer": PAIRS,
    "similarity.sinkhorn": [
        ("similarities", NO),
        ("eps", 0.05),
        ("n_iter", 3),
        "*",
        ("marginals", None),
        ("dustbin", None),
        ("return_potentials", False),
    ],
    **loss_signatures.SIGNATURES,
    **embedding_loss_signatures.SIGNATURES,
}
CLASSES = {"Corpus": ("topk", "radius", "count"), "TopkState": ("update", "merge", "result")}
PUBLIC = {
    *("auc", "gauc", "show_config", "set_num_threads", "get_num_threads"),
    *("topk", "radius", "pairwise", *CLASSES, "similarity"),
    *("UndefinedMetricWarning", "__version__", "metrics", "errors", "losses", "embeddings"),
}
SECTIONS = ("Parameters", "Returns", "Raises", "Notes", "References", "Examples")
PACKAGE = Path(fastpair.__file__).parent


def public(name):
    """What a dotted name below the package stands for."""
    return attrgetter(name)(fastpair)


@pytest.mark.parametrize("name", SIGNATURES)
def test_signatures(name):
    assert loss_signatures.entries(inspect.signature(public(name))) == SIGNATURES[name]


def test_public_names_are_there():
    assert sorted(name for name in PUBLIC if not hasattr(fastpair, name)) == []


def test_all_lists_public_names_only():
    assert set(fastpair.__all__) <= PUBLIC
    assert {"auc", "gauc", "show_config"} <= set(fastpair.__all__)


def test_the_namespace_holds_the_same_functions():
    assert fastpair.metrics.auc is fastpair.auc
    assert fastpair.metrics.gauc is fastpair.gauc
    assert fastpair.errors.UndefinedMetricWarning is fastpair.UndefinedMetricWarning
    assert issubclass(fastpair.UndefinedMetricWarning, UserWarning)
    for name in ("topk", "radius", "pairwise", *CLASSES):
        assert public(name) is public(f"similarity.{name}")
    assert fastpair.losses.list_mle is fastpair.losses.plackett_luce
    for namespace in (fastpair.embeddings, fastpair.losses, fastpair.metrics, fastpair.similarity):
        assert [name for name in namespace.__all__ if not hasattr(namespace, name)] == []


def test_every_loss_has_its_signature_here():
    tuples = {name for name in fastpair.losses.__all__ if f"losses.{name}" in NAMED_TUPLES}
    named = {name.removeprefix("losses.") for name in SIGNATURES if name.startswith("losses.")}
    assert set(fastpair.losses.__all__) == named | tuples | {"list_mle"}


NAMED_TUPLES = {
    "metrics.GroupedAuc": ("auc", "groups"),
    "metrics.PairAuc": ("auc", "low", "high"),
    "metrics.PairEer": ("eer", "threshold", "low", "high"),
    "similarity.Histogram": ("counts", "edges"),
    "similarity.PairwiseGradient": ("x", "y"),
    "similarity.TopK": ("scores", "indices"),
    "similarity.RadiusHits": ("indptr", "indices", "scores"),
    "similarity.SinkhornPlan": ("plan", "u", "v"),
    **loss_signatures.NAMED_TUPLES,
    **embedding_loss_signatures.NAMED_TUPLES,
}


@pytest.mark.parametrize("name", NAMED_TUPLES)
def test_results_of_several_arrays_are_named_tuples(name):
    assert issubclass(public(name), tuple)
    assert public(name)._fields == NAMED_TUPLES[name]
    assert public(name).__doc__.strip()


def sections(text):
    """The numpydoc sections of a docstring, in order, with their bodies."""
    parts = re.split(r"^(\w[\w ]*)\n-+$", inspect.cleandoc(text), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


@pytest.mark.parametrize("name", SIGNATURES)
def test_docstrings_have_the_sections_of_numpydoc_in_order(name):
    found = list(sections(public(name).__doc__))
    assert [s for s in found if s in SECTIONS] == list(SECTIONS)


@pytest.mark.parametrize("name", SIGNATURES)
def test_docstrings_begin_with_one_short_sentence(name):
    first = inspect.cleandoc(public(name).__doc__).splitlines()
    assert re.fullmatch(r"[A-Z].{10,98}\.", first[0]), first[0]
    assert first[1] == ""


@pytest.mark.parametrize("name", SIGNATURES)
def test_docstrings_describe_every_parameter_in_order(name):
    body = sections(public(name).__doc__)["Parameters"]
    described = [n for line in re.findall(r"^([\w*][\w*, ]*)(?: :|$)", body, re.MULTILINE) for n in line.split(", ")]
    assert [n.lstrip("*") for n in described] == list(inspect.signature(public(name)).parameters)


@pytest.mark.parametrize("name", SIGNATURES)
def test_docstrings_name_the_exceptions(name):
    raises = sections(public(name).__doc__)["Raises"]
    assert {"TypeError", "ValueError"} <= set(re.findall(r"^\w+", raises, re.MULTILINE))


@pytest.mark.parametrize("name", CLASSES)
def test_classes_and_their_methods_are_described(name):
    owner = public(name)
    found = list(sections(owner.__doc__))
    assert found == ["Parameters", "Raises", "See Also", "Notes", "Examples"]
    for method, parts in [(owner, sections(owner.__doc__))] + [
        (getattr(owner, method), sections(getattr(owner, method).__doc__)) for method in CLASSES[name]
    ]:
        first = inspect.cleandoc(method.__doc__).splitlines()
        assert re.fullmatch(r"[A-Z].{10,98}\.", first[0]), first[0]
        names = [name for name in inspect.signature(method).parameters if name != "self"]
        described = [n for n in re.findall(r"^\*{0,2}(\w+)(?: :|$)", parts.get("Parameters", ""), re.MULTILINE)]
        assert described == names


@pytest.mark.parametrize("name", ["show_config", "set_num_threads", "get_num_threads"])
def test_small_functions_have_a_docstring(name):
    assert public(name).__doc__.strip()


@pytest.mark.skipif(np.__version__ < "2", reason="numpy 1 prints its scalars differently")
@pytest.mark.parametrize("name", [*SIGNATURES, *CLASSES])
def test_examples_give_what_they_show(name):
    function = public(name)
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS)
    examples = doctest.DocTestFinder(recurse=False).find(function, name, globs={})
    report = []
    for example in examples:
        runner.run(example, out=report.append)
    assert runner.tries > 0
    assert not runner.failures, "".join(report)


HEAVY = ("sklearn", "scipy", "pandas", "polars", "pyarrow", "torch", "cupy", "matplotlib", "dask")


def test_importing_and_calling_load_no_heavy_package():
    loaded = helpers.output_of(
        """
        import sys, numpy as np, fastpair
        fastpair.auc(np.arange(4.0), [0, 1, 0, 1])
        fastpair.gauc([1.0, 2.0], [0, 1], ["a", "a"])
        fastpair.show_config()
        fastpair.topk(np.eye(3), k=2)
        fastpair.radius(np.eye(3), threshold=0.5)
        fastpair.pairwise(np.eye(3), metric="jensenshannon")
        fastpair.Corpus(np.eye(3)).topk(np.eye(3), 2)
        fastpair.similarity.sinkhorn(np.eye(3))
        fastpair.similarity.reduce(np.eye(3), op="logsumexp")
        fastpair.similarity.late_interaction(np.ones((1, 2, 3)), np.ones((2, 2, 3)))
        fastpair.metrics.pair_auc(np.eye(3), [0, 0, 1])
        fastpair.losses.mann_whitney([0.1, 0.4], [0, 1], return_grad=True)
        fastpair.losses.smooth_ap([0.1, 0.4], [0, 1], groups=["a", "a"])
        print("loaded:", *sorted({name.split(".")[0] for name in sys.modules}))
        """
    )
    assert not set(loaded.split("loaded:")[1].split()) & set(HEAVY)


LOWEST, HELPERS, SIMILARITY, NAMESPACE, ROOT = range(5)
NAMESPACES = {
    *("metrics", "similarity", "losses", "mining", "preference", "policy", "embeddings", "ood"),
}


def layer(module):
    """How high a module of the package stands: its compiled core lowest, its front door highest."""
    head = module.split(".")[1] if "." in module else ""
    if head in {"_core", "errors"}:
        return LOWEST
    if head in NAMESPACES:
        return SIMILARITY if head == "similarity" else NAMESPACE  # losses are functions of similarities
    return HELPERS if head.startswith("_") else ROOT


def modules():
    """Every Python module of the package: dotted name -> file."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = ("fastpair", *path.relative_to(PACKAGE).with_suffix("").parts)
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imported(module, path, known):
    """The modules of the package that a module names in its imports, at any depth of the code."""
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            up = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*up, *([node.module] if node.module else [])])
            names = [f"{base}.{a.name}" if f"{base}.{a.name}" in known else base for a in node.names]
        else:
            continue
        yield from (name for name in names if name.split(".")[0] == "fastpair")


def test_python_imports_flow_down():
    files = modules()
    known = {*files, "fastpair._core"}
    upward = []
    for module, path in files.items():
        for target in imported(module, path, known):
            beside = layer(target) == layer(module) not in {SIMILARITY, NAMESPACE}
            same_namespace = target.split(".")[1:2] == module.split(".")[1:2]
            if not (layer(target) < layer(module) or beside or same_namespace):
                upward.append(f"{module} imports {target}")
    assert upward == []


RUST = Path(__file__).parents[1] / "rust"
ENGINES = {"order", "tile", "group"}
READERS = {"labels", "groups", "rows", "column", "matrix"}  # what engines read their input through


def rust_code(path):
    """A file without its comments, whose links to other modules are not imports."""
    return re.sub(r"//.*", "", path.read_text(encoding="utf-8"))


@pytest.mark.skipif(not RUST.is_dir(), reason="the Rust sources are not beside the tests")
def test_rust_uses_flow_down():
    """Engines stand on the readers of labels and groups; those on keys, errors, threads and lanes."""
    source, upward = RUST / "fastpair-core" / "src", set()
    for path in source.rglob("*.rs"):
        room = path.relative_to(source).with_suffix("").parts[0]
        if room in ENGINES | {"lib"}:
            continue
        above = ENGINES if room in READERS else ENGINES | READERS
        used = set(re.findall(r"\bcrate::(\w+)", rust_code(path)))
        upward |= {f"{path.name} uses {name}" for name in used & above}
    assert upward == set()


@pytest.mark.skipif(not RUST.is_dir(), reason="the Rust sources are not beside the tests")
def test_the_core_crate_knows_nothing_of_python():
    for path in (RUST / "fastpair-core").rglob("*.rs"):
        assert not re.search(r"\b(pyo3|numpy)::", rust_code(path)), path
