"""Right answers of a language model against the log-mean-exp of wrong ones: `disco` and `drpo`."""

from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from fastpair._array import ArrayLike, on_gpu_too, scalar
from fastpair._labels import Label
from fastpair._validate import check_not_negative, check_number
from fastpair.losses._aligned import difference
from fastpair.losses._items import parse_items, parse_positives
from fastpair.losses._lists import OnEmpty, ReductionName, parse_companion, parse_reduction, parse_scores

__all__ = ["DiscoGrads", "disco", "drpo"]

_Array: TypeAlias = npt.NDArray[Any]
_Floats: TypeAlias = npt.NDArray[np.float64]


class DiscoGrads(NamedTuple):
    """The gradients of `disco` with respect to the scores and to the divergence (None without it)."""

    scores: _Array
    kl: np.float64 | None


@on_gpu_too
def disco(
    scores: ArrayLike,
    labels: ArrayLike,
    *,
    groups: ArrayLike | None = None,
    offsets: ArrayLike | None = None,
    temperature: float = 10.0,
    positive_weights: ArrayLike | None = None,
    kl: float | None = None,
    beta: float = 1e3,
    delta: float = 1e-4,
    pos_label: Label | None = None,
    weights: ArrayLike | None = None,
    on_empty: OnEmpty = "skip",
    reduction: ReductionName = "mean",
    return_grad: bool = False,
    grad_output: ArrayLike | None = None,
) -> Any:
    r"""Compute the loss of positives against the log-mean-exp of the negatives of their list (DisCO).

    Parameters
    ----------
    scores : array_like, shape (n,)
        Scores of responses, such as the mean log-probability of their tokens.
    labels : array_like, shape (n,)
        Whether the response is right: bool, 0/1, -1/1, or any two with `pos_label`. NaN leaves the response out.
    groups : array_like, shape (n,), optional
        Ids of lists, the questions (integers or strings, in any order). Without these and `offsets` all scores are one
        list.
    offsets : array_like of int, shape (g + 1,), optional
        The same for lists that are contiguous: list ``i`` is ``scores[offsets[i]:offsets[i + 1]]``.
    temperature : float
        How evenly negatives count, positive: near 0 only the highest does, for large ones all alike.
    positive_weights : array_like, shape (n,), optional
        What each positive counts in the mean over those of its list, finite and not negative; those of negatives are
        not used. They have no gradient.
    kl : float, optional
        The divergence from the old policy, for the penalty that keeps it below `delta`. It has a gradient as well. Not
        with ``reduction="none"``.
    beta : float
        How steep the penalty is, not negative.
    delta : float
        The divergence above which it begins.
    pos_label : scalar, optional
        The label of the positive class. Needed unless labels are bool, 0/1 or -1/1.
    weights : array_like, shape (g,), optional
        A weight for each list, finite and not negative.
    on_empty : {"skip", "zero", "error"}
        What a list without one of the classes does: it is left out, counts with loss 0 (as in the authors' code), or is
        refused.
    reduction : {"mean", "sum", "none"}
        Return the mean or the sum over lists, or one value for each.
    return_grad : bool
        Return the gradients as well.
    grad_output : array_like, shape (g,), optional
        For ``reduction="none"`` with `return_grad`, which needs it: the gradient with respect to each value.

    Returns
    -------
    value : numpy.float64 or ndarray
        The loss; for ``reduction="none"`` float64, shape (g,), in order of first appearance of the ids or in the order
        of offsets. 0.0 where a class is missing.
    grads : DiscoGrads
        With `return_grad`: the named tuple ``(scores, kl)``, the scores in their order and dtype (float64 for
        integers); ``kl`` is None without a divergence.

    Raises
    ------
    TypeError
        If a dtype cannot be used, or an option is not a number.
    ValueError
        If shapes do not match, labels hold more than two classes, a weight is negative or not finite, or an option is
        unknown or out of range.

    See Also
    --------
    fastpair.losses.drpo : Weighs positives by their length.

    Notes
    -----
    With the temperature t, weights w of the positives P of a list, and its negatives N,

    .. math:: S = -\frac{\sum_{i \in P} w_i s_i}{\sum_{i \in P} w_i}
       + t \log\Big(\frac{1}{|N|} \sum_{j \in N} e^{s_j / t}\Big) .

    The gradient is :math:`-w_i / \sum w` for positives and softmax(s / t) over the negatives. A constant that is added
    to all scores of a list changes nothing. The code of the authors returns a ratio near 1 in the place of the
    logarithm, which has this gradient but not this value.

    The penalty is :math:`c \cdot \mathrm{kl}` with :math:`c = [\beta (\mathrm{kl} - \delta)]_+`, added once to the
    reduced loss; c carries no gradient, so that of kl is c.

    Equal infinite scores differ by 0; a NaN score makes its list NaN. Cost: O(n). Memory: O(n).

    References
    ----------
    .. [1] G. Li, M. Lin, T. Galanti, Z. Tu and T. Yang (2025). DisCO: reinforcing large reasoning models with
       discriminative constrained optimization. arXiv:2505.12366.

    Examples
    --------
    >>> import fastpair
    >>> scores, right = [1.0, 0.5, 0.2, -0.3], [1, 1, 0, 0]
    >>> fastpair.losses.disco(scores, right).round(9)
    np.float64(-0.796875325)
    >>> value, grads = fastpair.losses.disco(scores, right, temperature=1, return_grad=True)
    >>> value.round(9)
    np.float64(-0.769070196)
    >>> grads.scores.round(6)
    array([-0.5     , -0.5     ,  0.622459,  0.377541])
    """
    values = parse_scores(scores)
    logs = None
    if positive_weights is not None:
        shares = parse_companion(positive_weights, values, "positive_weights")
        check_not_negative(shares, "positive_weights")
        with np.errstate(divide="ignore"):
            logs = np.log(shares.astype(np.float64))
    how: dict[str, Any] = {"weights": weights, "on_empty": on_empty, "reduction": reduction}
    how |= {"groups": groups, "offsets": offsets, "pos_label": pos_label}
    how |= {"return_grad": return_grad, "grad_output": grad_output}
    return _discriminate(values, labels, logs, temperature, (kl, beta, delta), **how)


@on_gpu_too
def drpo(
    scores: ArrayLike,
    labels: ArrayLike,
    lengths: ArrayLike,
    *,
    groups: ArrayLike | None = None,
    offsets: ArrayLike | None = None,
    temperature: float = 10.0,
    length_temperature: float = 0.1,
    max_length: float | None = None,
    kl: float | None = None,
    beta: float = 1e3,
    delta: float = 1e-4,
    pos_label: Label | None = None,
    weights: ArrayLike | None = None,
    on_empty: OnEmpty = "skip",
    reduction: ReductionName = "mean",
    return_grad: bool = False,
    grad_output: ArrayLike | None = None,
) -> Any:
    r"""Compute `disco` with short positives counting more (decoupled reward policy optimisation, DRPO).

    Parameters
    ----------
    scores : array_like, shape (n,)
        Scores of responses, such as the mean log-probability of their tokens.
    labels : array_like, shape (n,)
        Whether the response is right: bool, 0/1, -1/1, or any two with `pos_label`. NaN leaves the response out.
    lengths : array_like, shape (n,)
        The lengths of the responses, finite and not negative.
    groups : array_like, shape (n,), optional
        Ids of lists, the questions (integers or strings, in any order). Without these and `offsets` all scores are one
        list.
    offsets : array_like of int, shape (g + 1,), optional
        The same for lists that are contiguous: list ``i`` is ``scores[offsets[i]:offsets[i + 1]]``.
    temperature : float
        How evenly negatives count, positive: near 0 only the highest does, for large ones all alike.
    length_temperature : float
        How little lengths count, positive; for large ones this is `disco`.
    max_length : float, optional
        What lengths are divided by, positive. By default the largest of all lengths; the authors' code takes the
        length that responses are padded to.
    kl : float, optional
        The divergence from the old policy, for the penalty that keeps it below `delta`. It has a gradient as well. Not
        with ``reduction="none"``.
    beta : float
        How steep the penalty is, not negative.
    delta : float
        The divergence above which it begins.
    pos_label : scalar, optional
        The label of the positive class. Needed unless labels are bool, 0/1 or -1/1.
    weights : array_like, shape (g,), optional
        A weight for each list, finite and not negative.
    on_empty : {"skip", "zero", "error"}
        What a list without one of the classes does: it is left out, counts with loss 0 (as in the authors' code), or is
        refused.
    reduction : {"mean", "sum", "none"}
        Return the mean or the sum over lists, or one value for each.
    return_grad : bool
        Return the gradients as well.
    grad_output : array_like, shape (g,), optional
        For ``reduction="none"`` with `return_grad`, which needs it: the gradient with respect to each value.

    Returns
    -------
    value : numpy.float64 or ndarray
        The loss; for ``reduction="none"`` float64, shape (g,), in order of first appearance of the ids or in the order
        of offsets. 0.0 where a class is missing.
    grads : DiscoGrads
        With `return_grad`: the named tuple ``(scores, kl)``, the scores in their order and dtype (float64 for
        integers); ``kl`` is None without a divergence.

    Raises
    ------
    TypeError
        If a dtype cannot be used, or an option is not a number.
    ValueError
        If shapes do not match, labels hold more than two classes, a length or weight is negative or not finite, or an
        option is unknown or out of range.

    See Also
    --------
    fastpair.losses.disco : The formula, and weights of any kind.

    Notes
    -----
    With the lengths :math:`\ell`, the largest :math:`\ell_{\max}` and the length temperature :math:`\Lambda`, the loss
    is that of `disco` with the positive weights

    .. math:: w_i = \exp\left(\frac{1 - \ell_i / \ell_{\max}}{\Lambda}\right),

    of which only ratios count: they are formed in the log domain and never overflow. Lengths and weights have no
    gradient.

    Cost: O(n). Memory: O(n).

    References
    ----------
    .. [1] G. Li et al. (2025). DRPO: efficient reasoning via decoupled reward policy optimization. arXiv:2510.04474.

    Examples
    --------
    >>> import fastpair
    >>> scores, right = [1.0, 0.5, 0.2, -0.3], [1, 1, 0, 0]
    >>> fastpair.losses.drpo(scores, right, [900, 300, 500, 1000]).round(6)
    np.float64(-0.548112)
    """
    values = parse_scores(scores)
    sizes = parse_companion(lengths, values, "lengths")
    check_not_negative(sizes, "lengths")
    sizes = sizes.astype(np.float64)
    heat = check_number(length_temperature, "length_temperature", above=0)
    if max_length is None:
        longest: Any = 1.0
        if sizes.size:
            longest = np.where(sizes.max() > 0, sizes.max(), 1.0)  # where all lengths are 0 they are equal
    else:
        longest = check_number(max_length, "max_length", above=0)
    how: dict[str, Any] = {"weights": weights, "on_empty": on_empty, "reduction": reduction}
    how |= {"groups": groups, "offsets": offsets, "pos_label": pos_label}
    how |= {"return_grad": return_grad, "grad_output": grad_output}
    with np.errstate(over="ignore"):
        logs = np.maximum(-(sizes / longest) / heat, -1e300)  # -inf would be no weight at all
    return _discriminate(values, labels, logs, temperature, (kl, beta, delta), **how)


def _discriminate(
    scores: _Array,
    labels: ArrayLike,
    logs: _Floats | None,
    temperature: float,
    penalty: tuple[float | None, float, float],
    *,
    groups: ArrayLike | None,
    offsets: ArrayLike | None,
    pos_label: Label | None,
    **how: Any,
) -> Any:
    """Return `disco` with the logarithms of the weights of positives."""
    heat = check_number(temperature, "temperature", above=0)
    classes = parse_positives(labels, scores, pos_label)
    items = parse_items(scores, classes, groups, offsets)
    reduction = parse_reduction(items.outer.count, **how)
    excess, rate = _penalty(*penalty, how["reduction"])
    lists, positive = items.lists, items.take(classes) == 1
    raw = items.take(scores)
    negatives = lists.sum(~positive)
    logs = np.where(positive, 0.0 if logs is None else items.take(logs), -np.inf)
    with np.errstate(over="ignore", under="ignore", invalid="ignore", divide="ignore"):
        mass = lists.logsumexp(logs)
        shares = np.exp(logs - lists.spread(mass))
        # Everything is measured from the highest negative.
        highest = lists.max(np.where(positive, -np.inf, raw))
        above = difference(raw, lists.spread(highest))
        heats = np.where(positive, -np.inf, above / heat)
        level = heat * np.log1p(lists.sum(np.where(positive, 0.0, np.expm1(heats))) / negatives)
        sums = level - lists.sum(np.where(positive & (shares > 0), shares * above, 0.0))
        pulls = np.exp(heats)
        slopes = np.where(positive, -shares, pulls / lists.spread(lists.sum(pulls)))
    missing = lists.sum(raw != raw) > 0  # also of positives without weight
    sums[missing] = np.nan
    result = items.finish(reduction, scores, sums, (negatives > 0) & (mass > -np.inf), slopes)
    value, grads = result if reduction.return_grad else (result, None)
    if rate is not None:
        value = scalar(value + excess)
    return value if grads is None else (value, DiscoGrads(grads.scores, rate))


def _penalty(kl: float | None, beta: float, delta: float, reduction: str) -> tuple[float, np.float64 | None]:
    """Return the penalty and its rate, which is its derivative; no rate without a divergence."""
    steepness, limit = check_number(beta, "beta", least=0), check_number(delta, "delta")
    if kl is None:
        return 0.0, None
    divergence = check_number(kl, "kl")
    if reduction == "none":
        raise ValueError("kl was given with reduction='none', where there is no one value to add the penalty to")
    rate = max(steepness * (divergence - limit), 0.0)
    return rate * divergence, np.float64(rate)
