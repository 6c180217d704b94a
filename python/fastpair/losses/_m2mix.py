"""Contrast of two modalities with negatives that are mixed on the sphere: `m2mix`."""

from typing import Any, NamedTuple, SupportsIndex, TypeAlias

import numpy as np
import numpy.typing as npt

from fastpair._array import ArrayLike
from fastpair._embeddings import check_flag, embeddings, numbers, same_width
from fastpair._units import away_from_units, unit_rows
from fastpair._validate import check_number, in_dtype_of
from fastpair.losses._embedding import WeightNorm
from fastpair.losses._info_nce import info_nce
from fastpair.losses._lists import OnEmpty, ReductionName

__all__ = ["M2MixGrads", "m2mix"]

_Array: TypeAlias = npt.NDArray[Any]
_Floats: TypeAlias = npt.NDArray[np.float64]


class M2MixGrads(NamedTuple):
    """The gradients of `m2mix`, through the mixed vectors as well."""

    x: _Array
    y: _Array
    temperature: np.float64


def m2mix(
    x: ArrayLike,
    y: ArrayLike,
    mix: float | ArrayLike = 0.5,
    temperature: float = 0.01,
    *,
    weights: ArrayLike | None = None,
    weight_norm: WeightNorm = "count",
    on_empty: OnEmpty = "skip",
    reduction: ReductionName = "mean",
    return_grad: bool = False,
    grad_output: ArrayLike | None = None,
    num_threads: SupportsIndex | None = None,
    max_memory: SupportsIndex | None = None,
) -> Any:
    r"""Compute the contrast of two modalities whose negatives are mixed on the sphere.

    Parameters
    ----------
    x : array_like, shape (n, d)
        Embeddings of one modality.
    y : array_like, shape (n, d)
        Those of the other; rows of the same index belong together.
    mix : float or array_like, shape (n,)
        The share of x in the mixtures, between 0 and 1: one, or one of each pair, such as draws from a beta
        distribution.
    temperature : float
        What divides the cosines, positive.
    weights : array_like, shape (n,), optional
        A weight for each row, finite and not negative.
    weight_norm : {"count", "weights"}
        Whether the mean divides by the number of valid rows or by the sum of their weights.
    on_empty : {"skip", "zero", "error"}
        What a single row, which has no negatives, does: it is left out, counts with loss 0, or is refused.
    reduction : {"mean", "sum", "none"}
        Return the mean or the sum over rows, or one value for each: the sum of both directions.
    return_grad : bool
        Return the gradients as well.
    grad_output : array_like, shape (n,), optional
        For ``reduction="none"`` with `return_grad`, which needs it: the gradient with respect to each value.
    num_threads : int, optional
        The most threads to use; by default `fastpair.get_num_threads`.
    max_memory : int, optional
        The most bytes of scratch beside input and output; by default 64 MiB, or what one thread needs.

    Returns
    -------
    value : numpy.float64 or ndarray
        The loss; for ``reduction="none"`` float64, shape (n,).
    grads : M2MixGrads
        With `return_grad`: the named tuple ``(x, y, temperature)``, in the shapes and dtypes of the inputs (float64 for
        integers).

    Raises
    ------
    TypeError
        If a dtype cannot be used, or an option is not a number.
    ValueError
        If shapes do not match, an embedding is NaN or infinite, or an option is out of range.

    See Also
    --------
    fastpair.losses.clip : The contrast without mixtures.

    Notes
    -----
    The pair of unit vectors at the angle :math:`\theta` is mixed to
    :math:`m = (\sin(\lambda \theta) x + \sin((1 - \lambda) \theta) y) / \sin \theta`. The loss is InfoNCE of the rows
    of x against the mixtures, with their own y in place of their own mixture, plus the same of the rows of y. For
    :math:`\lambda = 0` the first is plain InfoNCE. The gradient goes through the mixtures. Opposite vectors have no
    mixture: its cosines are 0, and so is its gradient.

    Cost: O(n² d). Extra memory: the mixtures in float64, and `max_memory`.

    References
    ----------
    .. [1] C. Oh et al. (2023). Geodesic multi-modal mixup for robust fine-tuning. NeurIPS.

    Examples
    --------
    >>> import fastpair
    >>> x, y = [[1.0, 0.0], [0.0, 1.0]], [[0.8, 0.6], [0.6, 0.8]]
    >>> fastpair.losses.m2mix(x, y, 0.3, temperature=0.5).round(6)
    np.float64(1.179074)
    """
    rows, others = same_width(embeddings(x, "x", "cosine"), embeddings(y, "y", "cosine"), "cosine")
    if len(rows) != len(others):
        raise ValueError(f"x has {len(rows)} rows but y has {len(others)}; pass a row of y for each row of x")
    share = _parse_mix(mix, len(rows))
    divisor = check_number(temperature, "temperature", above=0)
    wanted = check_flag(return_grad, "return_grad")
    left, left_norms = unit_rows(rows)
    right, right_norms = unit_rows(others)
    cosines = np.einsum("ij,ij->i", left, right)
    of_left, slope_left, of_right, slope_right = _geodesic(cosines, share)
    mixed = of_left * left + of_right * right
    options: dict[str, Any] = {
        "weights": weights,
        "weight_norm": weight_norm,
        "on_empty": on_empty,
        "reduction": reduction,
        "return_grad": return_grad,
        "grad_output": grad_output,
        "num_threads": num_threads,
        "max_memory": max_memory,
    }
    first = info_nce(left, mixed, cosines, divisor, **options)
    second = info_nce(right, mixed, cosines, divisor, **options)
    if not wanted:
        return first + second
    grads, turned = first[1], second[1]
    by_mixed, by_cosines = grads.y + turned.y, grads.positives + turned.positives
    by_cosines = by_cosines + (by_mixed * (slope_left * left + slope_right * right)).sum(axis=1)
    by_left = grads.x + of_left * by_mixed + by_cosines[:, np.newaxis] * right
    by_right = turned.x + of_right * by_mixed + by_cosines[:, np.newaxis] * left
    return first[0] + second[0], M2MixGrads(
        in_dtype_of(away_from_units(by_left, left, left_norms), rows),
        in_dtype_of(away_from_units(by_right, right, right_norms), others),
        np.float64(grads.temperature + turned.temperature),
    )


def _parse_mix(mix: Any, count: int) -> _Floats:
    if np.ndim(mix) == 0:
        return np.full(count, check_number(mix, "mix", least=0, most=1))
    array = numbers(mix, "mix", "dot")
    if array.shape != (count,):
        raise ValueError(f"mix has shape {array.shape}; pass one number, or one for each of the {count} rows")
    if not ((array >= 0) & (array <= 1)).all():
        raise ValueError("mix must be between 0 and 1")
    return array.astype(np.float64)


def _geodesic(cosines: _Floats, share: _Floats) -> tuple[_Floats, _Floats, _Floats, _Floats]:
    """Return the factors of both vectors and their derivatives by the cosine, as columns."""
    cut = np.clip(cosines, -1, 1)
    angle = np.arccos(cut)
    sine = np.sqrt((1 - cut) * (1 + cut))
    near, opposite = angle < 1e-3, angle > np.pi - 1e-6
    safe = np.where(near | opposite, 1.0, sine)
    results: list[_Floats] = []
    for part in (share, 1 - share):
        # The series around the angle 0 in powers of 1 - cos, whose derivative is that by the cosine.
        gap = 1 - cut
        series = part * (1 + (1 - part**2) * gap / 3)
        factor = np.where(near, series, np.sin(part * angle) / safe)
        turn = (part * np.cos(part * angle) * sine - np.sin(part * angle) * cut) / safe**2
        slope = np.where(near, -part * (1 - part**2) / 3, -turn / safe)
        factor[opposite], slope[opposite] = 0.0, 0.0
        results += [factor[:, np.newaxis], slope[:, np.newaxis]]
    return results[0], results[1], results[2], results[3]
