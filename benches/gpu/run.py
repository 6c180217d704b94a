"""Time the GPU path beside other libraries: ``python benches/gpu/run.py --output benches/results/gpu.md``.

Needs CuPy and a device; peers that are not installed are left out. For each case: first the answer is compared with
that of the kernels for processors, then every package has its turns, in an order drawn anew in each round. A turn is
timed with CUDA events and works on another copy of the data than the one before, so that no input is in the cache.
"""

import argparse
import datetime
import statistics
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fastpair
import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

from cases import CASES, Case, Floor
from peers import RECIPES

COPIED_CACHES = 3
"""How many times the size of the second-level cache the copies of the data have together."""


def parse_arguments(words: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Time fastpair on a GPU beside other libraries.")
    parser.add_argument("--case", nargs="+", default=[case.name for case in CASES], metavar="NAME")
    parser.add_argument("--rounds", type=int, default=11, help="turns of each package (default: %(default)s)")
    parser.add_argument("--output", type=Path, metavar="FILE", help="write a markdown document")
    parser.add_argument("--quick", action="store_true", help="a smoke test on tiny data")
    return parser.parse_args(words)


def main(words: list[str] | None = None) -> None:
    """Measure the chosen cases and print a table."""
    import cupy

    arguments = parse_arguments(words)
    rates = Rates(cupy, 256 if arguments.quick else 8192)
    lines = [*machine(cupy, rates), "", *HEADER]
    for case in CASES:
        if case.name in arguments.case:
            lines += measure(cupy, case, arguments, rates)
            print(lines[-1], flush=True)
    text = "\n".join(lines) + "\n"
    print(text)
    if arguments.output is not None:
        arguments.output.write_text(f"# fastpair on a GPU\n\n{text}", encoding="utf-8")


class Rates:
    """What copies and products reach on this device: bytes and operations a second."""

    def __init__(self, cupy: Any, side: int) -> None:
        values = cupy.zeros(side * side * 4, np.float32)
        target = cupy.empty_like(values)
        self.bandwidth = 2 * values.nbytes / timed(cupy, lambda: cupy.add(values, 1, target), 5)
        self.products = {name: self._products(cupy, side, name) for name in ("float32", "tf32", "bfloat16")}

    @staticmethod
    def _products(cupy: Any, side: int, name: str) -> float:
        from cases import bfloat16
        from fastpair._cuda.gemm import gemm

        dtype = bfloat16() if name == "bfloat16" else np.dtype(np.float32)
        factor = cupy.ones((side, side), np.float32).astype(dtype)
        out = cupy.empty((side, side), np.float32)
        seconds = timed(cupy, lambda: gemm(factor, factor, out, transpose_b=True, tf32=name == "tf32"), 5)
        return 2.0 * side**3 / seconds

    def seconds(self, floor: Floor) -> float:
        """Return the least time that a floor leaves."""
        return max(floor.bytes / self.bandwidth, floor.operations / self.products[floor.dtype])


def timed(cupy: Any, call: Callable[[], Any], rounds: int) -> float:
    """Return the median seconds of a call by CUDA events, after one that is not counted."""
    call()
    return statistics.median(one_turn(cupy, call) for _ in range(rounds))


def one_turn(cupy: Any, call: Callable[[], Any]) -> float:
    """Return the seconds from the first to the last operation of a call on the current stream."""
    begin, end = cupy.cuda.Event(), cupy.cuda.Event()
    begin.record()
    call()
    end.record()
    end.synchronize()
    return cupy.cuda.get_elapsed_time(begin, end) / 1e3


def measure(cupy: Any, case: Case, arguments: argparse.Namespace, rates: Rates) -> list[str]:
    """Return the lines of a case: fastpair, then its peers."""
    sizes = case.quick if arguments.quick else case.sizes
    data = case.draw(cupy, np.random.default_rng(0), *sizes)
    difference = case.right(data, case.call(data))
    if not difference <= case.tolerance:
        raise SystemExit(f"{case.name}: the answer is off by {difference}, at most {case.tolerance} is right")
    size = sum(array.nbytes for array in data.values())
    cache = cupy.cuda.runtime.getDeviceProperties(0)["l2CacheSize"]
    copies = [data, *(copied(data) for _ in range(min(7, int(COPIED_CACHES * cache // max(size, 1)))))]
    turns: dict[str, list[Callable[[], Any]]] = {"fastpair": [lambda own=own: case.call(own) for own in copies]}
    missing = []
    for peer in case.peers:
        if (peer, case.name) not in RECIPES:
            continue
        try:
            turns[peer] = [RECIPES[peer, case.name](own) for own in copies]
            turns[peer][0]()
        except ImportError:
            turns.pop(peer, None)
            missing.append(peer)
        except Exception as error:  # out of memory, say: part of the answer
            turns.pop(peer, None)
            missing.append(f"{peer} ({type(error).__name__})")
    seconds: dict[str, list[float]] = {name: [] for name in turns}
    rng = np.random.default_rng(1)
    for name in turns:
        turns[name][0]()
    for turn in range(arguments.rounds):
        for name in rng.permutation(list(turns)):
            own = turns[name]
            seconds[name].append(one_turn(cupy, own[turn % len(own)]))
    floor = case.floor(*sizes)
    return [
        *(row(case, sizes, name, seconds, floor, rates.seconds(floor)) for name in turns),
        *(f"| {case.name} | {peer} | did not run | | | | |" for peer in missing),
    ]


def copied(data: dict[str, Any]) -> dict[str, Any]:
    """Return the same data elsewhere."""
    return {name: array.copy() for name, array in data.items()}


HEADER = [
    "| case | package | median | least | times fastpair | share of the floor | floor |",
    "|---|---|---|---|---|---|---|",
]


def row(
    case: Case, sizes: tuple[int, ...], name: str, seconds: dict[str, list[float]], floor: Floor, least: float
) -> str:
    """Return a line of the table."""
    median = statistics.median(seconds[name])
    own = statistics.median(seconds["fastpair"])
    label = f"{case.name} ({' x '.join(map(str, sizes))})" if name == "fastpair" else ""
    floors = f"{1e3 * least:.3g} ms: {floor.words}" if name == "fastpair" else ""
    return (
        f"| {label} | {name} | {1e3 * median:.3g} ms | {1e3 * min(seconds[name]):.3g} ms | {median / own:.2f}x "
        f"| {100 * least / median:.0f} % | {floors} |"
    )


def machine(cupy: Any, rates: Rates) -> list[str]:
    """Say what this was measured on."""
    config = fastpair.show_config(mode="dicts")
    products = ", ".join(f"{rate / 1e12:.0f} ({name})" for name, rate in rates.products.items())
    return [
        f"Measured on {datetime.date.today()} with fastpair {config['fastpair']}, CuPy {cupy.__version__}, device",
        f"{', '.join(config['gpus'])}. Copies reach {rates.bandwidth / 1e12:.2f} TB/s, products {products} TFLOP/s.",
    ]


if __name__ == "__main__":
    main()
