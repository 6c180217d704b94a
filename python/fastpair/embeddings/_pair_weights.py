"""How strongly a loss pulls and pushes each of its pairs: `pair_weights`."""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from fastpair._array import ArrayLike
from fastpair._embeddings import embeddings

__all__ = ["PairWeights", "pair_weights"]

_Array: TypeAlias = npt.NDArray[Any]
_Floats: TypeAlias = npt.NDArray[np.float64]
_Signs: TypeAlias = npt.NDArray[np.int8]


class PairWeights(NamedTuple):
    """The weight and the sign of each pair, the sums of weights of each row, and their ratio.

    The sign is -1 for a pair that is pulled together, 1 for one that is pushed apart, 0 for one without weight.
    """

    weights: _Array
    signs: _Signs
    pull: _Floats
    push: _Floats
    ratio: _Floats


def pair_weights(loss: Callable[..., Any], similarities: ArrayLike, *arguments: Any, **options: Any) -> PairWeights:
    r"""Compute the weights that a loss gives its pairs: how strongly its gradient pulls and pushes them.

    Parameters
    ----------
    loss : callable
        A loss with ``similarities=`` and ``return_grad=``, such as `fastpair.losses.info_nce`, whose gradients have the
        field ``similarities``.
    similarities : array_like, shape (n, m)
        The similarities at which its gradient is taken.
    *arguments
        What the loss gets after the similarities, for losses that begin with these.
    **options
        What it gets by name.

    Returns
    -------
    PairWeights
        The named tuple ``(weights, signs, pull, push, ratio)``: the absolute gradient of each pair, shape (n, m); -1
        where it is negative, so that the pair is pulled together, 1 where it is pushed apart, else 0 (int8); the sums
        of weights of both kinds for each row, shape (n,), and pull over push, NaN where both are 0.

    Raises
    ------
    TypeError
        If the loss is no function, or has no gradient of similarities.
    ValueError
        If the similarities have not two dimensions, or the loss refuses its arguments.

    See Also
    --------
    fastpair.losses.custom : A loss from its weights.

    Notes
    -----
    In the view of general pair weighting every loss of pairs is :math:`\sum_{ij} w_{ij} s_{ij}` with the weights
    :math:`w_{ij} = |\partial L / \partial s_{ij}|` and signs as constants; losses differ in their weights alone. The
    softmax losses give a negative the weight of its share and the positive the sum of those, so that their ratio is 1;
    sigmoid losses :math:`\sigma(z)` and :math:`1 - \sigma(z)`. Weights are those of the reduced value: ask for
    ``reduction="sum"`` to have them without the factor of a mean.

    Cost and memory: those of the loss, and O(n m).

    References
    ----------
    .. [1] X. Wang, X. Han, W. Huang, D. Dong and M. R. Scott (2019). Multi-similarity loss with general pair weighting
       for deep metric learning. CVPR.

    Examples
    --------
    >>> import fastpair
    >>> found = fastpair.embeddings.pair_weights(fastpair.losses.comp_sum, [[2.0, 1.0, 0.0]], reduction="sum")
    >>> found.weights.round(3), found.signs
    (array([[0.335, 0.245, 0.09 ]]), array([[-1,  1,  1]], dtype=int8))
    >>> found.pull.round(3), found.ratio.round(3)
    (array([0.335]), array([1.]))
    """
    if not callable(loss):
        raise TypeError(f"loss must be a function such as fastpair.losses.info_nce, not {loss!r}")
    scores = embeddings(similarities, "similarities", "dot")
    if "return_grad" in options:
        raise TypeError("return_grad is passed by pair_weights itself; drop it")
    if arguments:
        result = loss(scores, *arguments, return_grad=True, **options)
    else:
        result = loss(similarities=scores, return_grad=True, **options)
    gradient = getattr(result[1], "similarities", None) if isinstance(result, tuple) and len(result) == 2 else None
    if gradient is None or np.shape(gradient) != scores.shape:
        name = getattr(loss, "__name__", repr(loss))
        raise TypeError(f"{name} returned no gradient of similarities; pass a loss that has one")
    slopes = np.asarray(gradient)
    weights = np.abs(slopes)
    pull = np.where(slopes < 0, weights, 0).sum(axis=1, dtype=np.float64)
    push = np.where(slopes > 0, weights, 0).sum(axis=1, dtype=np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = pull / push
    return PairWeights(weights, np.sign(slopes).astype(np.int8), pull, push, ratio)
