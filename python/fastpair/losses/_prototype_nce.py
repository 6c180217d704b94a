"""Softmax of samples over prototypes: `prototype_nce`."""

from dataclasses import replace
from typing import Any, NamedTuple, SupportsIndex, TypeAlias

import numpy as np
import numpy.typing as npt

from fastpair._array import ArrayLike, array_of, library_of, library_of_call, on_gpu_too
from fastpair._embeddings import embeddings, numbers
from fastpair._units import away_from_units, unit_rows
from fastpair._validate import check_number
from fastpair.losses._embedding import (
    Pairs,
    RowsReduction,
    SimilarityMetric,
    WeightNorm,
    cast,
    check_positive,
    evaluate,
    parse_pairs,
    parse_rows_reduction,
    parse_temperature,
    temperature_gradient,
)
from fastpair.losses._lists import OnEmpty, ReductionName
from fastpair.losses._soft_targets import parse_targets
from fastpair.similarity import pairwise

__all__ = ["PrototypeGrads", "prototype_nce"]

_Array: TypeAlias = npt.NDArray[Any]
_Floats: TypeAlias = npt.NDArray[np.float64]
_Ints: TypeAlias = npt.NDArray[np.int64]


class PrototypeGrads(NamedTuple):
    """The gradients of `prototype_nce`; None for what was not given, or has no part in the loss.

    Those of arrays have the shapes and dtypes of the inputs. That of a scalar temperature is a float64.
    """

    x: _Array | None
    prototypes: _Array | None
    temperature: Any
    concentration: _Array | None
    similarities: _Array | None


@on_gpu_too
def prototype_nce(
    x: ArrayLike | None = None,
    prototypes: ArrayLike | None = None,
    assignments: ArrayLike | None = None,
    targets: ArrayLike | None = None,
    temperature: Any = 0.1,
    concentration: ArrayLike | None = None,
    target_temperature: float = 0.0,
    *,
    similarities: ArrayLike | None = None,
    metric: SimilarityMetric = "cosine",
    teacher_prototypes: ArrayLike | None = None,
    weights: ArrayLike | None = None,
    weight_norm: WeightNorm = "count",
    on_empty: OnEmpty = "skip",
    reduction: ReductionName = "mean",
    return_grad: bool = False,
    grad_output: ArrayLike | None = None,
    num_threads: SupportsIndex | None = None,
    max_memory: SupportsIndex | None = None,
) -> Any:
    r"""Compute the cross-entropy of samples over prototypes, with hard or soft targets.

    Parameters
    ----------
    x : array_like, shape (n, d), optional
        Embeddings of the samples: floats of 16 to 64 bits, or integers.
    prototypes : array_like, shape (k, d), optional
        Embeddings of the prototypes.
    assignments : array_like of int, shape (n,), optional
        The prototype of each sample; -1: the sample has none. Either these or `targets` are needed.
    targets : array_like, shape (n, k), optional
        How much of each sample belongs to each prototype, finite and not negative; rows are divided by their sums.
    temperature : float or array_like, shape (n,)
        What similarities are divided by, positive: one number, or one for each sample.
    concentration : array_like, shape (k,), optional
        In place of the temperature: one positive number for each prototype (ProtoNCE).
    target_temperature : float
        If positive, the target of a sample is the softmax, at this temperature, of the similarities of its prototype
        with all prototypes of the teacher. With 0 it is the prototype itself.
    similarities : array_like, shape (n, k), optional
        Similarities in place of x and prototypes, larger for closer.
    metric : {"cosine", "dot", "sqeuclidean", "euclidean"}
        What a similarity is. That of a distance is minus the distance.
    teacher_prototypes : array_like, shape (k, e), optional
        The prototypes of the teacher; by default those that are given. They have no gradient.
    weights : array_like, shape (n,), optional
        A weight for each sample, finite and not negative.
    weight_norm : {"count", "weights"}
        Whether the mean divides by the number of samples that count, or by the sum of their weights.
    on_empty : {"skip", "zero", "error"}
        What a sample without a prototype does: it is left out, counts with loss 0, or is refused.
    reduction : {"mean", "sum", "none"}
        Return the mean or the sum over samples, or one value for each.
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
    grads : PrototypeGrads
        With `return_grad`: the named tuple ``(x, prototypes, temperature, concentration, similarities)``, in the shapes
        and dtypes of the inputs (float32 or float64 for integers), None for what was not given.

    Raises
    ------
    TypeError
        If a dtype cannot be used, or an option is not a number.
    ValueError
        If shapes do not match, roles of pairs overlap, or an option is out of range.

    See Also
    --------
    fastpair.losses.swapped_prediction : Assignments by transport plans of other views.
    fastpair.losses.soft_target_nce : Soft targets of any pairs.

    Notes
    -----
    With the prototype k(i) of a sample and its temperature t, or the concentrations :math:`\phi_k` in its place,

    .. math:: \ell_i = -\log \frac{e^{s_{i k(i)} / \phi_{k(i)}}}{\sum_k e^{s_{ik} / \phi_k}} .

    ProtoNCE is the mean of this over several clusterings, one call each. Concentrations need "cosine", "dot" or
    `similarities`. ProtoCLIP has a positive `target_temperature`; as it goes to 0 the targets become the prototypes
    themselves, if these differ.

    Cost: O(n k d), twice with gradients. Extra memory: O(n + k) and `max_memory`; soft targets 8 n k bytes; copies of
    embeddings with concentrations.

    References
    ----------
    .. [1] J. Li, P. Zhou, C. Xiong and S. C. H. Hoi (2021). Prototypical contrastive learning of unsupervised
       representations. ICLR.
    .. [2] D. Chen et al. (2023). ProtoCLIP: prototypical contrastive language image pretraining. IEEE TNNLS.

    Examples
    --------
    >>> import fastpair
    >>> x, prototypes = [[1.0, 0.2], [0.1, 1.0], [0.7, 0.7]], [[1.0, 0.0], [0.0, 1.0]]
    >>> fastpair.losses.prototype_nce(x, prototypes, [0, 1, -1], temperature=0.5, reduction="none").round(6)
    array([0.189188, 0.15425 , 0.      ])
    """
    phi = None if concentration is None else numbers(concentration, "concentration", "dot")
    pairs = parse_pairs(x, prototypes, similarities, metric, num_threads, max_memory)
    if pairs.within:
        raise TypeError("prototypes is None; pass embeddings of the prototypes, or a matrix as similarities=")
    rows, count = pairs.shape
    pairs = replace(pairs, origins=(("y", "prototypes", count),))
    how = parse_rows_reduction(
        rows,
        reduction=reduction,
        on_empty=on_empty,
        weights=weights,
        weight_norm=weight_norm,
        return_grad=return_grad,
        grad_output=grad_output,
    )
    options = _targets(pairs, assignments, targets, target_temperature, teacher_prototypes)
    if phi is not None:
        if phi.shape != (count,):
            raise ValueError(f"concentration has shape {phi.shape}; pass shape ({count},), one for each prototype")
        check_positive(phi, "concentration")
        return _with_concentration(pairs, phi, options, how)
    outcome = evaluate(pairs, "softmax", {**options, "temperature": parse_temperature(temperature, rows)}, how)
    if not how.return_grad:
        return outcome.value
    return outcome.value, PrototypeGrads(
        cast(outcome.x, pairs.x),
        cast(outcome.y, pairs.y),
        temperature_gradient(outcome.temperature, temperature),
        None,
        cast(outcome.similarities, pairs.similarities),
    )


def _targets(
    pairs: Pairs,
    assignments: ArrayLike | None,
    targets: ArrayLike | None,
    target_temperature: float,
    teacher_prototypes: ArrayLike | None,
) -> dict[str, Any]:
    """Return what samples belong to, as the kernel takes it."""
    rows, count = pairs.shape
    if (assignments is None) == (targets is None):
        raise ValueError("pass either assignments, a prototype for each sample, or targets, shares of all prototypes")
    softness = check_number(target_temperature, "target_temperature", least=0)
    if targets is not None:
        if softness or teacher_prototypes is not None:
            raise ValueError("target_temperature and teacher_prototypes need assignments, but targets was given")
        return {"targets": parse_targets(targets, (rows, count))}
    own = _parse_assignments(assignments, rows, count)
    if not softness:
        if teacher_prototypes is not None:
            raise ValueError("teacher_prototypes was given, but target_temperature is 0; pass a positive one")
        return {"positives": own, "needs_negatives": False}
    if teacher_prototypes is None and pairs.y is None:
        raise ValueError("target_temperature needs prototypes, but similarities was given; pass teacher_prototypes=")
    teacher = pairs.y if teacher_prototypes is None else embeddings(teacher_prototypes, "teacher_prototypes", "dot")
    assert teacher is not None
    if len(teacher) != count:
        raise ValueError(f"teacher_prototypes has {len(teacher)} rows, but there are {count} prototypes")
    if not count:
        return {"targets": library_of_call().zeros((rows, count))}
    scores = pairwise(teacher[np.maximum(own, 0)], teacher, pairs.metric).astype(np.float64)  # type: ignore[arg-type]
    if pairs.metric not in ("dot", "cosine"):
        np.negative(scores, out=scores)
    scores /= softness
    scores -= scores.max(axis=1, keepdims=True)
    np.exp(scores, out=scores)
    scores /= scores.sum(axis=1, keepdims=True)
    scores *= (own >= 0)[:, np.newaxis]
    return {"targets": scores}


def _parse_assignments(assignments: Any, rows: int, count: int) -> _Ints:
    array = array_of(assignments, "assignments")
    if array.size == 0 and array.shape == (rows,):
        return library_of(array).zeros(0, np.int64)  # type: ignore[no-any-return]
    if array.dtype.kind not in "iu" or array.shape != (rows,):
        raise ValueError(
            f"assignments has shape {array.shape} and dtype {array.dtype}; pass {rows} integers, the prototype of each "
            f"sample"
        )
    strange = (array < -1) | (array >= count)
    if strange.any():
        row = int(strange.argmax())
        raise ValueError(
            f"assignments is {int(array[row])} at index {row}, but there are {count} prototypes; -1 is none"
        )
    return array.astype(np.int64)


def _with_concentration(pairs: Pairs, phi: _Array, options: dict[str, Any], how: RowsReduction) -> Any:
    """Divide the similarities of each prototype by its concentration: at temperature 1."""
    scale: _Floats = 1.0 / phi.astype(np.float64)
    options = {**options, "temperature": 1.0}
    if pairs.similarities is not None:
        dtype = np.float32 if pairs.narrow else np.float64
        given = pairs.similarities.astype(dtype)
        matrix = Pairs(None, None, given * scale.astype(dtype), pairs.metric, pairs.resources)
        outcome = evaluate(matrix, "softmax", options, how)
        if outcome.similarities is None:
            return outcome.value
        slope = np.einsum("ij,ij->j", outcome.similarities.astype(np.float64), given.astype(np.float64)) * -(scale**2)
        gradient = outcome.similarities * scale.astype(dtype)
        return outcome.value, PrototypeGrads(None, None, None, cast(slope, phi), cast(gradient, pairs.similarities))
    if pairs.metric not in ("dot", "cosine") or pairs.x is None or pairs.y is None:
        raise ValueError(f"concentration needs metric='cosine' or 'dot', not {pairs.metric!r}")
    dtype = np.float32 if pairs.narrow else np.float64
    rows, columns = pairs.x, pairs.y.astype(np.float64)
    norms: tuple[Any, Any] = None, None
    if pairs.metric == "cosine":
        rows, of_rows = unit_rows(pairs.x)
        columns, of_columns = unit_rows(pairs.y)
        norms = of_rows, of_columns
    scaled = (columns * scale[:, np.newaxis]).astype(dtype)
    outcome = evaluate(
        Pairs(rows.astype(dtype), scaled, None, "dot", pairs.resources, pairs.origins), "softmax", options, how
    )
    if outcome.x is None or outcome.y is None:
        return outcome.value
    of_x, of_y = outcome.x.astype(np.float64), outcome.y.astype(np.float64)
    slope = np.einsum("ij,ij->i", of_y, columns) * -(scale**2)
    of_y *= scale[:, np.newaxis]
    if pairs.metric == "cosine":
        of_x, of_y = away_from_units(of_x, rows, norms[0]), away_from_units(of_y, columns, norms[1])
    return outcome.value, PrototypeGrads(cast(of_x, pairs.x), cast(of_y, pairs.y), None, cast(slope, phi), None)
