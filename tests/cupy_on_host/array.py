"""The array of `cupy_on_host`, and the functions of CuPy that take it."""

import functools
import json
from pathlib import Path

import numpy as np

SIGNATURES = json.loads((Path(__file__).parent / "signatures.json").read_text(encoding="utf-8"))
SCALARS = (bool, int, float, complex, np.generic)
READS_HOST = {"array", "asarray", "ascontiguousarray", "asfortranarray", "asanyarray"}
"""Functions whose purpose is to bring arrays of the host to the device."""
REDUCES = {"reduce": ("add", "multiply"), "accumulate": ("add", "multiply"), "reduceat": ("add",)}
REDUCES["at"] = ("add", "subtract", "maximum", "minimum", "bitwise_and", "bitwise_or", "bitwise_xor")
REDUCES["outer"] = tuple(SIGNATURES["ufuncs"])
"""Which ufuncs of CuPy have the method."""


class Transfers:
    """How often values came to the host: each makes the host wait for the device."""

    count = 0


transfers = Transfers()


class ndarray:  # noqa: N801
    """An array in the memory of a pretended device."""

    __slots__ = ("_host",)
    __hash__ = None
    __module__ = "cupy"

    def __init__(self, shape, dtype=float, memptr=None, strides=None, order="C"):
        assert memptr is None, "not in this stand-in"
        self._host = _poisoned(np.empty(shape, _numeric(np.dtype(dtype)), order))

    dtype = property(lambda self: self._host.dtype)
    shape = property(lambda self: self._host.shape)
    strides = property(lambda self: self._host.strides)
    ndim = property(lambda self: self._host.ndim)
    size = property(lambda self: self._host.size)
    nbytes = property(lambda self: self._host.nbytes)
    itemsize = property(lambda self: self._host.itemsize)
    flags = property(lambda self: self._host.flags)
    T = property(lambda self: _wrap(self._host.T))
    real = property(lambda self: _wrap(self._host.real))
    base = property(lambda self: None if self._host.base is None else _wrap(self._host.base))
    data = property(lambda self: _Pointer(self._host.ctypes.data))

    @property
    def device(self):
        from cupy_on_host import device

        return device.Device(0)

    @property
    def __cuda_array_interface__(self):
        return {**self._host.__array_interface__, "version": 3}

    def __array__(self, dtype=None, copy=None):
        raise TypeError(
            "Implicit conversion to a NumPy array is not allowed. Please use `.get()` to construct a NumPy array "
            "explicitly."
        )

    def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
        if "out" in kwargs:
            (kwargs["out"],) = kwargs["out"]
        if ufunc is np.matmul:
            return _functions["matmul"](*inputs, **kwargs)
        function = _functions.get(ufunc.__name__)
        if function is None:
            return NotImplemented
        return (function if method == "__call__" else getattr(function, method))(*inputs, **kwargs)

    def __array_function__(self, function, types, args, kwargs):
        own = _functions.get(function.__name__)
        if own is None or function.__module__ not in ("numpy", "numpy.core", "numpy._core"):
            return NotImplemented
        return own(*args, **kwargs)

    def __dlpack__(self, **options):
        return self._host.__dlpack__()

    def __dlpack_device__(self):
        return 2, 0

    def __len__(self):
        return len(self._host)

    def __iter__(self):
        return (self[index] for index in range(len(self._host)))

    def __repr__(self):
        return repr(self._host)

    def __str__(self):
        return str(self.get())

    def __getitem__(self, key):
        key = _key(key)
        return _wrap(self._host[(*key, ...) if not any(part is Ellipsis for part in key) else key])

    def __setitem__(self, key, value):
        self._host[_key(key)] = _unwrap(value)

    def get(self, stream=None, order="C", out=None, blocking=True):
        transfers.count += 1
        return self._host.copy(order)

    def item(self, *index):
        transfers.count += 1
        return self._host.item(*index)

    def tolist(self):
        transfers.count += 1
        return self._host.tolist()

    def __bool__(self):
        return bool(self.get())

    def __int__(self):
        return int(self.get())

    def __float__(self):
        return float(self.get())

    def set(self, values, stream=None):
        self._host[...] = values

    def __deepcopy__(self, memo):
        return self.copy()


class _Pointer:
    """Where an array begins."""

    def __init__(self, address):
        self.ptr = address


def _numeric(dtype):
    if dtype.kind not in "biufc" and dtype.name != "bfloat16":
        raise TypeError(f"Unsupported dtype {dtype}")
    if not dtype.isnative:
        raise TypeError(f"Unsupported dtype {dtype} with non-native byte order")
    return dtype


def _poisoned(values):
    """Fill new memory, so that nobody takes zeros for granted."""
    if values.dtype.kind in "iu":
        values.fill(90)
    elif values.dtype.kind in "fc":
        values.fill(1e4 + 0.25)
    return values


def _wrap(result):
    if isinstance(result, (np.ndarray, np.generic)):
        array = object.__new__(ndarray)
        array._host = np.asarray(result)
        _numeric(array._host.dtype)
        return array
    return type(result)(map(_wrap, result)) if type(result) in (tuple, list) else result


def _unwrap(value, host=False):
    if isinstance(value, ndarray):
        return value._host
    if isinstance(value, np.ndarray) and not host:
        raise TypeError(f"Unsupported type {type(value)}")
    if isinstance(value, (list, tuple)):
        return type(value)(_unwrap(item, host) for item in value)
    return value


def _operand(value):
    """Return an argument of arithmetic: an array of the device or a scalar."""
    if isinstance(value, ndarray):
        return value._host
    if isinstance(value, SCALARS):
        return value
    raise TypeError(f"Unsupported type {type(value)}")


def _key(key):
    parts = key if isinstance(key, tuple) else (key,)
    for part in parts:
        if isinstance(part, (np.ndarray, list)):
            raise TypeError(f"an index is a {type(part).__name__} of the host")
    return tuple(_unwrap(part) for part in parts)


def _checked(name, parameters, names):
    strange = set(names) - set(parameters)
    if strange:
        raise TypeError(f"{name}() got an unexpected keyword argument {strange.pop()!r}: CuPy does not have it")


def _method(name, parameters):
    original = getattr(np.ndarray, name, None)
    if original is None:
        return None

    def method(self, *args, **kwargs):
        _checked(name, parameters, kwargs)
        if name == "astype" and args:
            _numeric(np.dtype(args[0]))
        out = kwargs.get("out")
        with np.errstate(all="ignore"):  # a GPU warns of nothing
            result = original(self._host, *_unwrap(args), **{key: _unwrap(value) for key, value in kwargs.items()})
        return out if out is not None else _wrap(result)

    return method


def _function(name, parameters):
    original = getattr(np, name)

    def function(*args, **kwargs):
        _checked(name, parameters, kwargs)
        host = name in READS_HOST
        if name == "lexsort" and not isinstance(args[0], ndarray):
            raise TypeError("lexsort takes one array of keys")
        out = kwargs.get("out")
        if "dtype" in kwargs and kwargs["dtype"] is not None:
            _numeric(np.dtype(kwargs["dtype"]))
        result = original(*_unwrap(args, host), **{key: _unwrap(value, host) for key, value in kwargs.items()})
        if name in ("empty", "empty_like"):
            _poisoned(result)
        return out if out is not None else _wrap(result)

    return function


class _Ufunc:
    """A ufunc of CuPy: no ``where=``, and few of the methods."""

    def __init__(self, name):
        self.__name__, self._host = name, getattr(np, name)

    def __call__(self, *args, **kwargs):
        _checked(self.__name__, ("out", "dtype", "casting"), kwargs)
        out = kwargs.pop("out", None)
        if len(args) > self._host.nin:
            *args, out = args
        with np.errstate(all="ignore"):  # a GPU warns of nothing
            result = self._host(*map(_operand, args), **kwargs, **({} if out is None else {"out": out._host}))
        return out if out is not None else _wrap(result)

    def __getattr__(self, method):
        if method not in REDUCES:
            raise AttributeError(method)
        if self.__name__ not in REDUCES[method]:
            raise NotImplementedError(f"`cupy_{self.__name__}.{method}` is not supported yet")
        return functools.partial(self._reduced, method)

    def _reduced(self, method, *args, **kwargs):
        _checked(f"{self.__name__}.{method}", ("axis", "dtype", "out", "keepdims"), kwargs)
        return _wrap(getattr(self._host, method)(*_unwrap(args), **kwargs))


def _operators():
    names = ["add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "and", "or", "xor", "lshift", "rshift", "matmul"]
    ufuncs = {"sub": "subtract", "mul": "multiply", "truediv": "divide", "floordiv": "floor_divide", "mod": "remainder"}
    ufuncs |= {"pow": "power", "and": "bitwise_and", "or": "bitwise_or", "xor": "bitwise_xor"}
    ufuncs |= {"lshift": "left_shift", "rshift": "right_shift"}
    for name in names:
        own = _functions[ufuncs.get(name, name)]
        yield f"__{name}__", lambda a, b, own=own: own(a, b)
        yield f"__r{name}__", lambda a, b, own=own: own(b, a)
        if name != "matmul":
            yield f"__i{name}__", lambda a, b, own=own: own(a, b, a)
    for name, ufunc in {"lt": "less", "le": "less_equal", "gt": "greater", "ge": "greater_equal"}.items():
        yield f"__{name}__", lambda a, b, own=_functions[ufunc]: own(a, b)
    for name, ufunc in {"eq": "equal", "ne": "not_equal"}.items():
        yield f"__{name}__", lambda a, b, own=_functions[ufunc]: own(a, b)
    for name, ufunc in {"neg": "negative", "abs": "absolute", "invert": "invert", "pos": "positive"}.items():
        yield f"__{name}__", lambda a, own=_functions[ufunc]: own(a)


def _scatter(name, ufunc):
    def scatter(self, slices, value):
        ufunc.at(self._host, _key(slices), _unwrap(value))

    return scatter


def _from_dlpack(values, *, device=None, copy=None):
    return _wrap(np.from_dlpack(values)) if not isinstance(values, ndarray) else values


def _asnumpy(values, stream=None, order="C", out=None, *, blocking=True):
    return values.get() if isinstance(values, ndarray) else np.asarray(values)


_functions = {name: _Ufunc(name) for name in SIGNATURES["ufuncs"] if hasattr(np, name)}
_functions |= {
    name: _function(name, parameters) for name, parameters in SIGNATURES["functions"].items() if hasattr(np, name)
}
_functions |= {"from_dlpack": _from_dlpack, "asnumpy": _asnumpy, "matmul": _function("matmul", ("out", "dtype"))}
_functions |= {"abs": _functions["absolute"], "get_array_module": lambda *arrays: _library()}

for _name, _parameters in SIGNATURES["methods"].items():
    if not hasattr(ndarray, _name) and (_made := _method(_name, _parameters)) is not None:
        setattr(ndarray, _name, _made)
for _name, _made in _operators():
    setattr(ndarray, _name, _made)
for _name, _ufunc in {"scatter_add": np.add, "scatter_max": np.maximum, "scatter_min": np.minimum}.items():
    setattr(ndarray, _name, _scatter(_name, _ufunc))


def _library():
    from cupy_on_host import library

    return library


def namespace():
    """Return what ``cupy.`` names: its functions, dtypes and constants."""
    names = "float16 float32 float64 int8 int16 int32 int64 uint8 uint16 uint32 uint64 bool_ intp inf nan pi newaxis"
    names += " errstate dtype finfo iinfo"
    found = {name: getattr(np, name) for name in names.split()}
    return {**_functions, **found, "ndarray": ndarray, "ufunc": _Ufunc}
