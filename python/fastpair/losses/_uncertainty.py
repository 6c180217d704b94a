"""InfoNCE with a term on augmented targets that their own spread weighs: `uncertainty_info_nce`."""

from typing import Any, NamedTuple, SupportsIndex, TypeAlias

import numpy as np
import numpy.typing as npt

from fastpair._array import ArrayLike
from fastpair._embeddings import check_flag, embeddings
from fastpair._validate import check_number, in_dtype_of
from fastpair.losses._embedding import SimilarityMetric
from fastpair.losses._info_nce import info_nce

__all__ = ["UncertaintyInfoNceGrads", "uncertainty_info_nce"]

_Array: TypeAlias = npt.NDArray[Any]


class UncertaintyInfoNceGrads(NamedTuple):
    """The gradients of `uncertainty_info_nce`, that of the augmented targets through their spread as well."""

    x: _Array
    y: _Array
    augmented: _Array
    temperature: np.float64


def uncertainty_info_nce(
    x: ArrayLike,
    y: ArrayLike,
    augmented: ArrayLike,
    gamma: float = 0.5,
    temperature: float = 1.0,
    *,
    metric: SimilarityMetric = "dot",
    return_grad: bool = False,
    num_threads: SupportsIndex | None = None,
    max_memory: SupportsIndex | None = None,
) -> Any:
    r"""Compute InfoNCE mixed with one on augmented targets that weighs less the more they spread.

    Parameters
    ----------
    x : array_like, shape (n, d)
        Embeddings of queries.
    y : array_like, shape (n, d)
        Embeddings of their targets.
    augmented : array_like, shape (n, d)
        The targets with noise.
    gamma : float
        The share of the augmented term, between 0 and 1; the paper has :math:`e^{-g t / T}` in the epoch t of T.
    temperature : float
        What divides the similarities, positive.
    metric : {"dot", "cosine", "sqeuclidean", "euclidean"}
        The similarity of embeddings; that of a distance is minus the distance.
    return_grad : bool
        Return the gradients as well.
    num_threads : int, optional
        The most threads to use; by default `fastpair.get_num_threads`.
    max_memory : int, optional
        The most bytes of scratch beside input and output; by default 64 MiB, or what one thread needs.

    Returns
    -------
    value : numpy.float64
        The loss.
    grads : UncertaintyInfoNceGrads
        With `return_grad`: the named tuple ``(x, y, augmented, temperature)``, those of arrays in their shapes and
        dtypes (float64 for integers).

    Raises
    ------
    TypeError
        If a dtype cannot be used, or an option is not a number.
    ValueError
        If shapes do not match, an embedding is NaN or infinite, or an option is out of range.

    See Also
    --------
    fastpair.losses.info_nce : Both terms.

    Notes
    -----
    With the unbiased standard deviation :math:`\sigma` of all entries of the augmented targets :math:`y'`

    .. math:: \frac{\gamma}{2} \left(e^{-\sigma} \mathrm{NCE}(x, y') + \sigma\right) + (1 - \gamma) \mathrm{NCE}(x, y) .

    The paper draws :math:`y' = \alpha \circ \mathrm{norm}(y) + \beta` with :math:`\alpha` and :math:`\beta` around 1
    and the mean, of the deviations of the rows; the draws are the caller's. Equal entries have no gradient of
    :math:`\sigma`.

    Cost: O(n² d). Extra memory: that of `info_nce`.

    References
    ----------
    .. [1] Y. Chen, Z. Zheng, W. Ji, L. Qu and T.-S. Chua (2024). Composed image retrieval with text feedback via
       multi-grained uncertainty regularization. ICLR.

    Examples
    --------
    >>> import fastpair
    >>> x, y = [[1.0, 0.0], [0.0, 1.0]], [[1.0, 0.0], [0.0, 1.0]]
    >>> fastpair.losses.uncertainty_info_nce(x, y, y, gamma=0.0).round(6)
    np.float64(0.313262)
    >>> fastpair.losses.uncertainty_info_nce(x, y, y, gamma=1.0).round(6)
    np.float64(0.376605)
    """
    share = check_number(gamma, "gamma", least=0, most=1)
    divisor = check_number(temperature, "temperature", above=0)
    wanted = check_flag(return_grad, "return_grad")
    given = [embeddings(a, n, metric) for a, n in ((x, "x"), (y, "y"), (augmented, "augmented"))]
    if given[1].shape != given[0].shape or given[2].shape != given[0].shape:
        raise ValueError(
            f"x has shape {given[0].shape}, y {given[1].shape} and augmented {given[2].shape}; pass the same shape"
        )
    options: dict[str, Any] = {
        "temperature": divisor,
        "metric": metric,
        "return_grad": wanted,
        "num_threads": num_threads,
        "max_memory": max_memory,
    }
    plain, noisy = (info_nce(given[0], other, **options) for other in given[1:])
    noise = given[2].astype(np.float64)
    deviation = float(noise.std(ddof=1)) if noise.size > 1 else 0.0
    trust = float(np.exp(-deviation))
    first, second = (plain[0], noisy[0]) if wanted else (plain, noisy)
    value = np.float64(share / 2 * (trust * second + deviation) + (1 - share) * first)
    if not wanted:
        return value
    of_plain, of_noisy = plain[1], noisy[1]
    weight, rest = share / 2 * trust, 1 - share
    by_noise = weight * of_noisy.y.astype(np.float64)
    if deviation > 0:
        pull = share / 2 * (1 - trust * second) / ((noise.size - 1) * deviation)
        by_noise += pull * (noise - noise.mean())
    by_x = rest * of_plain.x.astype(np.float64) + weight * of_noisy.x
    return value, UncertaintyInfoNceGrads(
        in_dtype_of(by_x, given[0]),
        in_dtype_of(rest * of_plain.y.astype(np.float64), given[1]),
        in_dtype_of(by_noise, given[2]),
        np.float64(rest * of_plain.temperature + weight * of_noisy.temperature),
    )
