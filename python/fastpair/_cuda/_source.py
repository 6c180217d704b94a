"""From .cu files to kernels: sources are put together from the files beside them and compiled once for each device.

``#include "name.cuh"`` is resolved here, so that the compiler sees one text: CuPy's cache of binaries goes by that text
and would not notice a changed header.
"""

import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["OPTIONS", "expressions", "kernel", "launch", "source", "type_name"]

FOLDER = Path(__file__).parent / "kernels"
OPTIONS = ("-std=c++17", "--fmad=false")
"""Products and sums are fused only where a kernel says so: results have the bits of the kernels for processors."""

TYPE_NAMES = {
    **{"float64": "double", "float32": "float", "float16": "Half", "bfloat16": "Bfloat16", "bool": "u8"},
    **{"int8": "signed char", "int16": "short", "int32": "int", "int64": "i64"},
    **{"uint8": "u8", "uint16": "u16", "uint32": "u32", "uint64": "u64"},
}


@cache
def source(name: str) -> str:
    """Return the text of a .cu file with everything it includes, each file once."""
    return _expanded(name, set())


def _expanded(name: str, seen: set[str]) -> str:
    if name in seen:
        return ""
    seen.add(name)
    text = (FOLDER / name).read_text(encoding="utf-8")
    lines = []
    for number, line in enumerate(text.splitlines(), 1):
        included = re.match(r'#include "(\w+\.cuh)"', line)
        if included:
            lines += [_expanded(included[1], seen), f'#line {number + 1} "{name}"']
        elif line != "#pragma once":
            lines.append(line)
    return "\n".join([f'#line 1 "{name}"', *lines])


def expressions(text: str) -> tuple[str, ...]:
    """Return the kernels that a source names, with template arguments, in lines that begin with ``//: ``."""
    listed = ", ".join(re.findall(r"^//: (.*)$", text, re.MULTILINE))
    return tuple(re.findall(r"\w+(?:<[^>]*>)?", listed))


def kernel(name: str, expression: str) -> Callable[..., None]:
    """Return a kernel of a .cu file by its name with template arguments, such as ``"collect<float>"``."""
    import cupy

    return _kernel(cupy.RawModule, name, expression)


@cache
def _kernel(module: Any, name: str, expression: str) -> Callable[..., None]:
    # RawKernel compiles once for each device by itself. The module is a key so that tests may bring their own.
    code = module(code=source(name), options=OPTIONS, name_expressions=(expression,))
    return code.get_function(expression)  # type: ignore[no-any-return]


def launch(name: str, expression: str, blocks: Any, threads: int, *args: Any, shared: int = 0) -> None:
    """Run a kernel on a grid of blocks (a number, or a tuple) on the current stream; nothing for an empty grid."""
    grid = blocks if isinstance(blocks, tuple) else (blocks,)
    if 0 in grid:
        return
    function: Any = kernel(name, expression)
    if shared > 48 << 10:
        function.max_dynamic_shared_size_bytes = shared
    function(tuple(map(int, grid)), (threads,), args, shared_mem=shared)


def type_name(dtype: np.dtype[Any]) -> str:
    """Return the C++ type of `common.cuh` for elements of a dtype."""
    return TYPE_NAMES[dtype.name]
