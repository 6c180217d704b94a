"""Measure how much memory one call of fastpair takes beyond its input.

Each case runs in a process of its own (this file as a script), in which the input has been written. Where the
system allows it, the function is called once before, so that its code is loaded, the kernel's record of the peak
is reset, and the second call is measured.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cases import MemoryCase
from suites import SUITES

# Has the allocator of glibc return what is freed; otherwise the second call would find what the first one left.
RETURN_MEMORY = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}


@dataclass(frozen=True)
class Peak:
    """The outcome of one case; sizes in bytes."""

    case: MemoryCase
    rows: int
    counted: int
    allowed: int
    extra: int | None
    """The peak during the call, less what was in use before; None if it could not be measured."""
    source: str


def measure_peak(case: MemoryCase, rows: int) -> Peak:
    """Run one case in a fresh process."""
    command = [sys.executable, str(Path(__file__).resolve()), case.name, str(rows)]
    environment = {**os.environ, **RETURN_MEMORY}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        reason = (done.stderr.strip().splitlines() or ["no message"])[-1]
        return Peak(case, rows, 0, 0, None, f"failed: {reason}")
    return Peak(case, rows, **json.loads(done.stdout))


def run_case(case: MemoryCase, rows: int) -> dict[str, object]:
    """Measure in this process."""
    job = case.prepare(rows)
    extra, source = growth(job.call)
    return {"counted": job.counted, "allowed": job.allowed, "extra": extra, "source": source}


def growth(call: Callable[[], object]) -> tuple[int | None, str]:
    """How far the resident memory rises above its present size during a call."""
    if not Path("/proc/self/clear_refs").exists():
        return growth_of_record(call)
    call()
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return None, "not measured: the record of the peak cannot be reset"
    before = resident("VmHWM")
    call()
    return resident("VmHWM") - before, "VmHWM, reset before the call"


def growth_of_record(call: Callable[[], object]) -> tuple[int | None, str]:
    """Without a reset: how far the call exceeds the peak so far, which making the data hardly raises."""
    try:
        import resource
    except ImportError:
        return None, "not measured: this system keeps no record of peaks"
    unit = 1 if sys.platform == "darwin" else 1024
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    call()
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * unit, "getrusage, not reset"


def resident(field: str) -> int:
    """Read a field of /proc/self/status, in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) * 1024
    raise OSError(f"/proc/self/status has no {field}")


if __name__ == "__main__":
    by_name = {case.name: case for suite in SUITES.values() for case in suite.memory_cases}
    print(json.dumps(run_case(by_name[sys.argv[1]], int(sys.argv[2]))))
