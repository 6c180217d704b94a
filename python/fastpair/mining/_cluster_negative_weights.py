"""Weights of negatives by how often clusterings separate them: `cluster_negative_weights`."""

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from fastpair._array import ArrayLike, array_of
from fastpair._roles import same_codes
from fastpair.mining._values import blocks

__all__ = ["cluster_negative_weights"]

_Array: TypeAlias = npt.NDArray[Any]
_Floats: TypeAlias = npt.NDArray[np.float64]


def cluster_negative_weights(assignments: ArrayLike, y_assignments: ArrayLike | None = None) -> _Floats:
    r"""Compute the weight of each negative: in how many clusterings it is in another cluster.

    Parameters
    ----------
    assignments : array_like, shape (t, n) or (n,)
        The cluster of each row in each of t clusterings, integers or strings; one dimension is a single clustering.
    y_assignments : array_like, shape (t, m) or (m,), optional
        Those of the columns in the same clusterings. By default columns are the rows.

    Returns
    -------
    ndarray of float64, shape (n, m)
        The weights, whole numbers from 0 to t. A row and itself have 0.

    Raises
    ------
    TypeError
        If clusters cannot be compared.
    ValueError
        If shapes do not match, or a cluster is NaN.

    See Also
    --------
    fastpair.losses.info_nce : The loss, with ``neg_weights=`` and ``include_positive=False``.

    Notes
    -----
    :math:`w_{ij} = T - |\{t: c_t(i) = c_t(j)\}|`. The weight of the diagonal is 0, so in the published loss the
    positive is not in the denominator, and the loss can be negative; its temperature is 0.4 to 0.9. A row whose
    columns share its cluster every time has weights of 0 alone. It has no negative left, so a loss leaves it out.

    Cost: O(t n m). Extra memory: some MiB beside the result.

    References
    ----------
    .. [1] J. Yu, Q. Ge, X. Li and A. Zhou (2022). Heterogeneous graph contrastive learning with meta-path contexts and
       adaptively weighted negative samples. IEEE TKDE.

    Examples
    --------
    >>> import fastpair
    >>> fastpair.mining.cluster_negative_weights([[0, 0, 1], [0, 1, 1]])
    array([[0., 1., 2.],
           [1., 0., 1.],
           [2., 1., 0.]])
    """
    left = _matrix(assignments, "assignments")
    right = left if y_assignments is None else _matrix(y_assignments, "y_assignments")
    if len(left) != len(right):
        raise ValueError(
            f"assignments has {len(left)} clusterings but y_assignments has {len(right)}; pass the same ones for both"
        )
    codes = [same_codes(x, x if right is left else y, "assignments") for x, y in zip(left, right, strict=True)]
    weights = np.full((left.shape[1], right.shape[1]), float(len(left)))
    for rows in blocks(*weights.shape):
        for x, y in codes:
            weights[rows] -= x[rows, np.newaxis] == y
    return weights


def _matrix(values: ArrayLike, argument: str) -> _Array:
    array = array_of(values, argument)
    if array.ndim not in (1, 2):
        raise ValueError(f"{argument} has shape {array.shape}; pass shape (t, n), a row for each clustering")
    return np.atleast_2d(array)
