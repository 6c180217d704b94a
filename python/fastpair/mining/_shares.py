"""Shares of mixtures: draws from a beta distribution, or what the caller passes."""

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from fastpair._array import ArrayLike
from fastpair._embeddings import embeddings, numbers
from fastpair._units import unit_rows

__all__ = ["check_finite", "embeddings_of_floats", "normalized", "parse_shares"]

_Array: TypeAlias = npt.NDArray[Any]
_Floats: TypeAlias = npt.NDArray[np.float64]


def parse_shares(
    shares: Any,
    argument: str,
    shape: tuple[int, int],
    per_dimension: bool,
    alpha: float,
    rng: np.random.Generator,
    least: float = 0.0,
    most: float = 1.0,
) -> _Floats:
    """Return a share for each row, shape (n, 1), or for each row and dimension, shape (n, d).

    Without `shares` they are draws from Beta(alpha, alpha), shifted to begin at `least`.
    """
    wanted = shape if per_dimension else (shape[0], 1)
    if shares is None:
        return rng.beta(alpha, alpha, wanted) + least
    array = numbers(shares, argument, "dot")
    if array.shape in ((), (shape[0],)):
        array = np.broadcast_to(array, (shape[0],))[:, np.newaxis]
    elif array.shape != shape:
        raise ValueError(
            f"{argument} has shape {array.shape}; pass a number, one for each of the {shape[0]} rows, or shape {shape}"
        )
    floats = array.astype(np.float64)
    good = (floats >= least) & (floats <= most) & (floats < np.inf)
    if not good.all():
        row, column = (int(place) for place in np.unravel_index(good.argmin(), good.shape))
        upto = f"between {least:g} and {most:g}" if most < np.inf else f"of at least {least:g}"
        raise ValueError(f"{argument} is {floats[row, column]} in row {row}; pass finite numbers {upto}")
    return floats


def embeddings_of_floats(x: ArrayLike, argument: str) -> tuple[_Array, _Floats]:
    """View embeddings as they are, and return them as finite float64 (a copy only for other dtypes)."""
    given = embeddings(x, argument, "dot")
    floats = np.asarray(given, np.float64)
    check_finite(floats, argument)
    return given, floats


def check_finite(rows: _Array, argument: str) -> None:
    """Demand finite numbers."""
    if rows.dtype.kind in "biu":
        return
    bad = ~np.isfinite(rows).all(axis=1)
    if bad.any():
        raise ValueError(f"{argument} is nan or infinite in row {int(bad.argmax())}; pass finite embeddings")


def normalized(vectors: _Floats, wanted: bool) -> _Floats:
    """Return rows of norm 1 if that is wanted; zero rows stay."""
    return unit_rows(vectors)[0] if wanted else vectors
