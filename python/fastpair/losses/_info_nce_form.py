"""From the arguments of `fastpair.losses.info_nce` to its `Form`, and slots of positives."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from fastpair._array import ArrayLike, array_of, library_of
from fastpair._embeddings import check_flag, embeddings, numbers
from fastpair._pair_sets import is_listed
from fastpair._random import generator
from fastpair._roles import Roles, parse_roles
from fastpair._validate import check_not_negative
from fastpair.losses._embedding import Pairs, check_positive, parse_temperature
from fastpair.losses._softmax_form import Form, Slopes

__all__ = ["MULTI_POSITIVE", "check_symmetric", "evaluate_slots", "parse_form", "parse_slots", "random_generator"]

_Array: TypeAlias = npt.NDArray[Any]
_Floats: TypeAlias = npt.NDArray[np.float64]

MULTI_POSITIVE = {"mean": "mean", "sum": "mean", "log_mean": "log_mean", "log_sum": "log_sum", "each": "separate"}
"""What the kernel calls the ways to make one value of several positives."""

DEFAULTS: dict[str, Any] = {
    "include_positive": True,
    "multi_positive": "mean",
    "label_smoothing": 0.0,
    "margin": 0.0,
    "arc_margin": 0.0,
    "hard_k": None,
    "hard_threshold": None,
    "focal_gamma": 0.0,
    "detach_focal": False,
}
SELECTING = ("arc_margin", "hard_k", "hard_threshold")
"""Options that look at similarities, of which a matrix of logits knows nothing."""
BENDING = ("label_smoothing", "focal_gamma", "hard_k", "hard_threshold")
"""Options with which the gradient of weights is more than a share of the partition function."""


def random_generator(seed: Any) -> np.random.Generator:
    """Return the source of random positives."""
    if seed is None:
        raise ValueError("multi_positive='sample' needs seed=, an integer or a numpy.random.Generator")
    return generator(seed)


def parse_form(
    pairs: Pairs,
    positives: ArrayLike | None,
    temperature: Any,
    *,
    labels: Any,
    extra_negatives: ArrayLike | None,
    extra_similarities: ArrayLike | None,
    paired_negatives: ArrayLike | None,
    ignore: Any,
    neg_mask: Any,
    ids: Any,
    groups: Any,
    neg_weights: ArrayLike | None,
    pos_weights: ArrayLike | None,
    grad_weights: bool,
    rng: np.random.Generator | None,
    options: dict[str, Any],
) -> Form:
    """Check everything that does not depend on how rows are reduced."""
    rows, columns = pairs.shape
    extra = None if extra_negatives is None else _parse_extra(extra_negatives, pairs)
    paired = None if paired_negatives is None else _parse_paired(paired_negatives, pairs)
    scores = None if extra_similarities is None else _parse_scores(extra_similarities, rows)
    replaced = _replaced(positives)
    if replaced is not None:
        if pairs.within or rows > columns:
            raise ValueError(
                "positives are similarities that replace the diagonal, which needs columns of its own: pass y with at "
                "least as many rows as x"
            )
        if replaced.shape != (rows,):
            raise ValueError(f"positives has shape {replaced.shape}; pass shape ({rows},), a similarity for each row")
    roles = parse_roles(
        pairs.shape,
        pairs.within,
        positives if replaced is None else None,
        labels=labels,
        ignore=ignore,
        neg_mask=neg_mask,
        groups=groups,
        ids=ids,
        extra=0 if extra is None else len(extra),
        metric=pairs.closeness,
    )
    if rng is not None:
        roles = _sampled(roles, rng)
    form = Form(
        pairs,
        roles,
        None,
        {name: option for name, option in options.items() if option != DEFAULTS[name]},
        extra,
        paired,
        scores,
        replaced,
        grad_weights=check_flag(grad_weights, "grad_weights"),
    )
    width = columns + form.extra_count + form.own_count - (replaced is not None)
    form = replace(
        form,
        temperature=_parse_temperatures(temperature, rows, width),
        neg_weights=None if neg_weights is None else _parse_neg_weights(neg_weights, (rows, columns), width),
        pos_weights=None if pos_weights is None else _parse_pos_weights(pos_weights, rows, columns),
    )
    _check_combination(form)
    return form


def check_symmetric(form: Form, reduction: str, weights: object) -> None:
    """Demand that both directions have a meaning."""
    rows, columns = form.pairs.shape
    if rows != columns and (reduction == "none" or weights is not None or form.replaced is not None):
        raise ValueError(
            f"symmetric=True with {rows} rows and {columns} columns has no value for each pair of them; pass as many "
            f"columns as rows, or neither weights nor reduction='none' nor similarities as positives"
        )
    if np.ndim(form.temperature) == 1:
        raise ValueError("temperature has one number for each row, but symmetric=True; pass one number, or a matrix")
    for weight, argument in ((form.neg_weights, "neg_weights"), (form.pos_weights, "pos_weights")):
        if weight is not None and weight.ndim == 1 and (argument == "neg_weights" or form.replaced is None):
            raise ValueError(f"{argument} has one dimension, but symmetric=True; pass shape ({rows}, {columns})")


def parse_slots(y: ArrayLike | None) -> _Array | None:
    """View y if it has slots, that is, three dimensions."""
    array = None if y is None else array_of(y, "y")
    return array if array is not None and array.ndim == 3 else None


def evaluate_slots(
    y: _Array,
    multi_positive: str,
    positives: object,
    evaluate: Callable[[_Array], tuple[Slopes, Form]],
    rng: np.random.Generator | None,
) -> tuple[Slopes, Form]:
    """Return the mean over slots of y, shape (n, p, d), or the value for a random slot of each row."""
    rows, slots = y.shape[:2]
    if multi_positive not in ("each", "sample") or positives is not None or not slots:
        raise ValueError(
            f"y has shape {y.shape}, a positive for each row in each slot; pass multi_positive='each' or 'sample', "
            f"at least one slot, and no positives"
        )
    if rng is not None:
        library = library_of(y)
        every, chosen = library.arange(rows), library.asarray(rng.integers(slots, size=rows))
        result, form = evaluate(y[every, chosen])
        if result.y is not None:
            gradient = library.zeros(y.shape, result.y.dtype)
            gradient[every, chosen] = result.y
            result.y = gradient
        return result, form
    parts = []
    for slot in range(slots):
        part, form = evaluate(y[:, slot])
        parts.append(part)
    result = Slopes(sum(part.value for part in parts) / slots)
    for name in Slopes.__dataclass_fields__:
        found = [getattr(part, name) for part in parts]
        if name != "value" and found[0] is not None:
            setattr(result, name, (np.stack(found, axis=1) if name == "y" else sum(found)) / slots)
    return result, form


def _replaced(positives: Any) -> _Array | None:
    """Return positives if they are similarities."""
    if positives is None or is_listed(positives):
        return None
    array = array_of(positives, "positives")
    is_float = array.dtype.kind == "f" or array.dtype.name == "bfloat16"
    return array if is_float and array.ndim == 1 and array.size else None


def _sampled(roles: Roles, rng: np.random.Generator) -> Roles:
    """Keep one positive of each row."""
    return roles if isinstance(roles.positives, str) else roles.with_one_positive(rng)


def _parse_extra(values: ArrayLike, pairs: Pairs) -> _Array:
    if pairs.x is None:
        raise ValueError("extra_negatives are embeddings, but similarities was given; pass extra_similarities=")
    array = embeddings(values, "extra_negatives", pairs.metric)
    if array.shape[1] != pairs.x.shape[1]:
        raise ValueError(f"extra_negatives has {array.shape[1]} columns but x has {pairs.x.shape[1]}; pass as many")
    return array


def _parse_paired(values: ArrayLike, pairs: Pairs) -> _Array:
    if pairs.x is None:
        raise ValueError("paired_negatives are embeddings, but similarities was given; pass extra_similarities=")
    array = numbers(values, "paired_negatives", pairs.metric)
    rows, width = pairs.x.shape
    if array.ndim != 3 or (array.shape[0], array.shape[2]) != (rows, width):
        raise ValueError(f"paired_negatives has shape {array.shape}; pass shape ({rows}, k, {width})")
    return array


def _parse_scores(values: ArrayLike, rows: int) -> _Array:
    array = numbers(values, "extra_similarities", "dot")
    if array.ndim != 2 or len(array) != rows:
        raise ValueError(f"extra_similarities has shape {array.shape}; pass shape ({rows}, h), h numbers for each row")
    return array


def _parse_temperatures(temperature: Any, rows: int, width: int) -> Any:
    """Return a number, one for each row, or one for each pair."""
    if np.ndim(temperature) != 2:
        return parse_temperature(temperature, rows)
    array = numbers(temperature, "temperature", "dot")
    if array.shape != (rows, width):
        raise ValueError(
            f"temperature has shape {array.shape}; pass a number, shape ({rows},), or shape ({rows}, {width}), one for "
            f"each column of each row"
        )
    check_positive(array, "temperature")
    if array.dtype.kind not in "f" or array.dtype.itemsize < 4:
        array = array.astype(np.float64 if array.dtype.kind in "iu" else np.float32)
    return array


def _parse_neg_weights(values: ArrayLike, shape: tuple[int, int], width: int) -> _Floats:
    array = numbers(values, "neg_weights", "dot")
    rows, columns = shape
    if array.shape not in ((rows, columns), (rows, width), (columns,), (width,)):
        raise ValueError(
            f"neg_weights has shape {array.shape}; pass shape ({rows}, {columns}), a weight for each pair, or "
            f"({columns},), one for each column"
        )
    check_not_negative(array, "neg_weights")
    return array.astype(np.float64)


def _parse_pos_weights(values: ArrayLike, rows: int, columns: int) -> _Floats:
    array = numbers(values, "pos_weights", "dot")
    if array.shape not in ((rows,), (rows, columns)):
        raise ValueError(f"pos_weights has shape {array.shape}; pass shape ({rows},) or ({rows}, {columns})")
    check_not_negative(array, "pos_weights")
    return array.astype(np.float64)


def _check_combination(form: Form) -> None:
    """Refuse options that do not go together."""
    options = form.options
    if np.ndim(form.temperature) == 2:
        clash = [name for name in SELECTING if name in options]
        if form.roles.miner is not None:
            clash.append("a Miner as neg_mask")
        if clash:
            raise ValueError(f"{clash[0]} looks at similarities; pass one temperature, or one for each row, with it")
    if form.grad_weights:
        if form.neg_weights is None:
            raise ValueError("grad_weights=True needs neg_weights=, whose gradient it is")
        clash = [name for name in BENDING if name in options]
        if options.get("multi_positive") == "separate":
            clash.append("multi_positive='each'")
        if clash:
            raise ValueError(f"grad_weights=True does not go with {clash[0]}; drop one of them")
    smoothing = options.get("label_smoothing", 0.0)
    if smoothing and options.get("multi_positive", "mean") != "mean":
        raise ValueError("label_smoothing needs targets, which only multi_positive='mean' has; drop one of them")
