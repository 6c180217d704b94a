"""Smooth surrogates of one minus AUC over all pairs of a positive and a negative: `mann_whitney`."""

from typing import Any, Literal, NamedTuple, SupportsIndex, TypeAlias

import numpy as np
import numpy.typing as npt

from fastpair._array import ArrayLike, kernels_of, on_gpu_too
from fastpair._labels import Label
from fastpair._validate import check_choice, check_num_threads, check_number, in_dtype_of
from fastpair.losses._lists import (
    OnEmpty,
    PairGrads,
    ReductionName,
    ScoreGrads,
    parse_lists,
    parse_reduction,
    parse_scores,
)
from fastpair.losses._pair_forms import pairs_of_labels, pairs_of_matrix, parse_matrix, weights_of_classes
from fastpair.losses._soft_rank import check_rtol

__all__ = ["SimilarityGrads", "Surrogate", "check_surrogate", "mann_whitney"]

_Array: TypeAlias = npt.NDArray[Any]
Surrogate: TypeAlias = Literal["logistic", "hinge", "squared_hinge", "square", "exponential", "sigmoid", "barrier"]

SURROGATES = ("logistic", "hinge", "squared_hinge", "square", "exponential", "sigmoid", "barrier")


class SimilarityGrads(NamedTuple):
    """The gradient of a loss with respect to a matrix of scores, in its shape and dtype."""

    similarities: _Array


@on_gpu_too
def mann_whitney(
    scores: ArrayLike | None = None,
    labels: ArrayLike | None = None,
    *,
    pos: ArrayLike | None = None,
    neg: ArrayLike | None = None,
    similarities: ArrayLike | None = None,
    positives: ArrayLike | None = None,
    ignore: ArrayLike | None = None,
    surrogate: Surrogate = "logistic",
    temperature: float = 1.0,
    margin: float = 1.0,
    slope: float = 2.0,
    weights: Any = None,
    groups: ArrayLike | None = None,
    offsets: ArrayLike | None = None,
    scope: Literal["global", "row"] = "global",
    normalizer: Literal["pairs", "positives", "groups", "sum"] = "pairs",
    on_empty: OnEmpty = "skip",
    reduction: ReductionName = "mean",
    rtol: float = 1e-12,
    return_grad: bool = False,
    grad_output: ArrayLike | None = None,
    pos_label: Label | None = None,
    num_threads: SupportsIndex | None = None,
) -> Any:
    r"""Compute a smooth surrogate of one minus AUC over all pairs of a positive and a negative.

    Every positive meets every negative, but pairs are never listed: time and memory are those of a sort of the scores
    or less. Pass either scores with labels, or the scores of both classes as `pos` and `neg`, or a matrix of
    similarities.

    Parameters
    ----------
    scores : array_like, shape (n,), optional
        Real scores, the higher the more positive.
    labels : array_like, shape (n,), optional
        Two classes as for `fastpair.auc`, or graded: of more than two distinct numbers, and of any numbers in lists,
        every pair counts in which the first label is larger. NaN leaves the score out.
    pos : array_like, shape (n_pos,), optional
        The scores of the positives, together with `neg`.
    neg : array_like, shape (n_neg,), optional
        The scores of the negatives.
    similarities : array_like, shape (n, m), optional
        A matrix of scores of which some entries are positive and the others negative, for example of queries and the
        passages of a batch.
    positives : array_like, shape (n,) or (n, m), optional
        Which entries of the matrix are positive: a column for each row, or a mask. By default the diagonal.
    ignore : array_like of bool, shape (n, m), optional
        Entries of the matrix that are neither, for example duplicates of the positive.
    surrogate : {"logistic", "hinge", "squared_hinge", "square", "exponential", "sigmoid", "barrier"}
        The function of the difference of scores that takes the place of the indicator, see Notes.
    temperature : float
        What divides the differences, positive.
    margin : float
        The margin of the hinges, the square and the barrier, for which it must not be negative.
    slope : float
        How steep the barrier is outside of its margin, at least 1.
    weights : array_like, shape of the scores, optional
        A weight for each score, finite and not negative; each pair counts as the product of its two weights. For `pos`
        and `neg` a tuple of two arrays (or None).
    groups : array_like, shape (n,), optional
        Ids of lists (integers or strings, in any order): only scores of the same list make pairs. For scores with
        labels.
    offsets : array_like of int, shape (g + 1,), optional
        The same for lists that are contiguous: list ``i`` is ``scores[offsets[i]:offsets[i + 1]]``.
    scope : {"global", "row"}
        Of a matrix: positives meet the negatives of all rows, or each row is a list of its own.
    normalizer : {"pairs", "positives", "groups", "sum"}
        What the mean is taken over: all pairs of all lists; all positives, each with the sum over its negatives; lists,
        each with the mean over its pairs; lists, each with the sum over its pairs.
    on_empty : {"skip", "zero", "error"}
        What a list without a pair does: it is left out, counts with loss 0, or is refused.
    reduction : {"mean", "sum", "none"}
        Return the mean, the sum over lists, or one value for each list.
    rtol : float
        The relative error that the logistic surrogate and the sigmoid may have, from 1e-13 to 1e-2. Larger is faster.
    return_grad : bool
        Return the gradient as well.
    grad_output : array_like, shape (g,), optional
        For ``reduction="none"`` with `return_grad`, which needs it: the gradient with respect to each value.
    pos_label : scalar, optional
        The label of the positive class. Needed unless labels are bool, 0/1, -1/1 or graded.
    num_threads : int, optional
        The most threads to use; by default `fastpair.get_num_threads`.

    Returns
    -------
    value : numpy.float64 or ndarray
        The loss; for ``reduction="none"`` float64, shape (g,), in order of first appearance of the ids or in the order
        of offsets or rows. 0.0 where there is no pair.
    grads : ScoreGrads, PairGrads or SimilarityGrads
        With `return_grad`: the named tuple ``(scores,)``, ``(pos, neg)`` or ``(similarities,)``, in the shape, order
        and dtype of the input (float64 for integers).

    Raises
    ------
    TypeError
        If a dtype cannot be used, or arguments of different forms are mixed.
    ValueError
        If shapes do not match, labels are two values of which none is known to be positive, a weight is negative or
        not finite, or an option is unknown or out of range.

    See Also
    --------
    fastpair.auc : The area itself.
    fastpair.losses.ranknet : The logistic surrogate for graded relevance in lists.

    Notes
    -----
    With positives :math:`p_i`, negatives :math:`q_j`, the temperature t and :math:`z_{ij} = (p_i - q_j) / t`,

    .. math:: L = \frac{1}{Z} \sum_{i,j} w_i w_j \, \varphi(z_{ij}), \quad Z = \sum_{i,j} w_i w_j .

    For "positives" Z is the sum of the weights of the positives that meet a negative, as in the batch formula
    of [1]_. The surrogates, with margin m and slope s, are

    * logistic: :math:`\log(1 + e^{-z})`; then :math:`1 - \mathrm{AUC} \le L / \log 2` at any temperature;
    * hinge :math:`[m - z]_+`, squared hinge :math:`[m - z]_+^2`, square :math:`(m - z)^2`;
    * exponential :math:`e^{-z}`; sigmoid :math:`1 / (1 + e^z)`, which tends to one minus AUC as t tends to 0;
    * barrier: :math:`\max(m - s(m + z),\; s(z - m),\; m - z)`.

    Gradients of all scores add up to 0. At a kink the gradient is 0. Equal infinite scores differ by 0; a NaN score
    makes its list NaN.

    Accuracy: logistic and sigmoid sums go through boxes of nearby scores with Chebyshev expansions, near boxes directly
    and far ones by exponentials. All terms are of one sign, so the value and each component of the gradient have a
    relative error of at most rtol, plus about 1e-14 of rounding. The bound is proved: 6 nodes for each box and class
    have 5e-3, 8 have 6e-5, 12 have 7e-9, 16 (the default) 6e-13 and 18 have 5e-15. The other surrogates are exact up to
    rounding. Sums are formed before their mean is taken: exponentials beyond 1e308 are infinite.

    Cost: O(n) for logistic, sigmoid, square and exponential, O(n log n) for hinges and barrier; k grades take log k
    times as long as two. Memory beyond the scores, with the gradient, for each of many float64 scores: 20 bytes for the
    logistic surrogate and 32 for hinges with `pos` and `neg`, 36 and 48 with labels; up to 90 for the logistic one
    where scores lie temperatures apart. A matrix takes one byte more for each entry, two with `ignore`.

    References
    ----------
    .. [1] Optimizing what matters: AUC-driven learning for robust neural retrieval (2025).
    .. [2] L. Yan, R. Dodier, M. Mozer and R. Wolniewicz (2003). Optimizing classifier performance via an approximation
       to the Wilcoxon-Mann-Whitney statistic. ICML.
    .. [3] K. R. Rust and T. D. Hocking (2023). A log-linear gradient descent algorithm for unbalanced binary
       classification using the all pairs squared hinge loss. arXiv:2302.11062.
    .. [4] N. Charoenphakdee, J. Lee and M. Sugiyama (2019). On symmetric losses for learning from corrupted labels.
       ICML (barrier hinge).

    Examples
    --------
    >>> import fastpair
    >>> scores = [[0.9, 0.2, 0.4], [0.1, 0.7, 0.3], [0.5, 0.6, 0.8]]
    >>> fastpair.losses.mann_whitney(similarities=scores).round(6)
    np.float64(0.497497)
    >>> fastpair.losses.mann_whitney(similarities=scores, surrogate="hinge").round(6)
    np.float64(0.55)

    Value and gradient of labelled scores:

    >>> value, grads = fastpair.losses.mann_whitney(
    ...     [0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1], surrogate="square", return_grad=True
    ... )
    >>> value.round(6)
    np.float64(0.52875)
    >>> grads.scores.round(6)
    array([ 0.525,  0.825, -0.9  , -0.45 ])
    """
    options = check_surrogate(surrogate, temperature, margin, slope, rtol)
    check_choice(scope, "scope", ("global", "row"))
    threads = check_num_threads(num_threads)
    by_class, by_matrix = pos is not None or neg is not None, similarities is not None
    if (scores is not None) + by_class + by_matrix != 1:
        raise TypeError("pass exactly one of scores with labels, pos= with neg=, or similarities=")
    _refuse_others(
        {
            "labels": (labels, not (by_class or by_matrix)),
            "groups": (groups, not (by_class or by_matrix)),
            "offsets": (offsets, not (by_class or by_matrix)),
            "pos_label": (pos_label, not (by_class or by_matrix)),
            "positives": (positives, by_matrix),
            "ignore": (ignore, by_matrix),
            "scope": (scope if scope == "row" else None, by_matrix),
        }
    )
    if by_class:
        above, below = parse_scores(pos, "pos"), parse_scores(neg, "neg")  # type: ignore[arg-type]
        lists = parse_lists(None, None, len(above) + len(below))
    else:
        if by_matrix:
            matrix = parse_matrix(similarities)
            pairs = pairs_of_matrix(matrix, positives, ignore, weights, scope)
        else:
            pairs = pairs_of_labels(scores, labels, pos_label, weights, groups, offsets)
        lists = pairs.lists
    how = parse_reduction(
        lists.count,
        reduction=reduction,
        on_empty=on_empty,
        normalizer=normalizer,
        normalizers=("pairs", "positives", "groups", "sum"),
        return_grad=return_grad,
        grad_output=grad_output,
    )
    if by_class:
        pos_weights, neg_weights = weights_of_classes(above, below, weights)
        sums, masses, uppers, gradient = kernels_of(above).class_loss(
            above, below, pos_weights, neg_weights, *options, how.return_grad, threads
        )
    else:
        sums, masses, uppers, gradient = kernels_of(pairs.scores).pair_loss(
            pairs.scores,
            pairs.relevance,
            pairs.weights,
            lists.offsets,
            lists.rows,
            *options,
            how.return_grad,
            threads,
        )
    # A list without pairs is to be left out, whatever divides the others.
    sizes = np.where(masses > 0, uppers, 0.0) if normalizer == "positives" else masses
    value = how.apply(lists, sums, sizes, gradient)
    if gradient is None:
        return value
    if by_matrix:
        return value, SimilarityGrads(in_dtype_of(gradient, matrix).reshape(matrix.shape))
    if by_class:
        slopes = gradient[: len(above)], gradient[len(above) :]
        return value, PairGrads(in_dtype_of(slopes[0], above), in_dtype_of(slopes[1], below))
    return value, ScoreGrads(in_dtype_of(gradient, pairs.scores))


def check_surrogate(
    surrogate: str, temperature: float = 1.0, margin: float = 1.0, slope: float = 1.0, rtol: float = 1e-12
) -> tuple[str, float, float, float, float]:
    """Return the options of a surrogate, as the kernels take them."""
    check_choice(surrogate, "surrogate", SURROGATES)
    return (
        surrogate,
        check_number(temperature, "temperature", above=0),
        check_number(margin, "margin", least=0 if surrogate == "barrier" else -np.inf),
        check_number(slope, "slope", least=1),
        check_rtol(rtol),
    )


def _refuse_others(given: dict[str, tuple[Any, bool]]) -> None:
    """Demand that arguments which were given belong to the form that was chosen."""
    for argument, (value, belongs) in given.items():
        if value is not None and not belongs:
            owner = "similarities=" if argument in ("positives", "ignore", "scope") else "scores with labels"
            raise TypeError(f"{argument} was given, but belongs to {owner} only; drop it")
