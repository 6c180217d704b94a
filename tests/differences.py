"""Gradients against central differences, for losses whose gradients have the names of their arguments.

And fixtures of the specification: similarities S3 with the positives on the diagonal, scores T3 of a teacher.
"""

import numpy as np
from composed_losses import central

__all__ = ["S3", "T3", "central", "check_gradients"]

S3 = np.array([[0.9, 0.2, 0.4], [0.1, 0.7, 0.3], [0.5, 0.6, 0.8]])
T3 = np.array([[1.0, 0.2, 0.1], [0.3, 0.9, 0.2], [0.1, 0.4, 0.8]])


def check_gradients(call, constants=(), atol=1e-7, step=1e-6, **arguments):
    """Compare the gradient of each argument with differences; those of `constants` are None or missing."""
    value, grads = call(**arguments, return_grad=True)
    assert type(value) is np.float64
    assert call(**arguments) == value
    for name, at in arguments.items():
        found = getattr(grads, name, None)
        if name in constants:
            assert found is None
            continue
        at = np.array(at, float)

        def total(moved, name=name, scalar=at.ndim == 0):
            return call(**{**arguments, name: float(moved) if scalar else moved})

        np.testing.assert_allclose(found, central(total, at, step), atol=atol, err_msg=name)
    return value, grads
