"""The losses of `pair_rows` and their options, as the kernels take them: `parse_loss`."""

from typing import Any, NamedTuple

import numpy as np

__all__ = ["Loss", "parse_loss"]

SEVERAL = {name: np.int32(code) for code, name in enumerate(("mean", "log_sum", "log_mean", "separate"))}
NO_RULE, MULTI_SIMILARITY = np.int32(0), np.int32(5)
RULES = {"hardest": np.int32(1), "mean": np.int32(2), "easiest": np.int32(3), "each": np.int32(4)}
"""The codes of ``pair_select.cu``, by what a band is measured from."""


class Loss(NamedTuple):
    """The kernel of a loss, and its arguments behind those of all of them."""

    file: str
    kernel: str
    arguments: tuple[Any, ...]
    selection: tuple[Any, ...] | None = None
    temperature: float = 1.0

    @property
    def symmetric(self) -> bool:
        """Whether columns are looked at before rows."""
        return self.kernel == "symmetric"


def parse_loss(name: str, options: dict[str, Any], shape: tuple[int, int]) -> Loss:
    """Return a loss of n rows and m columns."""
    rows, columns = shape
    each, temperature = _temperature(options, rows)
    # Where pairs are left out by a mask or by codes, those of similarity -inf do not count either.
    hard = any(options.get(key) is not None for key in ("hard_k", "hard_threshold"))
    left_out = any(options.get(key) is not None for key in ("ignore", "x_groups", "x_ids", "miner"))
    finite_count = np.bool_(left_out and not hard)
    if name == "softmax" and options.get("symmetric"):
        if rows != columns or each is not None:
            raise ValueError("symmetric needs as many columns as rows and one temperature")
        return Loss("pair_symmetric.cu", "symmetric", (temperature,), None, temperature)
    if name == "softmax":
        weights = (
            _entries(options, "column_weights", columns),
            _entries(options, "pair_weights", rows * columns),
        )
        several = options.get("multi_positive", "mean")
        if several not in SEVERAL:
            raise ValueError(f"multi_positive is unknown: {several!r}")
        arguments = (
            *(each, temperature, *weights),
            _entries(options, "positive_factors", rows),
            _entries(options, "targets", rows * columns),
            np.bool_(options.get("normalize_targets", True)),
            np.bool_(options.get("include_positive", True)),
            np.bool_(options.get("needs_negatives", True)),
            *(SEVERAL[several], finite_count),
            *(float(options.get(key, 0.0)) for key in ("label_smoothing", "margin", "arc_margin", "focal_gamma")),
            np.bool_(options.get("detach_focal", False)),
        )
        return Loss("pair_softmax.cu", "softmax", arguments, _selection(options, weights))
    if name == "sigmoid":
        numbers = (("scale", 1.0), ("bias", 0.0), ("positive_factor", 1.0), ("negative_factor", 1.0))
        arguments = (
            *(float(options.get(key, usual)) for key, usual in numbers),
            _entries(options, "pair_weights", rows * columns),
            finite_count,
        )
        return Loss("pair_sigmoid.cu", "sigmoid", arguments, _selection(options, (None, None)))
    if name == "hard_negatives":
        arguments = (
            *(each, temperature, float(options.get("beta", 1.0)), float(options.get("tau_plus", 0.0))),
            *(np.bool_(options.get("detach_weights", False)), finite_count),
        )
        return Loss("pair_hard_negatives.cu", "hard_negatives", arguments, _selection(options, (None, None)))
    raise ValueError(f"loss is unknown: {name!r}")


def _temperature(options: dict[str, Any], rows: int) -> tuple[Any, float]:
    """Return the temperatures of the rows, or None and the one of all."""
    temperature = options.get("temperature", 1.0)
    if np.ndim(temperature) == 0:
        return None, float(temperature)
    return _entries(options, "temperature", rows), 1.0


def _entries(options: dict[str, Any], name: str, count: int) -> Any:
    """Return float64 numbers of an option, contiguous, or None."""
    import cupy

    values = options.get(name)
    if values is None:
        return None
    if values.size != count:
        raise ValueError(f"{name} has {values.size} entries; it must have {count}")
    return cupy.ascontiguousarray(values, np.float64)


def _selection(options: dict[str, Any], weights: tuple[Any, Any]) -> tuple[Any, ...] | None:
    """Return how rows choose among their pairs, if they do."""
    miner, k, threshold = options.get("miner"), options.get("hard_k"), options.get("hard_threshold")
    if miner is None and k is None and threshold is None:
        return None
    rule: tuple[Any, ...] = (NO_RULE, 0.0, 0.0, np.bool_(False), np.bool_(False))
    if miner is not None and len(miner) == 2:
        rule = (MULTI_SIMILARITY, *map(float, miner), np.bool_(False), np.bool_(False))
    elif miner is not None:
        reference, lower, upper, above, below = miner
        if reference not in RULES:
            raise ValueError(f"reference is unknown: {reference!r}")
        rule = (RULES[reference], float(lower), float(upper), np.bool_(above), np.bool_(below))
    hard = np.bool_(k is not None or threshold is not None)
    least, most = -np.inf if threshold is None else float(threshold), (1 << 62) if k is None else int(k)
    return (*rule, *weights, hard, least, most)
