"""Entropic transport plans of a score matrix in the log domain: `sinkhorn`."""

from collections.abc import Iterator
from typing import Any, NamedTuple, SupportsIndex, TypeAlias

import numpy as np
import numpy.typing as npt

from fastpair._array import ArrayLike, array_of
from fastpair._embeddings import check_count, check_flag, embeddings, is_narrow
from fastpair.similarity._admission import per_row

__all__ = ["SinkhornPlan", "sinkhorn"]

_Array: TypeAlias = npt.NDArray[Any]
_Floats: TypeAlias = npt.NDArray[np.float64]

MOST_CELLS = 1 << 20
"""Numbers that a pass over the matrix handles at a time."""


class SinkhornPlan(NamedTuple):
    """A plan and its potentials: ``plan[i, j] == exp(similarities[i, j] / eps + u[i] + v[j])``.

    With a dustbin, the last of each potentials is that of the bin.
    """

    plan: _Array
    u: _Floats
    v: _Floats


def sinkhorn(
    similarities: ArrayLike,
    eps: float = 0.05,
    n_iter: SupportsIndex = 3,
    *,
    marginals: tuple[ArrayLike, ArrayLike] | None = None,
    dustbin: float | None = None,
    return_potentials: bool = False,
) -> Any:
    r"""Compute the entropic transport plan of a score matrix in the log domain.

    Parameters
    ----------
    similarities : array_like, shape (n, m)
        Scores, the higher the closer. An entry of -inf is a pair that is not admitted.
    eps : float
        The weight of the entropy, positive: the temperature that divides the scores.
    n_iter : int
        How often columns and then rows are normalised, at least 1.
    marginals : tuple of array_like, shapes (n,) and (m,), optional
        The masses of rows and columns, not negative, with equal sums. By default every row has the mass 1, and every
        column n / m.
    dustbin : float, optional
        The score of a bin that is added as a row and a column, for what has no partner. Rows and columns then have the
        mass 1, the bins m and n. Not together with marginals.
    return_potentials : bool
        Return the potentials as well.

    Returns
    -------
    ndarray or SinkhornPlan
        The plan, shape (n, m), without the bins: float32 for scores of at most 32 bits, else float64. With
        `return_potentials` the named tuple ``(plan, u, v)``, the potentials float64.

    Raises
    ------
    TypeError
        If a dtype cannot be used.
    ValueError
        If shapes do not match, a score is NaN or +inf, eps is not positive, or marginals are negative or of different
        sums.

    Notes
    -----
    With the kernel :math:`K_{ij} = \exp(s_{ij} / \varepsilon)`, iterations scale columns and rows in turn towards

    .. math:: P = \operatorname{diag}(e^u) K \operatorname{diag}(e^v), \quad P 1 = \mu, \quad P^\top 1 = \nu .

    Rows come last and their masses are met exactly; those of columns in the limit. By default this is the assignment of
    SwAV [2]_ (3 iterations, eps 0.05): each row sums to 1. Everything is done with logarithms, so that no
    score over eps overflows. Adding a constant to all scores changes nothing.

    Cost: O(n_iter n m). Extra memory: the matrix once in float64, and 16 MiB.

    References
    ----------
    .. [1] M. Cuturi (2013). Sinkhorn distances: lightspeed computation of optimal transport. NeurIPS.
    .. [2] M. Caron et al. (2020). Unsupervised learning of visual features by contrasting cluster assignments. NeurIPS.
    .. [3] P.-E. Sarlin et al. (2020). SuperGlue: learning feature matching with graph neural networks. CVPR.

    Examples
    --------
    >>> import fastpair
    >>> scores = [[0.9, 0.2, 0.4], [0.1, 0.7, 0.3], [0.5, 0.6, 0.8]]
    >>> fastpair.similarity.sinkhorn(scores, eps=0.5).round(3)
    array([[0.601, 0.151, 0.248],
           [0.165, 0.559, 0.276],
           [0.233, 0.291, 0.476]])
    """
    scores = embeddings(similarities, "similarities", "dot")
    temperature = _number(eps, "eps")
    if temperature <= 0:
        raise ValueError(f"eps must be positive, not {eps!r}")
    rounds = check_count(n_iter, "n_iter", 1)
    check_flag(return_potentials, "return_potentials")
    rows, columns = scores.shape
    extra = 0 if dustbin is None else 1
    logits = np.empty((rows + extra, columns + extra))
    logits[:rows, :columns] = scores
    logits[:rows, :columns] /= temperature
    _check_scores(logits[:rows, :columns], scores)
    if dustbin is not None:
        if marginals is not None:
            raise ValueError("marginals and dustbin were both given; with a dustbin the masses are given by the shape")
        bin_logit = _number(dustbin, "dustbin") / temperature
        logits[rows], logits[:, columns] = bin_logit, bin_logit
        mu, nu = np.ones(rows + 1), np.ones(columns + 1)
        mu[rows], nu[columns] = columns, rows
    else:
        mu, nu = _masses(marginals, rows, columns)
    u, v = _iterate(logits, mu, nu, rounds)
    plan = np.empty((rows, columns), np.float32 if is_narrow(scores) else np.float64)
    for part in _parts(logits):
        inner = slice(part.start, min(part.stop, rows))
        shifted = logits[inner, :columns] + v[:columns]
        shifted += u[inner, np.newaxis]
        plan[inner] = np.exp(shifted, out=shifted)
    return SinkhornPlan(plan, u, v) if return_potentials else plan


def _iterate(logits: _Floats, mu: _Floats, nu: _Floats, rounds: int) -> tuple[_Floats, _Floats]:
    """Return the potentials after so many rounds."""
    with np.errstate(divide="ignore"):
        log_mu, log_nu = np.log(mu), np.log(nu)
    u, v = np.zeros(len(mu)), np.zeros(len(nu))
    for _ in range(rounds):
        largest = np.full(len(nu), -np.inf)
        for part in _parts(logits):
            np.maximum(largest, (logits[part] + u[part, np.newaxis]).max(axis=0, initial=-np.inf), out=largest)
        shift, sums = np.where(np.isfinite(largest), largest, 0.0), np.zeros(len(nu))
        for part in _parts(logits):
            terms = logits[part] + u[part, np.newaxis]
            terms -= shift
            sums += np.exp(terms, out=terms).sum(axis=0)
        v = _potential(log_nu, sums, shift)
        for part in _parts(logits):
            terms = logits[part] + v
            largest = terms.max(axis=1, initial=-np.inf)
            shift = np.where(np.isfinite(largest), largest, 0.0)
            terms -= shift[:, np.newaxis]
            u[part] = _potential(log_mu[part], np.exp(terms, out=terms).sum(axis=1), shift)
    return u, v


def _potential(log_mass: _Floats, sums: _Floats, shift: _Floats) -> _Floats:
    """Return what brings the sums to the masses, 0 where there is nothing to scale."""
    empty = sums == 0
    return np.where(empty, 0.0, log_mass - np.log(np.where(empty, 1.0, sums)) - shift)


def _parts(matrix: _Array) -> Iterator[slice]:
    step = max(1, MOST_CELLS // max(matrix.shape[1], 1))
    for begin in range(0, len(matrix), step):
        yield slice(begin, min(begin + step, len(matrix)))


def _number(value: float, argument: str) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise TypeError(f"{argument} must be a number, not {value!r} ({type(value).__name__})") from None
    if not np.isfinite(number):
        raise ValueError(f"{argument} must be finite, not {value!r}")
    return number


def _check_scores(logits: _Floats, scores: _Array) -> None:
    for part in _parts(logits):
        bad = ~(logits[part] < np.inf)
        if bad.any():
            row, column = (int(place) for place in np.unravel_index(bad.argmax(), bad.shape))
            row += part.start
            raise ValueError(
                f"similarities is {scores[row, column]} at row {row}, column {column} (divided by eps: "
                f"{logits[row, column]}); pass finite scores, or -inf for a pair that is not admitted"
            )


def _masses(marginals: Any, rows: int, columns: int) -> tuple[_Floats, _Floats]:
    """Return the masses of rows and columns."""
    if marginals is None:
        return np.ones(rows), np.full(columns, rows / max(columns, 1))
    if not isinstance(marginals, tuple) or len(marginals) != 2:
        raise TypeError(f"marginals must be a tuple of the masses of rows and columns, not {type(marginals).__name__}")
    masses = []
    for values, argument, length in zip(marginals, ("marginals[0]", "marginals[1]"), (rows, columns), strict=True):
        if array_of(values, argument).shape != (length,):
            raise ValueError(f"{argument} has shape {np.shape(values)}; pass shape ({length},), one mass for each")
        mass = per_row(values, length, argument)
        if (mass < 0).any() or np.isinf(mass).any():
            place = int(((mass < 0) | np.isinf(mass)).argmax())
            raise ValueError(f"{argument} is {mass[place]} at index {place}; masses are finite and not negative")
        masses.append(mass)
    if abs(masses[0].sum() - masses[1].sum()) > 1e-9 * max(masses[0].sum(), masses[1].sum()):
        raise ValueError(
            f"marginals have the sums {masses[0].sum()} and {masses[1].sum()}; divide each by its sum, they must agree"
        )
    return masses[0], masses[1]
