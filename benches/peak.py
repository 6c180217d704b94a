"""How much of the processor the contrastive losses use: their arithmetic beside that of nothing but multiply-adds.

``python benches/peak.py`` prints a table for 1 thread and for 2. The peak is a loop of independent fused multiply-adds
on registers, in float32 and in the widest vectors that fastpair uses, compiled by LLVM (it comes with numba). Peak and
calls take turns, as clocks change.

Counted are the products alone: a direction of InfoNCE takes 2 n m d operations for the similarities and as many for
each of the two gradients; both directions, as in CLIP, take the similarities a second time. What is spent on
exponentials, sums and norms is not counted, and lowers the share.
"""

import argparse
import ctypes
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import fastpair
import numpy as np
from adapters_contrastive import call_fastpair
from benchmarks.contrastive import make_batch
from report import machine_section, table
from threadpoolctl import threadpool_limits

# Accumulators of one thread: enough to hide the latency of a multiply-add on two ports.
CHAINS = 16
LANES = {"v4": 16, "v3": 8}
STEPS = 20_000_000
SIDE = 2_048
# Products of the size of the matrix of similarities, each 2 n m d operations.
PRODUCTS = {"info_nce": 3, "clip": 4, "siglip": 3}


CODE = """\
declare VECTOR @llvm.fma.vLANESf32(VECTOR, VECTOR, VECTOR)

define void @run(i64 %steps, ptr %values) #0 {
entry:
  %x = load VECTOR, ptr %values, align 4
  %second = getelementptr VECTOR, ptr %values, i64 1
  %y = load VECTOR, ptr %second, align 4
  br label %loop
loop:
  %i = phi i64 [ 0, %entry ], [ %next, %loop ]
STARTS
STEPS
  %next = add i64 %i, 1
  %done = icmp eq i64 %next, %steps
  br i1 %done, label %exit, label %loop
exit:
SUMS
  store VECTOR %sLAST, ptr %values, align 4
  ret void
}

attributes #0 = { "min-legal-vector-width"="BITS" "prefer-vector-width"="BITS" }
"""


def multiply_adds(lanes: int) -> Callable[[int], None]:
    """Compile a loop that does so many steps of `CHAINS` multiply-adds on vectors."""
    from llvmlite import binding

    vector = f"<{lanes} x float>"
    chains = range(CHAINS)
    starts = [", ".join([f"float {chain}.0"] * lanes) for chain in chains]
    parts = {
        "STARTS": [f"  %a{chain} = phi VECTOR [ <{starts[chain]}>, %entry ], [ %b{chain}, %loop ]" for chain in chains],
        "STEPS": [
            f"  %b{chain} = call VECTOR @llvm.fma.vLANESf32(VECTOR %x, VECTOR %y, VECTOR %a{chain})" for chain in chains
        ],
        "SUMS": [
            "  %s0 = fadd VECTOR %b0, zeroinitializer",
            *(f"  %s{chain} = fadd VECTOR %s{chain - 1}, %b{chain}" for chain in chains[1:]),
        ],
        "LAST": [str(CHAINS - 1)],
        "VECTOR": [vector],
        "LANES": [str(lanes)],
        "BITS": [str(32 * lanes)],
    }
    code = CODE
    for name, lines in parts.items():
        code = code.replace(name, "\n".join(lines))
    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    module = binding.parse_assembly(code)
    module.verify()
    machine = binding.Target.from_default_triple().create_target_machine(
        cpu=binding.get_host_cpu_name(), features=binding.get_host_cpu_features().flatten(), opt=3
    )
    engine = binding.create_mcjit_compiler(module, machine)
    engine.finalize_object()
    # A call through ctypes releases the GIL, so that threads run side by side.
    function = ctypes.CFUNCTYPE(None, ctypes.c_int64, ctypes.c_void_p)(engine.get_function_address("run"))

    def run(steps: int, engine: object = engine) -> None:
        values = np.full(2 * lanes, 1e-9, np.float32)
        function(steps, values.ctypes.data)

    return run


def seconds(call: Callable[[], object]) -> float:
    """Of one call."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def arithmetic(threads: int, sizes: list[tuple[int, int]]) -> dict[str, tuple[float, Callable[[], object]]]:
    """Name what is measured: how many operations it takes, and the call."""
    left, right = np.random.default_rng(0).standard_normal((2, SIDE, SIDE), np.float32)
    calls: dict[str, tuple[float, Callable[[], object]]] = {
        f"numpy, product of two {SIDE:,} x {SIDE:,}": (2.0 * SIDE**3, lambda: left @ right)
    }
    for rows, width in sizes:
        data = make_batch(rows, width)
        for task, products in PRODUCTS.items():
            name = f"{task}, n = {rows:,}, d = {width}"
            operations = 2.0 * products * rows**2 * width
            calls[name] = operations, partial(call_fastpair, task, data, num_threads=threads)
    return calls


def measure(threads: int, sizes: list[tuple[int, int]], rounds: int) -> str:
    """Make a table of rates, each beside the peak right before and after."""
    lanes = LANES.get(str(fastpair.show_config(mode="dicts")["isa"]), 4)
    loop, calls = multiply_adds(lanes), arithmetic(threads, sizes)
    peaks: list[float] = []
    rates: dict[str, list[float]] = {name: [] for name in calls}
    shares: dict[str, list[float]] = {name: [] for name in calls}
    with threadpool_limits(threads), ThreadPoolExecutor(threads) as pool:

        def peak() -> float:
            spent = seconds(lambda: list(pool.map(loop, [STEPS] * threads)))
            return 2.0 * lanes * CHAINS * STEPS * threads / spent

        peak()
        for _, call in calls.values():
            call()
        for _ in range(rounds):
            for name, (operations, call) in calls.items():
                around = peak()
                rate = operations / seconds(call)
                around = (around + peak()) / 2
                peaks.append(around)
                rates[name].append(rate)
                shares[name].append(rate / around)
    lines = [["peak, multiply-adds on registers", f"{statistics.median(peaks) / 1e9:.0f}", "1"]]
    for name in calls:
        lines.append([name, f"{statistics.median(rates[name]) / 1e9:.0f}", f"{statistics.median(shares[name]):.2f}"])
    words = "1 thread" if threads == 1 else f"{threads} threads"
    return table((f"{words}, float32, vectors of {32 * lanes} bits", "GFLOP/s", "of the peak"), lines)


def main() -> None:
    """Print a table for each number of threads."""
    parser = argparse.ArgumentParser(description="The share of the processor that contrastive losses use.")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rows", type=int, default=8_192, help="(default: %(default)s)")
    parser.add_argument("--widths", type=int, nargs="+", default=[128, 256, 768])
    parser.add_argument("--rounds", type=int, default=7, help="(default: %(default)s)")
    arguments = parser.parse_args()
    print(machine_section())
    for threads in arguments.threads:
        print(measure(threads, [(arguments.rows, width) for width in arguments.widths], arguments.rounds), end="\n\n")


if __name__ == "__main__":
    main()
