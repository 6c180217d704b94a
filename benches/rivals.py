"""Time fastpair beside other packages, and measure its memory.

``python benches/rivals.py --output benches/results/auc.md`` measures everything and writes the dated document; see
``benches/README.md``. The cases are in `cases`, the packages in `adapters`, the measurement in `timing` and `memory`.
"""

import argparse
import shlex
from fnmatch import fnmatch
from pathlib import Path

import report
from cases import CASES, MEMORY_CASES, Case, MemoryCase
from memory import measure_peak
from timing import measure


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Time fastpair beside other packages, and measure its memory.")
    parser.add_argument("--case", nargs="+", default=["*"], metavar="NAME", help="only these; wildcards as in a shell")
    parser.add_argument("--rounds", type=int, default=21, help="turns of each package (default: %(default)s)")
    parser.add_argument("--max-seconds", type=float, default=8.0, help="for the turns of a case (default: %(default)s)")
    parser.add_argument("--output", type=Path, metavar="FILE", help="write a markdown document")
    parser.add_argument("--list", action="store_true", help="list the cases and stop")
    parser.add_argument("--quick", action="store_true", help="a smoke test: small sizes, few rounds, no verdicts")
    arguments = parser.parse_args()
    if arguments.rounds < 1 or arguments.max_seconds <= 0:
        parser.error("--rounds and --max-seconds must be positive")
    if arguments.quick:
        arguments.rounds = min(arguments.rounds, 3)
        arguments.max_seconds = min(arguments.max_seconds, 0.5)
    return arguments


def main() -> None:
    """Run the chosen cases, print each table as soon as it is there, write the document."""
    arguments = parse_arguments()
    cases = [case for case in CASES if is_chosen(case, arguments.case)]
    memory_cases = [case for case in MEMORY_CASES if is_chosen(case, arguments.case)]
    if not cases and not memory_cases:
        raise SystemExit(f"no case matches {' '.join(arguments.case)}; --list shows them")
    if arguments.list:
        list_cases(cases, memory_cases)
        return
    machine, packages = report.machine_section(), report.packages_section()
    method = report.method_section(arguments.rounds, arguments.max_seconds)
    print(machine, packages, sep="\n", flush=True)
    judged, tables = [], []
    for case in cases:
        rows = case.quick_rows() if arguments.quick else case.rows
        timings = measure(case, rows, arguments.rounds, arguments.max_seconds)
        own = [] if arguments.quick else report.verdicts(case, timings)
        judged += own
        tables.append(report.case_section(case, rows, timings, own))
        print(tables[-1], flush=True)
    parts = [("Machine", machine), ("Packages", packages), ("Method", method)]
    if tables:
        parts.append(("Times", "\n".join(tables)))
    if memory_cases:
        peaks = [measure_peak(case, case.quick_rows() if arguments.quick else case.rows) for case in memory_cases]
        parts.append(("Memory", report.memory_section(peaks, arguments.quick)))
        print(parts[-1][1], flush=True)
        judged += [] if arguments.quick else report.memory_verdicts(peaks)
    if judged:
        parts.insert(0, ("Requirements", report.summary_section(judged)))
        print(parts[0][1])
    if arguments.output is not None:
        arguments.output.parent.mkdir(parents=True, exist_ok=True)
        arguments.output.write_text(report.document(command(arguments), arguments.quick, parts), encoding="utf-8")


def is_chosen(case: Case | MemoryCase, patterns: list[str]) -> bool:
    """Match the name of a case with wildcards."""
    return any(fnmatch(case.name, pattern) for pattern in patterns)


def list_cases(cases: list[Case], memory_cases: list[MemoryCase]) -> None:
    """Print names, data, packages and requirements."""
    for case in cases:
        print(f"{case.name}: {case.describe(case.rows)}")
        for peer in case.peers:
            required = case.targets.get(peer)
            print(f"    {peer}" + (f"  [{required.describe()}]" if required else ""))
    for case in memory_cases:
        print(f"{case.name}: peak memory, {case.dtype}, {case.distribution} scores, n = {case.rows:,}")


def command(arguments: argparse.Namespace) -> str:
    """Write down how this run was started, as far as it matters."""
    words = ["python benches/rivals.py"]
    if arguments.case != ["*"]:
        words += ["--case", *map(shlex.quote, arguments.case)]
    if arguments.quick:
        words.append("--quick")
    return " ".join(words)


if __name__ == "__main__":
    main()
