"""The one dispatch rule: who may go onto the GPU, what is refused, and how torch gets its tensors back."""

import ast
import inspect
import sys
import types
from pathlib import Path
from typing import ClassVar

import fastpair
import helpers
import numpy as np
import pytest
from fastpair import _array, _cuda
from fastpair._cuda import door

HOST_ONLY = {"available_isas", "group_codes_of_bytes", "isa", "num_threads", "set_isa", "set_num_threads", "sort"}


@pytest.fixture
def twice(cupy):
    """A public function of two arrays."""

    @_array.on_gpu_too
    def twice(x, y=None, *, options=None):
        first = _array.array_of(x, "x")
        second = first if y is None else _array.array_of(y, "y")
        if options is not None:
            _array.array_of(options[0], "options[0]")
        return first + second

    return twice


def test_arrays_of_the_host_go_their_old_way(twice):
    np.testing.assert_array_equal(twice([1.0, 2.0], y=(3.0, 4.0)), [4.0, 6.0])


@pytest.mark.parametrize("call", [lambda f, x: f(x), lambda f, x: f(x, x), lambda f, x: f(x, options=(x, None))])
def test_arrays_on_the_device_stay_there(twice, cupy, call):
    result = call(twice, cupy.asarray([1.0, 2.0]))
    assert isinstance(result, cupy.ndarray)
    np.testing.assert_array_equal(result.get(), [2.0, 4.0])
    assert _array.gpu_call.get() is None


@pytest.mark.parametrize("other", [np.zeros(2), [0.0, 0.0], None, 3.0], ids=["numpy", "list", "none", "number"])
def test_mixed_memories_are_refused(twice, cupy, other):
    values = cupy.asarray([1.0, 2.0])
    if other is not None:
        with pytest.raises(TypeError, match=r"x is in GPU memory \(device 0\), but y is .* host"):
            twice(values, other)
        with pytest.raises(TypeError, match=r"y is in GPU memory \(device 0\), but x is .* host"):
            twice(other, values)
    with pytest.raises(TypeError, match=r"options\[0\] is"):
        twice(values, options=(other, 1))
    assert _array.gpu_call.get() is None


def test_two_devices_are_refused(twice, cupy, monkeypatch):
    monkeypatch.setattr(door, "GpuCall", lambda argument, device: _array.GpuCall(argument, 1))
    with pytest.raises(TypeError, match=r"x is on GPU 1, but x is on GPU 0"):
        twice(cupy.asarray([1.0]))


def test_arrays_of_other_gpu_libraries_are_named(twice, cupy):
    class Foreign:
        __cuda_array_interface__: ClassVar = {"shape": (1,), "typestr": "<f4", "data": (0, False), "version": 3}

    with pytest.raises(TypeError, match=r"x is an array of .*Foreign in GPU memory; pass cupy.asarray\(x\)"):
        twice(Foreign())


def test_a_function_without_a_kernel_names_the_call_on_the_host(cupy):
    x = cupy.asarray(np.eye(4))
    with pytest.raises(TypeError, match=r"fastpair.mining.smote has no GPU kernel.*\.get\(\)"):
        fastpair.mining.smote(x, seed=0)


def test_without_cupy_a_tensor_on_a_gpu_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", types.ModuleType("torch"))
    monkeypatch.setitem(sys.modules, "cupy", None)
    with pytest.raises(TypeError, match=r"scores is in GPU memory.*fastpair\[cuda12\]"):
        door.run(fastpair.auc, (FakeTensor(np.zeros(2)), [0, 1]), {})


class FakeTensor:
    """As much of a torch tensor in GPU memory as the door looks at."""

    __module__ = "torch"
    dtype = "torch.float32"
    device = types.SimpleNamespace(type="cuda", index=0)

    def __init__(self, values):
        self.values = np.asarray(values)

    def detach(self):
        return self

    def __dlpack__(self, **options):
        return self.values.__dlpack__()

    def __dlpack_device__(self):
        return self.values.__dlpack_device__()


@pytest.fixture
def torch(cupy, monkeypatch):
    """A module that has the few functions of torch that the door calls."""
    torch = types.ModuleType("torch")
    torch.cuda = types.SimpleNamespace(current_stream=lambda device: types.SimpleNamespace(cuda_stream=77))
    torch.from_dlpack = lambda array: FakeTensor(array.get())
    monkeypatch.setitem(sys.modules, "torch", torch)
    return torch


def test_tensors_go_in_and_come_out_on_their_own_stream(torch, twice, cupy):
    seen = []

    @_array.on_gpu_too
    def scale(x, factors):
        seen.append(cupy.cuda.get_current_stream().ptr)
        return helpers_tuple(_array.array_of(x, "x") * factors["two"], None)

    def helpers_tuple(first, second):
        return fastpair.similarity.RadiusHits(first, second, 1.5)

    result = scale(FakeTensor(np.float32([1, 2])), {"two": FakeTensor(np.float32([2, 2]))})
    assert seen == [77]
    assert isinstance(result.indptr, FakeTensor)
    np.testing.assert_array_equal(result.indptr.values, np.float32([2, 4]))
    assert result[1:] == (None, 1.5)


STUB = ast.parse((Path(_array.__file__).parent / "_core.pyi").read_text(encoding="utf-8"))
FUNCTIONS = {item.name: item for item in STUB.body if isinstance(item, ast.FunctionDef)}


@pytest.mark.parametrize("name", sorted(_cuda.HOMES.keys() & FUNCTIONS.keys()))
def test_a_twin_has_the_arguments_of_its_function_of_the_core(name, cupy):
    wanted = [argument.arg for argument in FUNCTIONS[name].args.args]
    assert list(inspect.signature(getattr(_cuda, name)).parameters) == wanted


def test_what_has_no_twin_is_about_the_host():
    assert FUNCTIONS.keys() - _cuda.HOMES.keys() == HOST_ONLY
    with pytest.raises(AttributeError, match="nothing_like_it"):
        _ = _cuda.nothing_like_it


def test_importing_fastpair_and_calling_it_imports_no_gpu_library():
    script = """
        import sys, fastpair
        fastpair.auc([1.0, 2.0], [0, 1])
        print(any(name.partition(".")[0] in ("cupy", "torch") or "_cuda" in name for name in sys.modules))
    """
    assert helpers.output_of(script) == "False"


def test_show_config_lists_devices(cupy):
    config = fastpair.show_config(mode="dicts")
    assert config["cupy"] == cupy.__version__
    assert len(config["gpus"]) == cupy.cuda.runtime.getDeviceCount()
    assert config["gpus"][0].startswith("0: ")
