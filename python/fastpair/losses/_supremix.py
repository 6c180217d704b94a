"""Supervised contrast for regression with mixtures of embeddings: `supremix`."""

from typing import Any, Literal, NamedTuple, SupportsIndex, TypeAlias

import numpy as np
import numpy.typing as npt

from fastpair._array import ArrayLike, array_of
from fastpair._embeddings import numbers
from fastpair._units import away_from_units, unit_rows
from fastpair._validate import check_choice, check_number, in_dtype_of
from fastpair.losses._embedding import WeightNorm, parse_pairs, parse_rows_reduction
from fastpair.losses._lists import OnEmpty, ReductionName
from fastpair.losses._tiles import factors_of, reduce_tiles

__all__ = ["SuPreMixGrads", "supremix"]

_Array: TypeAlias = npt.NDArray[Any]
_Floats: TypeAlias = npt.NDArray[np.float64]
_Ints: TypeAlias = npt.NDArray[np.int64]
_Bools: TypeAlias = npt.NDArray[np.bool_]

Weighting: TypeAlias = Literal["inverse", "inverse_square", "linear", "square"]
WEIGHTINGS = ("inverse", "inverse_square", "linear", "square")


class SuPreMixGrads(NamedTuple):
    """The gradients of `supremix`; that of the mixtures is None without them."""

    features: _Array
    mixtures: _Array | None
    temperature: np.float64


def supremix(
    features: ArrayLike,
    labels: ArrayLike,
    mixtures: ArrayLike | None = None,
    mixture_mask: ArrayLike | None = None,
    mixture_labels: ArrayLike | None = None,
    temperature: float = 0.07,
    *,
    weighting: Weighting | None = None,
    weights: ArrayLike | None = None,
    weight_norm: WeightNorm = "count",
    on_empty: OnEmpty = "skip",
    reduction: ReductionName = "mean",
    return_grad: bool = False,
    grad_output: ArrayLike | None = None,
    num_threads: SupportsIndex | None = None,
    max_memory: SupportsIndex | None = None,
) -> Any:
    r"""Compute the supervised contrast for regression with pairs and mixtures of embeddings.

    Parameters
    ----------
    features : array_like, shape (n, V, d) or (n, d)
        Embeddings of n examples in V views.
    labels : array_like, shape (n,)
        What is to be predicted; examples of equal labels are positive.
    mixtures : array_like, shape (V * n, Q, d), optional
        Mixed embeddings that belong to one row each: first those of all examples in the first view.
    mixture_mask : array_like of int, shape (V * n, Q), optional
        1 for a positive mixture, 0 for a negative, -1 for none. Needed with `mixtures`.
    mixture_labels : array_like, shape (V * n, Q), optional
        The labels of the mixtures. Needed with `mixtures` and `weighting`.
    temperature : float
        What divides the cosines, positive.
    weighting : {"inverse", "inverse_square", "linear", "square"}, optional
        The weight of a term of the denominator by the difference D of the labels: 1 / (1 + \|D\|), 1 / (1 + D²),
        1 + \|D\| or 1 + D². By default all weigh the same.
    weights : array_like, shape (n,), optional
        A weight for each example, finite and not negative.
    weight_norm : {"count", "weights"}
        Whether the mean divides by the number of valid rows or by the sum of their weights.
    on_empty : {"skip", "zero", "error"}
        What a row without a positive does: it is left out, counts with loss 0, or is refused.
    reduction : {"mean", "sum", "none"}
        Return the mean over rows of all views, or the sum or one value for each example of the means over its views.
    return_grad : bool
        Return the gradients as well.
    grad_output : array_like, shape (n,), optional
        For ``reduction="none"`` with `return_grad`, which needs it: the gradient with respect to each value.
    num_threads : int, optional
        The most threads for similarities; by default `fastpair.get_num_threads`.
    max_memory : int, optional
        The most bytes of scratch for similarities beside input and output; by default 64 MiB.

    Returns
    -------
    value : numpy.float64 or ndarray
        The loss; for ``reduction="none"`` float64, shape (n,).
    grads : SuPreMixGrads
        With `return_grad`: the named tuple ``(features, mixtures, temperature)``, in the shapes and dtypes of the
        inputs (float64 for integers). What mixtures were made of gets its part from the caller.

    Raises
    ------
    TypeError
        If a dtype cannot be used, or the mask or the labels of mixtures are missing.
    ValueError
        If shapes do not match, an embedding is NaN or infinite, or an option is out of range.

    See Also
    --------
    fastpair.losses.supcon : The same without mixtures and weights.

    Notes
    -----
    With the logits L, cosines over the temperature, of a row with the other rows and its mixtures,

    .. math:: \log \sum_j w(y_i - y_j) \, e^{L_j} - \frac{1}{|P|} \sum_{p \in P} L_p .

    The sum is over everything that is not excluded; equal labels have the weight 1. All logits of a row are shifted by
    the same maximum.

    Cost: O(V² n² d + V n Q d). Extra memory: tiles of at most `max_memory`, and unit mixtures of a tile.

    References
    ----------
    .. [1] Y. Wu, Z. Dong et al. (2023). Mixup your own pairs. arXiv.

    Examples
    --------
    >>> import fastpair
    >>> x = [[1.0, 0.0], [0.8, 0.6], [0.0, 1.0]]
    >>> fastpair.losses.supremix(x, [1.0, 1.0, 3.0], temperature=0.5).round(6)
    np.float64(0.348458)
    >>> fastpair.losses.supremix(x, [1.0, 1.0, 3.0], temperature=0.5, weighting="linear").round(6)
    np.float64(0.787906)
    """
    if weighting is not None:
        check_choice(weighting, "weighting", WEIGHTINGS)
    divisor = check_number(temperature, "temperature", above=0)
    given, rows = _flatten(features)
    views = 1 if given.ndim == 2 else given.shape[1]
    targets = np.tile(_parse_targets(labels, len(given)), views)
    extra = _parse_mixtures(mixtures, mixture_mask, mixture_labels, rows, weighting)
    pairs = parse_pairs(rows, None, None, "cosine", num_threads, max_memory)
    _, codes, counts = np.unique(targets, return_inverse=True, return_counts=True)
    valid = counts[codes] > 1
    if extra is not None:
        valid |= (extra.mask == 1).any(axis=1)
    how = parse_rows_reduction(
        len(given),
        reduction=reduction,
        on_empty=on_empty,
        weights=weights,
        weight_norm=weight_norm,
        return_grad=return_grad,
        grad_output=grad_output,
        copies=views,
    )
    factors = factors_of(how, valid) if how.return_grad else None
    own_part = np.zeros(rows.shape) if extra is not None and factors is not None else None
    by_mixtures = np.zeros(extra.rows.shape) if extra is not None and factors is not None else None

    def tile(scores: _Array, places: _Ints) -> tuple[Any, ...]:
        columns, own = scores.shape[1], (np.arange(len(places)), places)
        cosines, same = scores.astype(np.float64), codes[places, np.newaxis] == codes
        same[own] = False
        out, differences = np.zeros(cosines.shape, np.bool_), targets[places, np.newaxis] - targets
        out[own] = True
        if extra is not None:
            units, norms = unit_rows(extra.rows[places])
            left, left_norms = unit_rows(rows[places])
            cosines = np.concatenate([cosines, np.einsum("nd,nqd->nq", left, units)], axis=1)
            same = np.concatenate([same, extra.mask[places] == 1], axis=1)
            out = np.concatenate([out, extra.mask[places] == -1], axis=1)
            differences = np.concatenate([differences, targets[places, np.newaxis] - extra.labels[places]], axis=1)
        values, slopes = _weighted_contrast(cosines / divisor, same, out, _log_weights(differences, weighting))
        slopes /= divisor
        by_temperature = -(slopes * cosines).sum(axis=1) / divisor
        if extra is not None and factors is not None and own_part is not None and by_mixtures is not None:
            pull = slopes[:, columns:] * factors[places, np.newaxis]
            towards = np.einsum("nq,nqd->nd", pull, units)
            own_part[places] = away_from_units(towards, left, left_norms)
            by_mixtures[places] = away_from_units(pull[..., np.newaxis] * left[:, np.newaxis], units, norms)
        return values, slopes[:, :columns], (by_temperature,)

    room = 0 if extra is None else -(-2 * extra.rows[:1].size // max(len(rows), 1))
    value, sums = reduce_tiles(pairs, tile, how, valid, arrays=9 + room)
    if not how.return_grad:
        return value
    assert sums.x is not None
    total = sums.x if own_part is None else sums.x + own_part
    if given.ndim == 3:
        total = total.reshape(views, *given.shape[::2]).transpose(1, 0, 2)
    return value, SuPreMixGrads(
        np.ascontiguousarray(in_dtype_of(total, given)),
        None if by_mixtures is None or extra is None else in_dtype_of(by_mixtures, extra.rows),
        np.float64(sum((part.sum() for part in sums.parameters), 0.0)),
    )


class _Mixtures(NamedTuple):
    """Mixtures of each row, their masks and labels."""

    rows: _Array
    mask: _Ints
    labels: _Floats


def _weighted_contrast(
    logits: _Floats, positive: _Bools, out: _Bools, log_weights: _Floats | None
) -> tuple[_Floats, _Floats]:
    """Return the loss of each row and its gradient; a row without positives has the value of its normaliser."""
    terms = logits if log_weights is None else logits + log_weights
    terms = np.where(out, -np.inf, terms)
    largest = terms.max(axis=1, initial=-np.inf, keepdims=True)
    shares = np.exp(terms - np.where(np.isinf(largest), 0.0, largest))
    total = np.maximum(shares.sum(axis=1, keepdims=True), np.finfo(np.float64).tiny)
    pull = positive / np.maximum(np.count_nonzero(positive, axis=1), 1)[:, np.newaxis]
    values = (np.log(total) + np.where(np.isinf(largest), 0.0, largest))[:, 0] - (pull * logits).sum(axis=1)
    return values, shares / total - pull


def _log_weights(differences: _Floats, weighting: str | None) -> _Floats | None:
    if weighting is None:
        return None
    apart = np.abs(differences) if weighting in ("inverse", "linear") else np.square(differences)
    return np.log1p(apart) if weighting in ("linear", "square") else -np.log1p(apart)


def _flatten(features: ArrayLike) -> tuple[_Array, _Array]:
    """Return the features, and the rows of all views, those of the first before those of the second."""
    given = numbers(features, "features", "cosine")
    if given.ndim not in (2, 3) or (given.ndim == 3 and not given.shape[1]):
        raise ValueError(f"features has shape {given.shape}; pass (n, V, d), at least one view, or (n, d)")
    return given, given if given.ndim == 2 else given.transpose(1, 0, 2).reshape(-1, given.shape[2])


def _parse_targets(labels: ArrayLike, count: int) -> _Floats:
    array = numbers(labels, "labels", "dot")
    if array.shape != (count,):
        raise ValueError(f"labels has shape {array.shape}; pass shape ({count},), a label for each example")
    return array.astype(np.float64)


def _parse_mixtures(
    mixtures: ArrayLike | None,
    mask: ArrayLike | None,
    labels: ArrayLike | None,
    rows: _Array,
    weighting: str | None,
) -> _Mixtures | None:
    if mixtures is None:
        if mask is not None or labels is not None:
            raise ValueError("mixture_mask and mixture_labels belong to mixtures, which were not given")
        return None
    array = numbers(mixtures, "mixtures", "cosine")
    if array.ndim != 3 or (array.shape[0], array.shape[2]) != rows.shape:
        raise ValueError(
            f"mixtures has shape {array.shape}; pass ({rows.shape[0]}, Q, {rows.shape[1]}), Q mixtures of each row"
        )
    if mask is None:
        raise TypeError("mixture_mask is None; pass 1 for positive mixtures, 0 for negative ones, -1 for none")
    roles = array_of(mask, "mixture_mask")
    if roles.shape != array.shape[:2] or not np.isin(roles, (-1, 0, 1)).all():
        raise ValueError(f"mixture_mask has shape {roles.shape}; pass 1, 0 or -1 in shape {array.shape[:2]}")
    if labels is None:
        if weighting is not None:
            raise TypeError("mixture_labels is None, but weighting needs the labels of mixtures")
        return _Mixtures(array, roles.astype(np.int64), np.zeros(array.shape[:2]))
    own = numbers(labels, "mixture_labels", "dot")
    if own.shape != array.shape[:2]:
        raise ValueError(f"mixture_labels has shape {own.shape}; pass shape {array.shape[:2]}")
    return _Mixtures(array, roles.astype(np.int64), own.astype(np.float64))
