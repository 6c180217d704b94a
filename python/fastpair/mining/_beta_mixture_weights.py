"""Weights of negatives by the probability that they are true ones: `beta_mixture_weights`."""

from math import lgamma, log
from typing import Any, NamedTuple, SupportsIndex, TypeAlias

import numpy as np
import numpy.typing as npt

from fastpair._array import ArrayLike
from fastpair._embeddings import check_count
from fastpair._validate import check_number
from fastpair.mining._pair_roles import parse_pair_roles
from fastpair.mining._values import blocks, finite, first_place

__all__ = ["BetaMixture", "beta_mixture_weights"]

_Floats: TypeAlias = npt.NDArray[np.float64]

EDGE = 1e-12
"""Similarities are kept so far from 0 and 1, where densities may be infinite."""


class BetaMixture(NamedTuple):
    """The weight of each pair, and the mixture: parameters and shares of true and of false negatives, in this order."""

    weights: _Floats
    alphas: _Floats
    betas: _Floats
    shares: _Floats


def beta_mixture_weights(
    similarities: ArrayLike,
    positives: Any = None,
    *,
    ignore: Any = None,
    n_iter: SupportsIndex = 10,
    false_share: float = 0.05,
) -> BetaMixture:
    r"""Compute weights of negatives that are large for hard ones, unless these are probably false.

    Parameters
    ----------
    similarities : array_like, shape (n, m)
        Cosine similarities, from -1 to 1.
    positives : array_like, shape (n,) or (n, m), or pairs, optional
        The column of the positive of each row, -1 for none, or a mask in any format of `fastpair.mining.pair_masks`. By
        default the diagonal.
    ignore : array_like of bool, shape (n, m), or pairs, optional
        Pairs that are neither positive nor negative, in the same formats; their weight is 0.
    n_iter : int
        How many steps of expectation maximisation to take.
    false_share : float
        The share of false negatives that they begin with, between 0 and 1.

    Returns
    -------
    BetaMixture
        The named tuple ``(weights, alphas, betas, shares)``: float64, shape (n, m), 1 for positives and 0 for ignored
        pairs; and for true and for false negatives the parameters of their distribution and their share, shape (2,).
        Where similarities have no spread that two distributions could explain, the weights of negatives are 1 and the
        parameters NaN.

    Raises
    ------
    TypeError
        If a dtype cannot be used, or an option is not a number.
    ValueError
        If a similarity is NaN or not between -1 and 1, shapes do not match, or an option is out of range.

    See Also
    --------
    fastpair.losses.info_nce : A loss that takes the weights as ``neg_weights=``.

    Notes
    -----
    With :math:`x = (s + 1) / 2`, all negatives together are taken for a mixture of two beta distributions, and that
    with the lower mean for the true negatives. Starting from Beta(1, 2) and Beta(2, 1), each step computes the
    probabilities :math:`p_{ij}` of being a true negative and then the moments of both parts, which give the parameters
    :math:`\alpha = \mu (\mu (1 - \mu) / \sigma^2 - 1)` and :math:`\beta = \alpha (1 - \mu) / \mu`. The weight is
    :math:`w_{ij} = p_{ij} x_{ij}`, divided by its mean over the negatives of the row. The released code of ProGCL also
    raises a second :math:`\beta` below 1 to 1.01, and fits a random part of the pairs; here it is what the moments say,
    of all pairs. If a part loses its spread, as when a single pair remains in it, the steps end before.

    Weights serve in the denominator of a loss, or to mix hard negatives.

    Cost: O(n m) for each step. Extra memory: some MiB beside the result.

    References
    ----------
    .. [1] J. Xia, L. Wu, G. Wang, J. Chen and S. Z. Li (2022). ProGCL: rethinking hard negative mining in graph
       contrastive learning. ICML.
    .. [2] Y. Yu, X. Wang, M. Zhang, N. Liu and C. Shi (2023). Provable training for graph contrastive learning.
       NeurIPS.

    Examples
    --------
    >>> import fastpair
    >>> scores = [[1.0, -0.1, 0.0, 0.2, 0.98], [0.1, 1.0, -0.2, 0.05, 0.15]]
    >>> fastpair.mining.beta_mixture_weights(scores).weights.round(2)
    array([[1.  , 1.16, 1.29, 1.55, 0.  ],
           [1.07, 1.  , 0.78, 1.02, 1.12]])
    """
    scores = finite(similarities, "similarities", 2)
    outside = np.abs(scores) > 1 + 1e-6  # room for rounding
    if outside.any():
        raise ValueError(
            f"similarities is {scores[outside][0]} at {first_place(outside)}; pass cosines, between -1 and 1"
        )
    steps = check_count(n_iter, "n_iter", 1)
    share = check_number(false_share, "false_share", above=0)
    if share >= 1:
        raise ValueError(f"false_share must be below 1, not {false_share!r}")
    shape = scores.shape[0], scores.shape[1]
    roles = parse_pair_roles(shape, positives, ignore)

    def values(rows: slice) -> _Floats:
        return np.clip((scores[rows] + 1) / 2, EDGE, 1 - EDGE)

    mixture: _Mixture | None = None
    following: _Mixture | None = _Mixture(np.array([1.0, 2.0]), np.array([2.0, 1.0]), np.array([1 - share, share]))
    for _ in range(steps):
        assert following is not None
        sums = np.zeros((3, 2))
        for rows in blocks(*shape):
            chosen = values(rows)[roles.split(rows)[0]]
            sums += _moments(chosen, following.true_negative(chosen))
        following = _fitted(sums)
        if following is None:  # a part without spread has no distribution: the last mixture stands
            break
        mixture = following
    weights = np.empty(shape)
    for rows in blocks(*shape):
        negative, positive = roles.split(rows)
        block = np.ones(negative.shape)
        if mixture is not None:
            x = values(rows)
            block = np.where(negative, mixture.true_negative(x) * x, 0.0)
            total = block.sum(axis=1, keepdims=True)
            count = np.count_nonzero(negative, axis=1)[:, np.newaxis]
            block = np.divide(block * count, total, out=np.ones(block.shape), where=total > 0)
        block[~negative] = 0.0
        block[positive] = 1.0
        weights[rows] = block
    if mixture is None:
        return BetaMixture(weights, np.full(2, np.nan), np.full(2, np.nan), np.full(2, np.nan))
    return BetaMixture(weights, *mixture)


class _Mixture(NamedTuple):
    """Two beta distributions and their shares; the first has the lower mean."""

    alphas: _Floats
    betas: _Floats
    shares: _Floats

    def true_negative(self, x: _Floats) -> _Floats:
        """Return the probability that values are of the first part."""
        constant = log(self.shares[1]) - log(self.shares[0])
        for sign, alpha, beta in zip((-1, 1), self.alphas, self.betas, strict=True):
            constant += sign * (lgamma(alpha + beta) - lgamma(alpha) - lgamma(beta))
        odds = constant + (self.alphas[1] - self.alphas[0]) * np.log(x)
        odds += (self.betas[1] - self.betas[0]) * np.log1p(-x)
        return np.asarray(0.5 * (1 - np.tanh(0.5 * odds)))


def _moments(x: _Floats, true: _Floats) -> _Floats:
    """Return sums of probabilities, of values and of squares, the latter two from 1/2, for both parts."""
    parts, moved = np.stack([true, 1 - true]), x - 0.5
    return np.stack([parts.sum(axis=1), parts @ moved, parts @ (moved * moved)])


def _fitted(sums: _Floats) -> _Mixture | None:
    """Return the mixture with these moments, None where a part is empty or without spread."""
    counts = sums[0]
    if not (counts > 0).all():
        return None
    centres = sums[1] / counts
    means, variances = centres + 0.5, sums[2] / counts - centres**2
    if not (variances > EDGE).all():
        return None
    sizes = means * (1 - means) / variances - 1
    if not (sizes > 0).all():
        return None
    order = np.argsort(means, kind="stable")
    return _Mixture((means * sizes)[order], ((1 - means) * sizes)[order], (counts / counts.sum())[order])
