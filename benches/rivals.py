"""Time fastpair beside other packages, and measure its memory.

``python benches/rivals.py --suite auc --output benches/results/auc.md`` measures AUC and writes the dated document; see
``benches/README.md``. Each suite has its cases in ``cases_<suite>`` and its packages in ``adapters_<suite>``; the
measurement is in `timing` and `memory`.
"""

import argparse
import shlex
from dataclasses import replace
from fnmatch import fnmatch
from pathlib import Path

import report
from cases import Case, MemoryCase, Suite
from memory import measure_peak
from suites import SUITES
from timing import measure


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Time fastpair beside other packages, and measure its memory.")
    parser.add_argument("--suite", choices=SUITES, help="only this one (default: all)")
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
    suites = [chosen(suite, arguments.case) for name, suite in SUITES.items() if arguments.suite in (None, name)]
    suites = [suite for suite in suites if suite.cases or suite.memory_cases]
    if not suites:
        raise SystemExit(f"no case matches {' '.join(arguments.case)}; --list shows them")
    if arguments.list:
        for suite in suites:
            list_cases(suite)
        return
    cases = [case for suite in suites for case in suite.cases]
    machine, packages = report.machine_section(), report.packages_section(cases)
    method = report.method_section(suites, arguments.rounds, arguments.max_seconds)
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
    for suite in suites:
        if not suite.memory_cases:
            continue
        peaks = [measure_peak(case, case.quick_rows() if arguments.quick else case.rows) for case in suite.memory_cases]
        parts.append(("Memory", report.memory_section(suite, peaks, arguments.quick)))
        print(parts[-1][1], flush=True)
        judged += [] if arguments.quick else report.memory_verdicts(peaks)
    if judged:
        parts.insert(0, ("Requirements", report.summary_section(judged)))
        print(parts[0][1])
    if arguments.output is not None:
        arguments.output.parent.mkdir(parents=True, exist_ok=True)
        text = report.document(suites, command(arguments), arguments.quick, parts)
        arguments.output.write_text(text, encoding="utf-8")


def chosen(suite: Suite, patterns: list[str]) -> Suite:
    """Keep the cases whose names match, with wildcards."""

    def matches(case: Case | MemoryCase) -> bool:
        return any(fnmatch(case.name, pattern) for pattern in patterns)

    return replace(
        suite, cases=tuple(filter(matches, suite.cases)), memory_cases=tuple(filter(matches, suite.memory_cases))
    )


def list_cases(suite: Suite) -> None:
    """Print names, data, packages and requirements."""
    for case in suite.cases:
        print(f"{case.name}: {case.describe(case.rows)}")
        for peer in case.peers:
            required = case.targets.get(peer)
            print(f"    {peer}" + (f"  [{required.describe()}]" if required else ""))
    for case in suite.memory_cases:
        print(f"{case.name}: peak memory, {case.describe(case.rows)}")


def command(arguments: argparse.Namespace) -> str:
    """Write down how this run was started, as far as it matters."""
    words = ["python benches/rivals.py"]
    if arguments.suite is not None:
        words += ["--suite", arguments.suite]
    if arguments.case != ["*"]:
        words += ["--case", *map(shlex.quote, arguments.case)]
    if arguments.quick:
        words.append("--quick")
    return " ".join(words)


if __name__ == "__main__":
    main()
