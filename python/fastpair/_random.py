"""Random numbers of the samplers: one way from a seed to a generator."""

from typing import TypeAlias

import numpy as np

__all__ = ["Seed", "generator"]

Seed: TypeAlias = int | np.random.Generator | None


def generator(seed: Seed, argument: str = "seed") -> np.random.Generator:
    """Return the generator of a seed, or the generator that was passed, which then goes on."""
    if isinstance(seed, np.random.Generator):
        return seed
    if seed is None:
        return np.random.default_rng()
    if isinstance(seed, bool | np.bool_) or not isinstance(seed, int | np.integer):
        raise TypeError(
            f"{argument} must be an integer, a numpy Generator or None, not {seed!r} ({type(seed).__name__})"
        )
    if seed < 0:
        raise ValueError(f"{argument} must not be negative, but is {seed}; pass any integer from 0 on")
    return np.random.default_rng(int(seed))
