"""Cross-entropy of the positive against negatives, in all its forms: `info_nce`."""

from functools import partial
from typing import Any, Literal, NamedTuple, SupportsIndex, TypeAlias

import numpy as np
import numpy.typing as npt

from fastpair._array import ArrayLike, on_gpu_too, scalar
from fastpair._embeddings import check_count, check_flag, numbers
from fastpair._validate import check_choice, check_number, in_dtype_of
from fastpair.losses._embedding import SimilarityMetric, WeightNorm, cast, parse_pairs, parse_rows_reduction
from fastpair.losses._info_nce_form import (
    MULTI_POSITIVE,
    check_symmetric,
    evaluate_slots,
    parse_form,
    parse_slots,
    random_generator,
)
from fastpair.losses._lists import OnEmpty, ReductionName
from fastpair.losses._softmax_form import Form, Slopes, evaluate_form, evaluate_symmetric

__all__ = ["InfoNceGrads", "MultiPositive", "info_nce"]

_Array: TypeAlias = npt.NDArray[Any]

MultiPositive: TypeAlias = Literal["mean", "sum", "log_mean", "log_sum", "each", "sample"]


class InfoNceGrads(NamedTuple):
    """The gradients of `info_nce`; None for what was not given or not asked for.

    Those of arrays have the shapes and dtypes of the inputs. Without y, that of x is the sum of both roles. That of a
    scalar temperature is a float64.
    """

    x: _Array | None = None
    y: _Array | None = None
    positives: _Array | None = None
    temperature: Any = None
    similarities: _Array | None = None
    extra_negatives: _Array | None = None
    extra_similarities: _Array | None = None
    paired_negatives: _Array | None = None
    neg_weights: _Array | None = None


@on_gpu_too
def info_nce(
    x: ArrayLike | None = None,
    y: ArrayLike | None = None,
    positives: ArrayLike | None = None,
    temperature: Any = 0.07,
    *,
    similarities: ArrayLike | None = None,
    metric: SimilarityMetric = "cosine",
    symmetric: bool = False,
    labels: Any = None,
    extra_negatives: ArrayLike | None = None,
    extra_similarities: ArrayLike | None = None,
    paired_negatives: ArrayLike | None = None,
    ignore: Any = None,
    neg_mask: Any = None,
    ids: Any = None,
    groups: Any = None,
    neg_weights: ArrayLike | None = None,
    pos_weights: ArrayLike | None = None,
    grad_weights: bool = False,
    include_positive: bool = True,
    multi_positive: MultiPositive = "mean",
    seed: int | np.random.Generator | None = None,
    label_smoothing: float = 0.0,
    margin: float = 0.0,
    arc_margin: float = 0.0,
    hard_k: SupportsIndex | None = None,
    hard_threshold: float | None = None,
    focal_gamma: float = 0.0,
    detach_weights: bool = False,
    weights: ArrayLike | None = None,
    weight_norm: WeightNorm = "count",
    on_empty: OnEmpty = "skip",
    reduction: ReductionName = "mean",
    return_grad: bool = False,
    grad_output: ArrayLike | None = None,
    num_threads: SupportsIndex | None = None,
    max_memory: SupportsIndex | None = None,
) -> Any:
    r"""Compute InfoNCE: softmax cross-entropy of the positive of each row against negatives.

    The matrix of similarities is never formed, unless it, or another array of its size, is passed.

    Parameters
    ----------
    x : array_like, shape (n, d), optional
        Embeddings of the rows: floats of 16 to 64 bits, or integers.
    y : array_like, shape (m, d) or (n, p, d), optional
        Embeddings of the columns; by default x itself, each row without itself. With p slots for each row, see
        `multi_positive`.
    positives : array_like, shape (n,) or (n, m), optional
        The positive of each row: its column as an integer (-1: the row has none), or a mask of one or several: bool, or
        any format of pairs of `fastpair.mining`. By default the diagonal. Floats of shape (n,) are similarities that
        replace those of the diagonal.
    temperature : float or array_like, shape (n,) or (n, m)
        What similarities are divided by, positive: one number, one for each row, or one for each pair, then with
        columns also for extra negatives, paired negatives and extra similarities, in this order.
    similarities : array_like, shape (n, m), optional
        Similarities in place of x and y, larger for closer.
    metric : {"cosine", "dot", "sqeuclidean", "euclidean"}
        What a similarity is. That of a distance is minus the distance.
    symmetric : bool
        Return the mean of the loss of rows and of that of columns (CLIP). Further negatives belong to the rows only.
    labels : array_like, shape (n,), or tuple of two, optional
        In place of `positives`: equal labels are positive. A tuple has those of rows and those of columns.
    extra_negatives : array_like, shape (k, d), optional
        Embeddings that are negatives of all rows, such as a queue.
    extra_similarities : array_like, shape (n, h), optional
        Similarities of further negatives of each row.
    paired_negatives : array_like, shape (n, k, d), optional
        Embeddings that are negatives of one row each.
    ignore : array_like or tuple, optional
        Pairs that are neither positive nor negative: bool of shape (n, m), or any format of pairs of `fastpair.mining`.
    neg_mask : array_like, tuple or Miner, optional
        Which pairs may be negatives, in any format of pairs: others that are not positive are ignored. A
        `fastpair.mining.Miner` finds them inside of the loss.
    ids : array_like, shape (m,), or tuple of two, optional
        Identities of the columns: duplicates of the positive of a row are ignored. A tuple has those of rows and those
        of columns (which extra negatives may follow).
    groups : array_like, shape (n,), or tuple of two, optional
        Only columns of the group of the row count, and its further negatives.
    neg_weights : array_like, shape (n, m) or (m,), optional
        Weights of negatives in the partition function, not negative; 0 leaves one out.
    pos_weights : array_like, shape (n,) or (n, m), optional
        The same for positives.
    grad_weights : bool
        Return the gradient of `neg_weights` too.
    include_positive : bool
        Whether positives are in the partition function.
    multi_positive : {"mean", "sum", "log_mean", "log_sum", "each", "sample"}
        How several positives of a row become one value, see the notes.
    seed : int or numpy.random.Generator, optional
        Draws the positives of ``multi_positive="sample"``. Needed there.
    label_smoothing : float
        Share of the target, from 0 to 1, that is spread over all columns.
    margin, arc_margin : float
        What positives lose: from their similarity, and (radians, from 0 to pi) from their angle.
    hard_k : int, optional
        Only so many negatives of each row count, the most similar ones.
    hard_threshold : float, optional
        Only negatives that are at least so similar count.
    focal_gamma : float
        Multiplies the loss v of a row by :math:`(1 - e^{-v})^\gamma`.
    detach_weights : bool
        Take no gradient of that factor.
    weights : array_like, shape (n,), optional
        A weight for each row, finite and not negative.
    weight_norm : {"count", "weights"}
        Whether the mean divides by the number of rows that count, or by the sum of their weights.
    on_empty : {"skip", "zero", "error"}
        What a row without a positive or without a negative does: it is left out, counts with loss 0, or is refused.
    reduction : {"mean", "sum", "none"}
        Return the mean or the sum over rows, or one value for each.
    return_grad : bool
        Return the gradients as well.
    grad_output : array_like, shape (n,), optional
        For ``reduction="none"`` with `return_grad`, which needs it: the gradient with respect to each value.
    num_threads : int, optional
        The most threads to use; by default `fastpair.get_num_threads`.
    max_memory : int, optional
        The most bytes of scratch beside input and output; by default 64 MiB, or what one thread needs.

    Returns
    -------
    value : numpy.float64 or ndarray
        The loss; for ``reduction="none"`` float64, shape (n,). 0.0 where no row counts.
    grads : InfoNceGrads
        With `return_grad`: the named tuple ``(x, y, positives, temperature, similarities, extra_negatives,
        extra_similarities, paired_negatives, neg_weights)``, in the shapes and dtypes of the inputs (float32 or float64
        for integers), None for what was not given.

    Raises
    ------
    TypeError
        If a dtype cannot be used, or an option is not a number.
    ValueError
        If shapes do not match, roles of pairs overlap, or an option is out of range or does not go with another.

    See Also
    --------
    fastpair.losses.clip : Both directions.
    fastpair.losses.supcon : Several positives by labels.
    fastpair.losses.hcl : Hard negatives weigh more.

    Notes
    -----
    With :math:`L_{ij} = s_{ij} / t`, the positive + and the negatives N(i) of a row with weights w, the loss is

    .. math:: \ell_i = -L_{i+} + \log\Big(e^{L_{i+}} + \sum_{j \in N(i)} w_{ij} e^{L_{ij}}\Big)

    and its gradient with respect to :math:`L_{ij}` the softmax of the row minus the target. Weights enter as
    :math:`\log w` in the logit. Several positives P of a row, with :math:`Z` the partition function of all:

    * "mean": :math:`\log Z - \frac{1}{|P|} \sum_p L_p`, the mean of :math:`-\log p`; "sum" is another name for it;
    * "log_sum": :math:`\log Z - \log \sum_p e^{L_p}`, and "log_mean": the same plus :math:`\log |P|`;
    * "each": the mean of the losses of each positive without the others. With y of shape (n, p, d) it is the mean over
      slots: in-batch negatives of one slot are those of other rows in this slot, and ``extra_negatives``;
    * "sample": a random positive (or slot) of each row, the others left out.

    `margin` makes :math:`s_+ - m` of the positive, `arc_margin` :math:`\cos(\theta + m)`, beyond :math:`\pi - m` the
    line :math:`s_+ - m \sin m`. Targets of `label_smoothing` e are :math:`(1 - e)` on the positives plus e divided by
    the number of columns that count. Selected negatives are found before weights; ties go to the lowest index.

    Recipes: MultipleNegativesRankingLoss of sentence-transformers is ``temperature=0.05`` (its scale is 20). AMCL adds
    heads, one call with a temperature T for each pair for each of them, and ``beta * mean(d / 2 * log(T) + 1 / T)``.
    SoftREPA passes ``similarities=kappa * exp(-errors / t)`` with ``temperature=1``; with g the gradient of these
    similarities S, that of the errors is ``-g * S / t`` and that of kappa ``sum(g * S) / kappa``.

    Cost: O(n m d), twice with gradients. Extra memory: O(n + m) and `max_memory`; copies of y with `extra_negatives`;
    n x m numbers for temperatures or weights of pairs, which are as large themselves.

    References
    ----------
    .. [1] A. van den Oord, Y. Li and O. Vinyals (2018). Representation learning with contrastive predictive coding.
       arXiv:1807.03748.
    .. [2] M. Henderson et al. (2017). Efficient natural language response suggestion for Smart Reply. arXiv:1705.00652.

    Examples
    --------
    >>> import fastpair
    >>> scores = [[0.9, 0.2, 0.4], [0.1, 0.7, 0.3], [0.5, 0.6, 0.8]]
    >>> fastpair.losses.info_nce(similarities=scores, temperature=0.1, reduction="none").round(6)
    array([0.007621, 0.020581, 0.169846])
    >>> x, y = [[3.0, 4.0], [1.0, 0.0]], [[1.0, 1.0], [1.0, -1.0]]
    >>> value, grads = fastpair.losses.info_nce(x, y, temperature=0.5, return_grad=True)
    >>> float(value.round(6)), float(grads.temperature.round(6))
    (0.396073, 0.213277)
    """
    check_choice(multi_positive, "multi_positive", (*MULTI_POSITIVE, "sample"))
    both = check_flag(symmetric, "symmetric")
    rng = None if multi_positive != "sample" else random_generator(seed)

    def evaluate(columns: ArrayLike | None) -> tuple[Slopes, Form]:
        """Return the value and gradients for y of two dimensions."""
        pairs = parse_pairs(x, columns, similarities, metric, num_threads, max_memory)
        form = parse_form(
            pairs,
            positives,
            temperature,
            labels=labels,
            extra_negatives=extra_negatives,
            extra_similarities=extra_similarities,
            paired_negatives=paired_negatives,
            ignore=ignore,
            neg_mask=neg_mask,
            ids=ids,
            groups=groups,
            neg_weights=neg_weights,
            pos_weights=pos_weights,
            grad_weights=grad_weights,
            rng=rng if slots is None else None,
            options={
                "include_positive": check_flag(include_positive, "include_positive"),
                "multi_positive": MULTI_POSITIVE.get(multi_positive, "mean") if slots is None else "mean",
                "label_smoothing": check_number(label_smoothing, "label_smoothing", least=0, most=1),
                "margin": check_number(margin, "margin"),
                "arc_margin": check_number(arc_margin, "arc_margin", least=0, most=np.pi),
                "hard_k": None if hard_k is None else check_count(hard_k, "hard_k", 1),
                "hard_threshold": None if hard_threshold is None else check_number(hard_threshold, "hard_threshold"),
                "focal_gamma": check_number(focal_gamma, "focal_gamma", least=0),
                "detach_focal": check_flag(detach_weights, "detach_weights"),
            },
        )
        how = partial(
            parse_rows_reduction,
            reduction=reduction,
            on_empty=on_empty,
            weights=weights,
            weight_norm=weight_norm,
            return_grad=return_grad,
            grad_output=grad_output,
        )
        if not both:
            return evaluate_form(form, how(pairs.shape[0])), form
        check_symmetric(form, reduction, weights)
        return evaluate_symmetric(form, how(pairs.shape[0]), how(pairs.shape[1])), form

    slots = parse_slots(y)
    if slots is None:
        slopes, form = evaluate(y)
    else:
        slopes, form = evaluate_slots(slots, multi_positive, positives, evaluate, rng)
    if not check_flag(return_grad, "return_grad"):
        return slopes.value
    temperatures = slopes.temperature
    if np.ndim(temperature) == 0:
        temperatures = scalar(np.sum(temperatures))
    else:
        temperatures = in_dtype_of(temperatures, numbers(temperature, "temperature", "dot"))
    return slopes.value, InfoNceGrads(
        cast(slopes.x, form.pairs.x),
        cast(slopes.y, form.pairs.y),
        cast(slopes.positives, form.replaced),
        temperatures,
        cast(slopes.similarities, form.pairs.similarities),
        cast(slopes.extra, form.extra),
        cast(slopes.scores, form.scores),
        cast(slopes.paired, form.paired),
        None if neg_weights is None else cast(slopes.neg_weights, numbers(neg_weights, "neg_weights", "dot")),
    )
