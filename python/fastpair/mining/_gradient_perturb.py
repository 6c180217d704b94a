"""Embeddings after one step along a gradient: `gradient_perturb`."""

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from fastpair._array import ArrayLike
from fastpair._validate import check_number, in_dtype_of
from fastpair.mining._shares import embeddings_of_floats

__all__ = ["gradient_perturb"]

_Array: TypeAlias = npt.NDArray[Any]


def gradient_perturb(x: ArrayLike, gradient: ArrayLike, eps: float = 1.0) -> _Array:
    r"""Move each embedding by a step of given length along its gradient.

    Parameters
    ----------
    x : array_like, shape (n, d)
        Embeddings: floats of 16 to 64 bits, or integers.
    gradient : array_like, shape (n, d)
        The gradient of a loss with respect to them, as losses return it with ``return_grad=True``.
    eps : float
        The length of the step; negative to go down instead of up.

    Returns
    -------
    ndarray, shape (n, d)
        The moved embeddings in the dtype of x (float64 for integers).

    Raises
    ------
    TypeError
        If a dtype cannot be used, or `eps` is not a number.
    ValueError
        If shapes do not match, or a number is NaN or infinite.

    See Also
    --------
    fastpair.losses.info_nce : The scores of moved embeddings replace its positives, or join its negatives.

    Notes
    -----
    Row by row :math:`x + \varepsilon \, g / (|g| + 10^{-12})`. A step up the gradient of the contrastive loss makes the
    positive harder while it is still one; a step up the likelihood of a wrong target makes a negative that looks right.
    A gradient of 0 moves nothing, and no gradient is so large or small that its norm leaves the range.

    Cost: O(n d). Peak extra memory: some copies of the input in float64.

    References
    ----------
    .. [1] S. Lee, D. B. Lee and S. J. Hwang (2021). Contrastive learning with adversarial perturbations for conditional
       text generation. ICLR.

    Examples
    --------
    >>> from fastpair import mining
    >>> mining.gradient_perturb([[1.0, 1.0], [2.0, 2.0]], [[3.0, 4.0], [0.0, 0.0]], 0.5)
    array([[1.3, 1.4],
           [2. , 2. ]])
    """
    given, rows = embeddings_of_floats(x, "x")
    slopes = embeddings_of_floats(gradient, "gradient")[1]
    if rows.shape != slopes.shape:
        raise ValueError(f"x has shape {rows.shape} but gradient has {slopes.shape}; pass one of the same shape")
    length = check_number(eps, "eps")
    # Divided by its largest part first, and what is added to the norm with it, so that no square overflows.
    largest = np.abs(slopes).max(axis=1, initial=0.0, keepdims=True)
    scaled = np.divide(slopes, largest, out=np.zeros(slopes.shape), where=largest > 0)
    norms = np.sqrt((scaled * scaled).sum(axis=1, keepdims=True))
    with np.errstate(over="ignore"):
        norms += np.divide(1e-12, largest, out=np.ones_like(largest), where=largest > 0)
    return in_dtype_of(rows + length * (scaled / norms), given)
