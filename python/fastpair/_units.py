"""Rows of norm 1, and gradients through them."""

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

__all__ = ["away_from_units", "finite_units", "unit_rows"]

_Array: TypeAlias = npt.NDArray[Any]


def unit_rows(rows: _Array, dtype: npt.DTypeLike = np.float64) -> tuple[_Array, _Array]:
    """Return rows (of the last axis) of norm 1 and their norms, which keep that axis; zero rows stay."""
    units = rows.astype(dtype, order="C")
    if not units.shape[-1]:
        return units, units.sum(axis=-1, keepdims=True)
    largest = np.abs(units).max(axis=-1, keepdims=True)
    units /= np.where(largest > 0, largest, 1)  # so that no square leaves the range
    norms = np.sqrt(np.einsum("...j,...j->...", units, units))[..., np.newaxis]
    units /= np.where(norms > 0, norms, 1)
    with np.errstate(over="ignore"):
        return units, norms * largest


def finite_units(rows: _Array, argument: str, dtype: npt.DTypeLike = np.float64) -> tuple[_Array, _Array]:
    """Do the same after a check that all numbers are finite."""
    with np.errstate(invalid="ignore"):
        units, norms = unit_rows(rows, dtype)
    bad = ~np.isfinite(units).all(axis=-1)
    if bad.any():
        row = tuple(int(place) for place in np.unravel_index(int(bad.argmax()), bad.shape))
        where = row[0] if len(row) == 1 else row
        raise ValueError(f"{argument} is nan or infinite in row {where}; pass finite embeddings")
    return units, norms


def away_from_units(gradient: _Array, units: _Array, norms: _Array) -> _Array:
    """Turn a gradient with respect to unit rows into that with respect to the rows: 0 for zero rows."""
    along = np.einsum("...j,...j->...", gradient, units)[..., np.newaxis]
    tangent: _Array = gradient - along * units
    with np.errstate(over="ignore"):
        tangent /= np.where(norms > 0, norms, np.inf)
    return tangent
