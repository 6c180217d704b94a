"""Weights of negatives by the similarity of their categories: `category_weights`."""

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from fastpair._array import ArrayLike, array_of
from fastpair._embeddings import embeddings
from fastpair._validate import check_not_negative, check_number
from fastpair.mining._pair_roles import parse_pair_roles
from fastpair.mining._values import blocks, finite

__all__ = ["category_weights"]

_Array: TypeAlias = npt.NDArray[Any]
_Floats: TypeAlias = npt.NDArray[np.float64]


def category_weights(
    similarities: ArrayLike,
    categories: ArrayLike,
    y_categories: ArrayLike | None = None,
    *,
    strength: float = 1.0,
    positives: Any = None,
    ignore: Any = None,
    weights: ArrayLike | None = None,
) -> _Floats:
    r"""Compute weights of negatives that grow with the similarity of the two categories.

    Parameters
    ----------
    similarities : array_like, shape (c, c)
        The similarity of each category to each, such as cosines of embeddings of their names.
    categories : array_like, shape (n,)
        The category of each row, an integer from 0 to c - 1.
    y_categories : array_like, shape (m,), optional
        That of each column. By default columns are the rows.
    strength : float
        How strongly similar categories count: 0 gives weights of 1, a negative number turns the order around.
    positives : array_like, shape (n,) or (n, m), or pairs, optional
        The column of the positive of each row, -1 for none, or a mask in any format of `fastpair.mining.pair_masks`. By
        default the diagonal.
    ignore : array_like of bool, shape (n, m), or pairs, optional
        Pairs that are neither positive nor negative, in the same formats; their weight is 0.
    weights : array_like, shape (n, m), optional
        Other weights of negatives to multiply with, finite and not negative.

    Returns
    -------
    ndarray of float64, shape (n, m)
        The weights of negatives; 1 for positives, 0 for ignored pairs.

    Raises
    ------
    TypeError
        If a dtype cannot be used, or the strength is not a number.
    ValueError
        If a similarity is NaN or infinite, shapes do not match, or a category does not exist.

    See Also
    --------
    fastpair.losses.info_nce : A loss that takes the weights as ``neg_weights=``.

    Notes
    -----
    The formula of the paper was not available to us. This is a simple one that does what it describes, with the
    similarity c of categories and K negatives in a row:

    .. math:: w_{ij} = K \frac{e^{\beta c_{ij}}}{\sum_k e^{\beta c_{ik}}}.

    Their mean over a row is 1, before other weights are multiplied with them.

    Cost: O(n m). Extra memory: some MiB beside the result.

    References
    ----------
    .. [1] Dual prompt learning for adapting vision-language models to downstream image-text retrieval.

    Examples
    --------
    >>> import fastpair
    >>> birds_cats_cars = [[1.0, 0.6, 0.0], [0.6, 1.0, 0.1], [0.0, 0.1, 1.0]]
    >>> fastpair.mining.category_weights(birds_cats_cars, [0, 1, 2]).round(2)
    array([[1.  , 1.29, 0.71],
           [1.24, 1.  , 0.76],
           [0.95, 1.05, 1.  ]])
    """
    table = finite(similarities, "similarities", 2)
    if table.shape[0] != table.shape[1]:
        raise ValueError(f"similarities has shape {table.shape}; pass a square, a row and a column for each category")
    left = _codes(categories, "categories", len(table))
    right = left if y_categories is None else _codes(y_categories, "y_categories", len(table))
    beta = check_number(strength, "strength")
    shape = len(left), len(right)
    roles = parse_pair_roles(shape, positives, ignore)
    others = None
    if weights is not None:
        others = embeddings(weights, "weights", "dot")
        if others.shape != shape:
            raise ValueError(f"weights has shape {others.shape}; pass shape {shape}, one for each pair")
        check_not_negative(others, "weights")
    result = np.empty(shape)
    for rows in blocks(*shape):
        negative, positive = roles.split(rows)
        logits = np.where(negative, beta * table[left[rows, np.newaxis], right], -np.inf)
        largest = logits.max(axis=1, keepdims=True, initial=-np.inf)
        powers = np.exp(logits - np.where(largest > -np.inf, largest, 0.0))
        count = np.count_nonzero(negative, axis=1)[:, np.newaxis]
        powers *= count / np.maximum(powers.sum(axis=1, keepdims=True), 1)  # the largest adds 1
        if others is not None:
            powers *= others[rows]
        powers[positive] = 1.0
        result[rows] = powers
    return result


def _codes(values: ArrayLike, argument: str, count: int) -> _Array:
    array = array_of(values, argument)
    if array.ndim != 1:
        raise ValueError(f"{argument} has shape {array.shape}; pass one dimension, a category for each example")
    if array.dtype.kind not in "iu" and array.size:
        raise TypeError(f"{argument} has dtype {array.dtype}; pass integers, rows of similarities")
    strange = (array < 0) | (array >= count)
    if strange.any():
        index = int(strange.argmax())
        raise ValueError(f"{argument} is {array[index]} at index {index}, but there are {count} categories, from 0 on")
    return array.astype(np.int64)
