"""What tests of losses over embeddings share: problems, directional derivatives, comparisons with the oracle."""

import embeddings
import helpers
import numpy as np
import oracle_contrastive as oracle
from score_losses import grad_dtype, precision

METRICS = ("cosine", "dot", "sqeuclidean", "euclidean")
FLOATS = ("float64", "float32", "float16", "bfloat16")
RTOL = {"float64": 1e-9, "float32": 2e-6, "float16": 2e-3, "bfloat16": 1e-2}


def rows(rng, n, d, dtype="float64", spread=1.0):
    """Embeddings of about unit length, so that the temperatures of a cosine suit the other metrics too."""
    return embeddings.cast(rng.normal(size=(n, d)) * spread / max(d, 1) ** 0.5, dtype)


def pair(rng, n, m, d, dtype="float64"):
    """Rows of x, and as many of y that resemble them, then others."""
    x, y = rows(rng, n, d), rows(rng, m, d)
    most = min(n, m)
    y[:most] = 0.5 * y[:most] + 0.7 * x[:most]
    return embeddings.cast(x, dtype), embeddings.cast(y, dtype)


def assert_near(found, wanted, rtol, about="", size=None):
    """Within rtol of the largest number that is wanted (or of `size`); infinities and NaN exactly."""
    found, wanted = oracle.double(found), oracle.double(wanted)
    assert found.shape == wanted.shape, (about, found.shape, wanted.shape)
    finite = np.isfinite(wanted)
    np.testing.assert_array_equal(found[~finite], wanted[~finite], err_msg=str(about))
    scale = np.abs(wanted[finite]).max(initial=0.0) if size is None else size
    worst = np.abs(found[finite] - wanted[finite]).max(initial=0.0)
    message = f"{about}: off by {worst:.3e}, {worst / max(scale, 1e-300):.1e} of {scale:.3e}; {rtol:.0e} is allowed"
    assert worst <= rtol * scale + 1e-14, message


def double(arrays):
    """The same arguments, arrays in float64."""
    return {name: None if value is None else oracle.double(value) for name, value in arrays.items()}


def numerical(function, arrays, name, step=1e-3):
    """The gradient of ``function(**arrays)`` with respect to one of the arrays."""
    arrays = double(arrays)
    return oracle.differences(lambda values: function(**{**arrays, name: values}), arrays[name], step)


def slope(function, arrays, directions, step=1e-3):
    """The derivative of ``function(**arrays)`` along `directions`, an array for each name."""
    arrays = double(arrays)

    def along(t):
        return function(**{**arrays, **{name: arrays[name] + t * v for name, v in directions.items()}})

    return oracle.stencil(along, step)


def assert_slopes(function, arrays, gradients, rng, rtol, about="", count=2, step=1e-3):
    """Gradients against derivatives along random directions: everywhere, and in the last rows alone."""
    for last in (None, 1):
        for _ in range(count):
            directions = {name: rng.normal(size=np.shape(arrays[name])) for name in gradients}
            if last is not None:
                for v in directions.values():
                    v[:-last] = 0
            terms = [(oracle.double(gradients[name]) * v).ravel() for name, v in directions.items()]
            found = sum(t.sum() for t in terms)
            size = np.sqrt(sum((t**2).sum() for t in terms))
            assert_near(found, slope(function, arrays, directions, step), rtol, f"{about} slope", size)


def assert_loss(result, function, arrays, dtype="float64", about="", step=2e-4, rtol=None, size=None):
    """Value and every gradient of ``loss(**arrays, return_grad=True)`` against the oracle's number and differences.

    `size` is what the error of the value is relative to, by default the larger of it and 1.
    """
    value, gradients = result
    rtol = RTOL[dtype] if rtol is None else rtol
    wanted = function(**double(arrays))
    assert type(value) is np.float64, (about, type(value))
    # Inputs are exact, so 16 bits are no worse than 32: only gradients are rounded.
    exact = min(rtol, RTOL["float32"])
    assert_near(value, wanted, exact, f"{about} value", max(abs(wanted), 1.0) if size is None else size)
    seen = set()
    for name, gradient in gradients._asdict().items():
        if name not in arrays or arrays[name] is None:
            assert gradient is None or name not in arrays, (about, name)
            continue
        seen.add(name)
        assert_gradient(gradient, numerical(function, arrays, name, step), arrays[name], exact, f"{about} d{name}")
    missing = {name for name, value in arrays.items() if value is not None and np.ndim(value)} - seen
    assert not missing, (about, missing)


def assert_gradient(found, wanted, given, rtol, about=""):
    """A gradient of the shape and dtype of what was given, rounded to that dtype."""
    if isinstance(given, np.ndarray) and given.ndim:
        assert found.shape == given.shape, (about, found.shape)
        assert found.dtype == grad_dtype(given), (about, found.dtype)
        rtol = rtol + (0 if found.dtype == np.float64 else precision(found.dtype)[0])
        assert_near(found, wanted, max(rtol, 1e-8), about)
    else:  # a sum over all pairs, of both signs
        assert_near(found, wanted, max(rtol, 1e-8), about, max(abs(float(wanted)), 1.0))


def arrays_of(result):
    """The arrays of a result, to compare their bits."""
    value, gradients = result
    return [np.asarray(value), *(np.asarray(g) for g in gradients if g is not None)]


def on_engines(call, rtol=1e-12, about=""):
    """Bit-equal results for all thread counts; nearly equal ones for all instruction sets. Returns the last."""
    first, levels = None, {}
    for level, threads in helpers.engines():
        result = call(num_threads=threads)
        found = arrays_of(result)
        reference = levels.setdefault(level, found)
        assert [a.tobytes() for a in found] == [a.tobytes() for a in reference], (about, level, threads)
        first = found if first is None else first
        for own, other in zip(found, first, strict=True):
            assert_near(own, other, rtol, f"{about} {level}")
    return result
