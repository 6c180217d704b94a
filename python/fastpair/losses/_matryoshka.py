"""A loss of prefixes of embeddings: `matryoshka`."""

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from fastpair._array import ArrayLike, library_of, on_gpu_too
from fastpair._embeddings import check_count, check_flag, numbers
from fastpair._units import away_from_units, unit_rows
from fastpair._validate import check_not_negative, in_dtype_of

__all__ = ["matryoshka"]

_Array: TypeAlias = npt.NDArray[Any]

EMBEDDINGS = ("x", "y", "z1", "z2", "features", "prototypes", "extra_negatives", "paired_negatives", "negatives")
"""Arguments of losses whose last axis is that of embeddings."""


@on_gpu_too
def matryoshka(
    loss: Callable[..., Any],
    *args: ArrayLike,
    dims: Sequence[int],
    dim_weights: ArrayLike | None = None,
    normalize: bool = False,
    return_grad: bool = False,
    **options: Any,
) -> Any:
    r"""Compute the weighted sum of a loss over prefixes of the embeddings.

    Parameters
    ----------
    loss : callable
        A loss of this namespace that takes embeddings, such as `fastpair.losses.info_nce`.
    *args : array_like, shape (..., D)
        Its embeddings, as the loss takes them: x and y, two views, or features.
    dims : sequence of int
        The lengths of the prefixes, from 1 to D.
    dim_weights : array_like, shape (len(dims),), optional
        A weight for each prefix, finite and not negative. By default 1.
    normalize : bool
        Divide the prefixes by their norms first. Not needed where the metric of the loss is "cosine".
    return_grad : bool
        Return the gradients as well.
    **options
        Further arguments of the loss. Those that are embeddings (`extra_negatives`, `paired_negatives`, `prototypes`,
        or `x` and others by name) are cut too.

    Returns
    -------
    value : numpy.float64 or ndarray
        The sum over prefixes, in the form of the loss.
    grads : NamedTuple
        With `return_grad`: the gradients of the loss, in its named tuple and in the shapes and dtypes of the inputs.

    Raises
    ------
    TypeError
        If the loss is not callable or an argument cannot be used.
    ValueError
        If a prefix is longer than the embeddings, or numbers of prefixes and weights differ.

    See Also
    --------
    fastpair.losses.info_nce : One of the losses.

    Notes
    -----
    .. math:: \sum_k w_k \ell\big(x_{:, 1..d_k}, y_{:, 1..d_k}\big)

    Gradients of prefixes add up. With `fastpair.losses.nt_xent` queries are negatives of queries too, and passages of
    passages.

    Cost: the sum of those of the loss. Extra memory: that of the loss and its gradients twice; copies of 16-bit
    embeddings, and of prefixes with `normalize`.

    References
    ----------
    .. [1] A. Kusupati et al. (2022). Matryoshka representation learning. NeurIPS.

    Examples
    --------
    >>> import fastpair
    >>> x, y = [[3.0, 4.0, 0.0], [1.0, 0.0, 1.0]], [[1.0, 1.0, 0.5], [1.0, -1.0, 0.0]]
    >>> fastpair.losses.matryoshka(fastpair.losses.info_nce, x, y, dims=[2, 3], temperature=0.5).round(6)
    np.float64(0.911965)
    """
    if not callable(loss):
        raise TypeError(
            f"loss must be a function, not {type(loss).__name__}; pass one such as fastpair.losses.info_nce"
        )
    positional = [numbers(value, f"args[{place}]", "dot") for place, value in enumerate(args)]
    named = {name: numbers(options.pop(name), name, "dot") for name in EMBEDDINGS if options.get(name) is not None}
    lengths = {array.shape[-1] for array in (*positional, *named.values()) if array.ndim > 1}
    if len(lengths) != 1:
        raise ValueError(
            f"the embeddings have last axes of {sorted(lengths)}; pass embeddings of one length of at least two "
            f"dimensions"
        )
    longest = lengths.pop()
    widths = [check_count(width, f"dims[{place}]", 1) for place, width in enumerate(dims)]
    if not widths or max(widths) > longest:
        raise ValueError(f"dims is {widths!r}; pass at least one length, each at most {longest}")
    factors = np.ones(len(widths)) if dim_weights is None else numbers(dim_weights, "dim_weights", "dot")
    if factors.shape != (len(widths),):
        raise ValueError(f"dim_weights has shape {factors.shape}; pass shape ({len(widths)},), one for each prefix")
    check_not_negative(factors, "dim_weights")
    wanted, unit = check_flag(return_grad, "return_grad"), check_flag(normalize, "normalize")
    total, grads = None, None
    sums: dict[str, Any] = {}
    # Gradients of prefixes are added before they are rounded to 16 bits.
    inputs = [_wide(array) for array in positional]
    inputs_named = {name: _wide(array) for name, array in named.items()}
    for width, factor in zip(widths, factors.tolist(), strict=True):
        cut = [Prefix(array, width, unit) for array in inputs]
        cut_named = {name: Prefix(array, width, unit) for name, array in inputs_named.items()}
        given = {name: prefix.rows for name, prefix in cut_named.items()}
        result = loss(*(prefix.rows for prefix in cut), **given, **options, return_grad=wanted)
        value, grads = result if wanted else (result, None)
        total = factor * value if total is None else total + factor * value
        if grads is None:
            continue
        prefixes = dict(zip(grads._fields, cut, strict=False)) | cut_named
        parts = {
            name: prefixes[name].gradient(part) if name in prefixes else part
            for name, part in zip(grads._fields, grads, strict=True)
        }
        for name, part in parts.items():
            before = sums.get(name)
            sums[name] = None if part is None else factor * part if before is None else before + factor * part
    if grads is None:
        return total
    likes = dict(zip(grads._fields, positional, strict=False)) | named
    cast = {
        name: in_dtype_of(gradient, likes[name]) if name in likes and gradient is not None else gradient
        for name, gradient in sums.items()
    }
    return total, type(grads)(**cast)


def _wide(array: _Array) -> _Array:
    """Return embeddings of 16 bits in float32."""
    return array.astype(np.float32) if array.dtype.itemsize == 2 and array.dtype.kind not in "iu" else array


class Prefix:
    """The first entries of rows, and how their gradient becomes that of the rows."""

    def __init__(self, array: _Array, width: int, unit: bool) -> None:
        self.shape, self.width = array.shape, width
        self.rows = array[..., :width]
        self.units: Any = None
        if unit:
            self.units, self.norms = unit_rows(self.rows)
            wide = array.dtype.itemsize > 4 or array.dtype.kind in "iu"
            self.rows = self.units.astype(np.float64 if wide else np.float32)

    def gradient(self, gradient: _Array | None) -> _Array | None:
        """Return the gradient of the whole rows in float64, 0 beyond the prefix."""
        if gradient is None:
            return None
        result: _Array = library_of(gradient).zeros(self.shape)
        own = gradient.astype(np.float64)
        result[..., : self.width] = own if self.units is None else away_from_units(own, self.units, self.norms)
        return result
