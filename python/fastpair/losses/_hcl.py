"""InfoNCE whose negatives weigh more the harder they are, corrected for false ones: `hcl`."""

from typing import Any, SupportsIndex

from fastpair._array import ArrayLike, on_gpu_too
from fastpair._embeddings import check_flag
from fastpair._roles import parse_roles
from fastpair._validate import check_number
from fastpair.losses._embedding import (
    SimilarityMetric,
    WeightNorm,
    evaluate,
    finish,
    parse_pairs,
    parse_rows_reduction,
    parse_temperature,
)
from fastpair.losses._lists import OnEmpty, ReductionName

__all__ = ["hcl"]


@on_gpu_too
def hcl(
    x: ArrayLike | None = None,
    y: ArrayLike | None = None,
    positives: ArrayLike | None = None,
    temperature: Any = 0.5,
    beta: float = 1.0,
    tau_plus: float = 0.1,
    *,
    similarities: ArrayLike | None = None,
    metric: SimilarityMetric = "cosine",
    ignore: Any = None,
    neg_mask: Any = None,
    ids: Any = None,
    groups: Any = None,
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
    r"""Compute the hard contrastive loss: importance-weighted negatives, debiased for false ones.

    Parameters
    ----------
    x : array_like, shape (n, d), optional
        Embeddings of the rows: floats of 16 to 64 bits, or integers.
    y : array_like, shape (m, d), optional
        Embeddings of the columns; by default x itself, each row without itself.
    positives : array_like of int, shape (n,), optional
        The column of the positive of each row (-1: the row has none). By default the diagonal.
    temperature : float or array_like, shape (n,)
        What similarities are divided by, positive: one number, or one for each row.
    beta : float
        How much harder negatives weigh more, not negative; 0 is the debiased loss.
    tau_plus : float
        The share of negatives that are false, at least 0 and less than 1; 0 takes no account of them.
    similarities : array_like, shape (n, m), optional
        Similarities in place of x and y, larger for closer.
    metric : {"cosine", "dot", "sqeuclidean", "euclidean"}
        What a similarity is. That of a distance is minus the distance.
    ignore : array_like or tuple, optional
        Pairs that are neither positive nor negative: bool of shape (n, m), or any format of pairs of `fastpair.mining`.
    neg_mask : array_like, tuple or Miner, optional
        Which pairs may be negatives, in any format of pairs: others that are not positive are ignored. A
        `fastpair.mining.Miner` finds them inside of the loss.
    ids : array_like, shape (m,), or tuple of two, optional
        Identities of the columns: duplicates of the positive of a row are ignored. A tuple has those of rows and those
        of columns.
    groups : array_like, shape (n,), or tuple of two, optional
        Only columns of the group of the row count.
    detach_weights : bool
        Take no gradient of the importance weights.
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
    grads : EmbeddingGrads
        With `return_grad`: the named tuple ``(x, y, temperature, similarities)``, in the shapes and dtypes of the
        inputs (float32 or float64 for integers), None for what was not given.

    Raises
    ------
    TypeError
        If a dtype cannot be used, or an option is not a number.
    ValueError
        If shapes do not match, roles of pairs overlap, or an option is out of range.

    See Also
    --------
    fastpair.losses.info_nce : The same with ``beta=0`` and ``tau_plus=0``.

    Notes
    -----
    With :math:`L_{ij} = s_{ij} / t` and the N negatives of a row,

    .. math:: R = N \frac{\sum_j e^{(1 + \beta) L_j}}{\sum_j e^{\beta L_j}}, \qquad
       G = \max\Big(\frac{R - \tau_+ N e^{L_+}}{1 - \tau_+},\, N e^{-1/t}\Big), \qquad
       \ell = \log(1 + G e^{-L_+}) .

    All of it is evaluated in logarithms. Where the maximum is its second argument, negatives have no gradient. For two
    views whose rows are all anchors (N = 2 n - 2), as in the reference, stack them: ``hcl(numpy.concatenate([z1, z2]),
    positives=...)`` with the column of the other view.

    Cost: O(n m d), twice with gradients. Extra memory: O(n + m) and `max_memory`.

    References
    ----------
    .. [1] J. Robinson, C.-Y. Chuang, S. Sra and S. Jegelka (2021). Contrastive learning with hard negative samples.
       ICLR.
    .. [2] C.-Y. Chuang et al. (2020). Debiased contrastive learning. NeurIPS.

    Examples
    --------
    >>> import fastpair
    >>> scores = [[0.9, 0.2, 0.4], [0.1, 0.7, 0.3], [0.5, 0.6, 0.8]]
    >>> fastpair.losses.hcl(similarities=scores).round(6)
    np.float64(0.552537)
    """
    pairs = parse_pairs(x, y, similarities, metric, num_threads, max_memory)
    rows = pairs.shape[0]
    roles = parse_roles(
        pairs.shape,
        pairs.within,
        positives,
        ignore=ignore,
        neg_mask=neg_mask,
        groups=groups,
        ids=ids,
        metric=pairs.closeness,
    )
    if getattr(roles.positives, "ndim", 1) != 1:
        raise ValueError("positives is a mask, but hcl has one positive in each row; pass its column")
    share = check_number(tau_plus, "tau_plus", least=0)
    if share >= 1:
        raise ValueError(f"tau_plus must be less than 1, not {tau_plus!r}")
    options = {
        **roles.options(),
        "temperature": parse_temperature(temperature, rows),
        "beta": check_number(beta, "beta", least=0),
        "tau_plus": share,
        "detach_weights": check_flag(detach_weights, "detach_weights"),
    }
    how = parse_rows_reduction(
        rows,
        reduction=reduction,
        on_empty=on_empty,
        weights=weights,
        weight_norm=weight_norm,
        return_grad=return_grad,
        grad_output=grad_output,
    )
    return finish(pairs, evaluate(pairs, "hard_negatives", options, how), temperature, how)
