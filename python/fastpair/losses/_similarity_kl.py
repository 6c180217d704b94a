"""Divergences between the softmax over similarities of a student and that of a teacher: `similarity_kl`."""

from typing import Any, Literal, NamedTuple, SupportsIndex, TypeAlias

import numpy as np
import numpy.typing as npt

from fastpair._array import ArrayLike, array_of
from fastpair._embeddings import check_flag
from fastpair._validate import check_choice
from fastpair.losses._embedding import (
    Pairs,
    SimilarityMetric,
    WeightNorm,
    cast,
    parse_pairs,
    parse_rows_reduction,
    parse_temperature,
    temperature_gradient,
)
from fastpair.losses._lists import OnEmpty, ReductionName
from fastpair.losses._tiles import factors_of, reduce_tiles, scores_of

__all__ = ["SimilarityKlGrads", "relation_kl", "similarity_kl"]

_Array: TypeAlias = npt.NDArray[Any]
_Floats: TypeAlias = npt.NDArray[np.float64]
_Ints: TypeAlias = npt.NDArray[np.int64]
_Bools: TypeAlias = npt.NDArray[np.bool_]

KlMode: TypeAlias = Literal["forward", "reverse", "symmetric", "js"]

LEAST_LOG = -1e150
"""Smaller logarithms of shares are cut off, so that their products and differences stay finite."""


class SimilarityKlGrads(NamedTuple):
    """The gradients of `similarity_kl`, None for what was not given; that of the teacher only where asked for."""

    x: _Array | None
    y: _Array | None
    similarities: _Array | None
    teacher: _Array | None
    temperature: Any


def similarity_kl(
    similarities: ArrayLike | None = None,
    teacher: ArrayLike | None = None,
    temperature: float | ArrayLike = 0.1,
    teacher_temperature: float | ArrayLike | None = None,
    mode: KlMode = "forward",
    *,
    x: ArrayLike | None = None,
    y: ArrayLike | None = None,
    teacher_x: ArrayLike | None = None,
    teacher_y: ArrayLike | None = None,
    metric: SimilarityMetric = "cosine",
    ignore: ArrayLike | None = None,
    weights: ArrayLike | None = None,
    weight_norm: WeightNorm = "count",
    on_empty: OnEmpty = "skip",
    reduction: ReductionName = "mean",
    return_grad: bool = False,
    teacher_grad: bool = False,
    grad_output: ArrayLike | None = None,
    num_threads: SupportsIndex | None = None,
    max_memory: SupportsIndex | None = None,
) -> Any:
    r"""Compute how far the softmax over similarities of a student is from that of a teacher.

    Also called relation_kl: relations of embeddings are taught, not the embeddings.

    Parameters
    ----------
    similarities : array_like, shape (n, m), optional
        The student's similarities. Either these or x are needed.
    teacher : array_like, shape (n, m), optional
        The teacher's similarities. Either these or `teacher_x` are needed.
    temperature : float or array_like, shape (n,)
        What divides the student's similarities, positive.
    teacher_temperature : float or array_like, shape (n,), optional
        What divides those of the teacher; by default the same numbers.
    mode : {"forward", "reverse", "symmetric", "js"}
        The divergence, with the student's shares p and the teacher's shares q: KL(q, p), KL(p, q), half of their sum,
        or the Jensen-Shannon divergence.
    x : array_like, shape (n, d), optional
        Embeddings of the student, in place of `similarities`.
    y : array_like, shape (m, d), optional
        What they are compared with; by default x itself, each row also with itself.
    teacher_x : array_like, shape (n, e), optional
        Embeddings of the teacher, in place of `teacher`.
    teacher_y : array_like, shape (m, e), optional
        What they are compared with; by default `teacher_x` itself.
    metric : {"cosine", "dot", "sqeuclidean", "euclidean"}
        The similarity of embeddings; that of a distance is minus the distance.
    ignore : array_like of bool, shape (n, m), optional
        Entries that are left out of both softmaxes.
    weights : array_like, shape (n,), optional
        A weight for each row, finite and not negative.
    weight_norm : {"count", "weights"}
        Whether the mean divides by the number of valid rows or by the sum of their weights.
    on_empty : {"skip", "zero", "error"}
        What a row with fewer than two entries does: it is left out, counts with loss 0, or is refused.
    reduction : {"mean", "sum", "none"}
        Return the mean or the sum over rows, or one value for each.
    return_grad : bool
        Return the gradients as well.
    teacher_grad : bool
        Return that of `teacher` too, which must be a matrix; otherwise the teacher is a constant.
    grad_output : array_like, shape (n,), optional
        For ``reduction="none"`` with `return_grad`, which needs it: the gradient with respect to each value.
    num_threads : int, optional
        The most threads for similarities of embeddings; by default `fastpair.get_num_threads`.
    max_memory : int, optional
        The most bytes of scratch beside input and output; by default 64 MiB.

    Returns
    -------
    value : numpy.float64 or ndarray
        The loss; for ``reduction="none"`` float64, shape (n,). 0.0 without a row of two entries.
    grads : SimilarityKlGrads
        With `return_grad`: the named tuple ``(x, y, similarities, teacher, temperature)``, in the shapes and dtypes of
        the inputs (float64 for integers), None for what was not given or asked for.

    Raises
    ------
    TypeError
        If a dtype cannot be used, or the student or the teacher is missing.
    ValueError
        If shapes do not match, both forms of student or teacher are given, or an option is out of range.

    See Also
    --------
    fastpair.losses.soft_target_nce : The cross-entropy against given shares.

    Notes
    -----
    With :math:`p = \operatorname{softmax}(s / \tau)` and :math:`q = \operatorname{softmax}(t / \tau')` of a row the
    gradient of the forward divergence :math:`\sum_j q_j \log(q_j / p_j)` is :math:`(p - q) / \tau`, that of the
    reverse one :math:`p (\log p - \log q - \mathrm{KL}) / \tau`. Everything is evaluated from logarithms of shares,
    nothing is added inside of them; they are cut off at -1e150. The gradient of the temperature is that of the
    student's alone, also where the teacher's is the same.

    Cost: O(n m d) from embeddings, O(n m) from matrices. Extra memory: tiles of at most `max_memory`; no matrix of n by
    m is formed from embeddings of the student and the teacher.

    References
    ----------
    .. [1] G. Hinton, O. Vinyals and J. Dean (2015). Distilling the knowledge in a neural network. arXiv:1503.02531.
    .. [2] W. Park, D. Kim, Y. Lu and M. Cho (2019). Relational knowledge distillation. CVPR.
    .. [3] J. Lin (1991). Divergence measures based on the Shannon entropy. IEEE Transactions on Information Theory 37.

    Examples
    --------
    >>> import fastpair
    >>> student = [[0.9, 0.2, 0.4], [0.1, 0.7, 0.3], [0.5, 0.6, 0.8]]
    >>> teacher = [[1.0, 0.2, 0.1], [0.3, 0.9, 0.2], [0.1, 0.4, 0.8]]
    >>> fastpair.losses.similarity_kl(student, teacher, 0.1).round(6)
    np.float64(0.044028)
    >>> fastpair.losses.similarity_kl(student, teacher, 0.1, mode="js").round(6)
    np.float64(0.013896)
    """
    check_choice(mode, "mode", ("forward", "reverse", "symmetric", "js"))
    student = parse_pairs(x, y, similarities, metric, num_threads, max_memory)
    if teacher is None and teacher_x is None:
        raise TypeError("teacher is None; pass a matrix as teacher=, or embeddings as teacher_x=")
    if teacher is not None and (teacher_x is not None or teacher_y is not None):
        raise ValueError("teacher was given together with embeddings of the teacher; pass one form")
    other = parse_pairs(teacher_x, teacher_y, teacher, metric, num_threads, max_memory)
    if other.shape != student.shape:
        raise ValueError(
            f"the teacher has {other.shape[0]} rows and {other.shape[1]} columns, but the student has "
            f"{student.shape[0]} and {student.shape[1]}; pass a teacher of the same shape"
        )
    check_flag(teacher_grad, "teacher_grad")
    if teacher_grad and (teacher is None or not return_grad):
        raise ValueError("teacher_grad=True needs return_grad=True and a matrix as teacher=")
    rows, columns = student.shape
    own = parse_temperature(temperature, rows)
    theirs = own if teacher_temperature is None else parse_temperature(teacher_temperature, rows, "teacher_temperature")
    ignored = None if ignore is None else _parse_ignore(ignore, student.shape)
    counts = np.full(rows, columns) if ignored is None else columns - np.count_nonzero(ignored, axis=1)
    valid = counts > 1
    how = parse_rows_reduction(
        rows,
        reduction=reduction,
        on_empty=on_empty,
        weights=weights,
        weight_norm=weight_norm,
        return_grad=return_grad,
        grad_output=grad_output,
    )
    by_teacher = np.zeros(student.shape) if teacher_grad else None
    tile = _Divergence(other, np.broadcast_to(own, rows), np.broadcast_to(theirs, rows), ignored, mode, by_teacher)
    tile.gradient = how.return_grad
    value, sums = reduce_tiles(student, tile, how, valid, arrays=9)
    if not how.return_grad:
        return value
    if by_teacher is not None:
        by_teacher *= factors_of(how, valid)[:, np.newaxis]
    return value, SimilarityKlGrads(
        sums.x,
        sums.y,
        sums.similarities,
        cast(by_teacher, other.similarities),
        temperature_gradient(sums.parameters[0] if sums.parameters else np.zeros(rows), temperature),
    )


relation_kl = similarity_kl


class _Divergence:
    """The tile function: values of rows and their derivatives by similarities and temperature."""

    def __init__(
        self,
        teacher: Pairs,
        own: _Floats,
        theirs: _Floats,
        ignored: _Bools | None,
        mode: str,
        by_teacher: _Floats | None,
    ) -> None:
        self.teacher, self.own, self.theirs = teacher, own, theirs
        self.ignored, self.mode, self.by_teacher = ignored, mode, by_teacher
        self.gradient = False

    def __call__(self, scores: _Array, rows: _Ints) -> tuple[Any, ...]:
        part = slice(int(rows[0]), int(rows[-1]) + 1)
        out = None if self.ignored is None else self.ignored[part]
        shape = (len(rows), scores.shape[1])
        wide = np.float32 if self.teacher.x is not None and self.teacher.narrow else np.float64
        student, scale = scores.astype(np.float64), self.own[part, np.newaxis]
        given, divisor = scores_of(self.teacher, part, np.empty(shape, wide)).astype(np.float64), self.theirs[part]
        log_p, log_q = log_shares(student, scale, out), log_shares(given, divisor[:, np.newaxis], out)
        p, q = np.exp(log_p), np.exp(log_q)
        if out is not None:
            p[out], q[out] = 0.0, 0.0
        values, by_p, by_q = _divergence(log_p, log_q, p, q, self.mode, self.by_teacher is not None)
        if not self.gradient:
            return values, None
        by_p /= scale
        if self.by_teacher is not None and by_q is not None:
            self.by_teacher[part] = by_q / divisor[:, np.newaxis]
        # Derivatives of a row add up to 0, so that logits may be replaced by logarithms of shares.
        return values, by_p, (-(by_p * log_p).sum(axis=1),)


def log_shares(scores: _Floats, temperature: _Floats, out: _Bools | None = None) -> _Floats:
    """Return the logarithm of the softmax of each row over what is not left out, which has -1e150 itself."""
    left = scores if out is None else np.where(out, -np.inf, scores)
    with np.errstate(over="ignore", invalid="ignore"):
        largest = left.max(axis=1, initial=-np.inf, keepdims=True)
        logits = (left - np.where(np.isinf(largest), 0.0, largest)) / temperature
        logits -= np.log(np.maximum(np.exp(logits).sum(axis=1, keepdims=True), np.finfo(np.float64).tiny))
    return np.asarray(np.maximum(logits, LEAST_LOG))


def _divergence(
    log_p: _Floats, log_q: _Floats, p: _Floats, q: _Floats, mode: str, both: bool
) -> tuple[_Floats, _Floats, _Floats | None]:
    """Return values and their derivatives by the logits of p and, with `both`, of q."""
    if mode == "js":
        log_m = np.logaddexp(log_p, log_q) - np.log(2)
        ahead, behind = log_p - log_m, log_q - log_m
        of_p, of_q = (p * ahead).sum(axis=1, keepdims=True), (q * behind).sum(axis=1, keepdims=True)
        by_p = p * (ahead - of_p) / 2
        return _values(of_p + of_q) / 2, by_p, q * (behind - of_q) / 2 if both else None
    ahead = log_p - log_q
    forward, reverse = (q * -ahead).sum(axis=1, keepdims=True), (p * ahead).sum(axis=1, keepdims=True)
    if mode == "forward":
        return _values(forward), p - q, q * (-ahead - forward) if both else None
    if mode == "reverse":
        return _values(reverse), p * (ahead - reverse), q - p if both else None
    by_p = (p - q + p * (ahead - reverse)) / 2
    return _values(forward + reverse) / 2, by_p, (q - p + q * (-ahead - forward)) / 2 if both else None


def _values(sums: _Floats) -> _Floats:
    """Return divergences, which rounding could make negative."""
    return np.asarray(np.maximum(sums[:, 0], 0.0))


def _parse_ignore(ignore: ArrayLike, shape: tuple[int, int]) -> _Bools:
    mask = array_of(ignore, "ignore")
    if mask.dtype != np.bool_ or mask.shape != shape:
        raise ValueError(
            f"ignore has shape {mask.shape} and dtype {mask.dtype}; pass a bool for each of the {shape} entries"
        )
    return mask
