"""Update of a retriever against the rewards of a ranker: `ar2_adversarial`."""

from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from fastpair._array import ArrayLike
from fastpair._embeddings import check_flag, embeddings
from fastpair._validate import check_number, in_dtype_of
from fastpair.losses._aligned import softplus
from fastpair.losses._rows import parse_rows
from fastpair.losses._similarity_kl import log_shares

__all__ = ["Ar2Grads", "ar2_adversarial"]

_Array: TypeAlias = npt.NDArray[Any]
_Floats: TypeAlias = npt.NDArray[np.float64]


class Ar2Grads(NamedTuple):
    """The gradients of `ar2_adversarial` with respect to the retriever's scores and temperature."""

    similarities: _Array
    temperature: np.float64


def ar2_adversarial(
    similarities: ArrayLike,
    ranker: ArrayLike,
    positives: ArrayLike | None = None,
    temperature: float = 1.0,
    *,
    adversarial_weight: float = 0.0,
    ignore: ArrayLike | None = None,
    return_grad: bool = False,
) -> Any:
    r"""Compute the loss of a retriever that is trained against the rewards of a frozen ranker.

    Parameters
    ----------
    similarities : array_like, shape (n, m)
        The retriever's scores of the candidates of each query.
    ranker : array_like, shape (n, m)
        The ranker's scores of the same, which are constants.
    positives : array_like, shape (n,) or (n, m), optional
        The positive of each query: its column as an integer (-1: the query has none), or a bool mask that is True at
        most once in a row. By default the diagonal.
    temperature : float
        What divides the retriever's scores, positive.
    adversarial_weight : float
        The share of the adversarial term, between 0 and 1: lambda of the paper. The rest is that of the ranker's
        softmax as target.
    ignore : array_like of bool, shape (n, m), optional
        Candidates that are left out. They are not positives.
    return_grad : bool
        Return the gradients as well.

    Returns
    -------
    value : numpy.float64
        The loss. 0.0 without a query that has a positive and another candidate.
    grads : Ar2Grads
        With `return_grad`: the named tuple ``(similarities, temperature)``, that of the scores in their shape and dtype
        (float64 for integers).

    Raises
    ------
    TypeError
        If a dtype cannot be used, or an option is not a number.
    ValueError
        If shapes do not match, or an option is out of range.

    See Also
    --------
    fastpair.losses.soft_target_nce : The second term.

    Notes
    -----
    With the retriever's shares :math:`p = \operatorname{softmax}(s / \tau)`, the ranker's scores r and its shares
    :math:`q = \operatorname{softmax}(r)`, the candidate j of a query has the reward
    :math:`\log \sigma(r_+ - r_j)`, which is :math:`-\log 2` for the positive itself, and

    .. math::
       L = \lambda \sum_i \sum_j \log \sigma(r_{i+} - r_{ij}) \log p_{ij}
           - (1 - \lambda) \frac1n \sum_i \sum_j q_{ij} \log p_{ij} .

    The first term is a sum over the queries, the second a mean, as in the released code; nothing is added inside of
    logarithms.

    Cost and memory: O(n m).

    References
    ----------
    .. [1] H. Zhang, Y. Gong, Y. Shen, J. Lv, N. Duan and W. Chen (2022). Adversarial retriever-ranker for dense text
       retrieval. ICLR.

    Examples
    --------
    >>> import fastpair
    >>> fastpair.losses.ar2_adversarial([[1.0, 0.0]], [[2.0, 2.0]], [0], adversarial_weight=1.0).round(6)
    np.float64(1.12742)
    >>> fastpair.losses.ar2_adversarial([[1.0, 0.0]], [[2.0, 2.0]], [0]).round(6)
    np.float64(0.813262)
    """
    rows = parse_rows(similarities, positives, ignore)
    judged = embeddings(ranker, "ranker", "dot")
    if judged.shape != rows.scores.shape:
        raise ValueError(
            f"ranker has shape {judged.shape} but similarities has {rows.scores.shape}; pass a score for each candidate"
        )
    divisor = check_number(temperature, "temperature", above=0)
    weight = check_number(adversarial_weight, "adversarial_weight", least=0, most=1)
    value, by_temperature = 0.0, 0.0
    gradient = np.zeros(rows.scores.shape) if check_flag(return_grad, "return_grad") else None
    share = (1 - weight) / max(int(np.count_nonzero(rows.valid)), 1)
    for part in rows.parts(6):
        scores, out, own = rows.block(part)
        counted = rows.valid[part]
        rewards = judged[part].astype(np.float64)
        rewards[out] = 0.0
        # What all candidates are to add up to: minus the reward, and the ranker's shares.
        with np.errstate(over="ignore"):
            targets = weight * softplus(rewards - np.take_along_axis(rewards, own, axis=1))
        targets += share * np.exp(log_shares(rewards, np.ones((1, 1)), out))
        targets[out | ~counted[:, np.newaxis]] = 0.0
        log_p = log_shares(scores, np.full((1, 1), divisor), out)
        value -= float((targets * log_p).sum())
        if gradient is None:
            continue
        slopes = np.where(out, 0.0, np.exp(log_p)) * targets.sum(axis=1, keepdims=True) - targets
        slopes /= divisor
        by_temperature -= float((slopes * log_p).sum())  # they add up to 0: a shift changes nothing
        gradient[part] = slopes
    if gradient is None:
        return np.float64(value)
    return np.float64(value), Ar2Grads(in_dtype_of(gradient, rows.scores), np.float64(by_temperature))
