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
import mining_signatures
import numpy as np
import pytest
import similarity_signatures

SIGNATURES = {
    **similarity_signatures.SIGNATURES,
    **loss_signatures.SIGNATURES,
    **embedding_loss_signatures.SIGNATURES,
    **mining_signatures.SIGNATURES,
}
CLASSES = {"Corpus": ("topk", "radius", "count", "save", "load"), "TopkState": ("update", "merge", "result")}
PUBLIC = {
    *("auc", "gauc", "show_config", "set_num_threads", "get_num_threads"),
    *("topk", "radius", "pairwise", *CLASSES, "similarity"),
    *("UndefinedMetricWarning", "__version__", "metrics", "errors", "losses", "embeddings", "mining"),
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
    for namespace in (fastpair.embeddings, fastpair.losses, fastpair.metrics, fastpair.mining, fastpair.similarity):
        assert [name for name in namespace.__all__ if not hasattr(namespace, name)] == []


NAMED_TUPLES = {
    **similarity_signatures.NAMED_TUPLES,
    **loss_signatures.NAMED_TUPLES,
    **embedding_loss_signatures.NAMED_TUPLES,
    **mining_signatures.NAMED_TUPLES,
}


@pytest.mark.parametrize(("namespace", "others"), [("losses", {"list_mle"}), ("mining", {"Miner"})])
def test_every_function_of_a_large_namespace_has_its_signature_here(namespace, others):
    known = {name.removeprefix(f"{namespace}.") for name in (*SIGNATURES, *NAMED_TUPLES) if name.startswith(namespace)}
    assert set(public(namespace).__all__) == known | others


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


METHODS = {**CLASSES, "mining.Miner": ()}


@pytest.mark.parametrize("name", METHODS)
def test_classes_and_their_methods_are_described(name):
    owner = public(name)
    found = list(sections(owner.__doc__))
    assert found == ["Parameters", "Raises", "See Also", "Notes", "Examples"]
    for method, parts in [(owner, sections(owner.__doc__))] + [
        (getattr(owner, method), sections(getattr(owner, method).__doc__)) for method in METHODS[name]
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
@pytest.mark.parametrize("name", [*SIGNATURES, *METHODS])
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
        fastpair.mining.triplets(np.eye(3), labels=[0, 0, 1])
        print("loaded:", *sorted({name.split(".")[0] for name in sys.modules}))
        """
    )
    assert not set(loaded.split("loaded:")[1].split()) & set(HEAVY)


def test_showing_the_configuration_loads_no_heavy_package_but_the_one_that_knows_the_gpus():
    loaded = helpers.output_of(
        """
        import sys, fastpair
        fastpair.show_config(mode="dicts")
        print("loaded:", *sorted({name.split(".")[0] for name in sys.modules}))
        """
    )
    allowed = {"cupy", "scipy"}  # CuPy looks for scipy
    assert not set(loaded.split("loaded:")[1].split()) & (set(HEAVY) - allowed)


LOWEST, HELPERS, SIMILARITY, MINING, NAMESPACE, ROOT = range(6)
BELOW = {"similarity": SIMILARITY, "mining": MINING}  # losses are functions of similarities, and take what was mined
NAMESPACES = {
    *("metrics", "similarity", "losses", "mining", "preference", "policy", "embeddings", "ood"),
}


def layer(module):
    """How high a module of the package stands: its compiled core lowest, its front door highest."""
    head = module.split(".")[1] if "." in module else ""
    if head in {"_core", "errors"}:
        return LOWEST
    if head in NAMESPACES:
        return BELOW.get(head, NAMESPACE)
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
            beside = layer(target) == layer(module) not in {SIMILARITY, MINING, NAMESPACE}
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


def test_the_guide_lists_what_runs_on_a_gpu():
    text = (Path(__file__).parents[1] / "docs" / "gpu.md").read_text(encoding="utf-8")
    section = text.partition("## What runs on the GPU")[2].partition("## Memory")[0]
    listed = set(re.findall(r"`([a-z_0-9]+)`", section))
    spaces = (fastpair.metrics, fastpair.similarity, fastpair.losses, fastpair.mining, fastpair.embeddings)
    public = {name: getattr(space, name) for space in spaces for name in space.__all__}
    on_gpu = {name for name, item in public.items() if getattr(item, "runs_on_gpu", False)}
    assert on_gpu
    assert on_gpu <= listed
    assert not {name for name in listed & public.keys() if inspect.isfunction(public[name])} - on_gpu
