"""Tables and the dated document."""

import datetime
import importlib.metadata
import os
import platform
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import fastpair
from adapters import PEERS, THREAD_VARIABLES
from cases import Case, Suite
from memory import Peak
from timing import FEWEST_CALLS, PATIENCE, Timing

METHOD = """\
- One process; in each round every package has its turn, in an order that is drawn anew, so that whatever else
  the machine does hits all of them alike. A turn is one call, or as many as fill half a millisecond.
- Before that, each package is called once on a thousand rows (it may compile or start threads) and once on the
  data of the case; neither call counts. The answer of the second one is checked: "same" means equal to 1e-9, or to
  1e-6 for packages that compute in float32; anything else is shown.
- `median` and `min` are seconds per call over the turns, whose number is under `turns`: {rounds} for the fast.
  The slow share out the {max_seconds:g} seconds of a case; they still get {fewest} turns, unless those would take
  more than {patience} times as long. `ratio` is the median over that of the first row, which is fastpair: above 1,
  fastpair is faster.
- One thread for everybody, unless the case or the row says otherwise: {threads}.
- All data are drawn from one seed.
- `required` is what this project demands of itself; it stands in `benches/cases_*.py` and is checked on the medians.
"""

MEMORY_METHOD = """\
Bytes that one call adds to the resident memory at its peak, in a fresh process for each row, after the input was
written and a call before has loaded the code; `beyond` is that less the `counted` bytes. The kernel counts resident
memory in batches, so a verdict grants 0.25 MiB more. All sizes in MiB. Source: {source}.
"""

MEMORY_ACCURACY = 1 << 18


@dataclass(frozen=True)
class Verdict:
    """One requirement and what was measured."""

    case: str
    against: str
    required: str
    measured: str
    met: bool | None
    """None if the package is absent."""


def seconds(value: float) -> str:
    """Three digits and a unit."""
    for unit, factor in (("s", 1.0), ("ms", 1e3)):
        if value * factor >= 0.9995:
            return f"{_digits(value * factor)} {unit}"
    return f"{_digits(value * 1e6)} µs"


def _digits(value: float) -> str:
    return f"{value:.3g}" if value < 999.5 else f"{value:.0f}"


def mebibytes(value: int) -> str:
    """Sizes, signed as they are."""
    return f"{value / (1 << 20):.2f}"


def table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Lay out a markdown table with aligned columns."""
    lines = [[cell.replace("|", "\\|") for cell in line] for line in (header, *rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    lines.insert(1, ["-" * width for width in widths])
    padded = [[cell.ljust(width) for cell, width in zip(line, widths, strict=True)] for line in lines]
    return "\n".join(f"| {' | '.join(line)} |" for line in padded)


def verdicts(case: Case, timings: list[Timing]) -> list[Verdict]:
    """Compare with what is required."""
    by_name = {timing.peer.name: timing for timing in timings if timing.seconds}
    subject = by_name.get(case.peers[0])
    found = []
    for name, target in case.targets.items():
        timing = by_name.get(name)
        if timing is None or subject is None:
            found.append(Verdict(case.name, name, target.describe(), "-", None))
            continue
        if target.kind == "exact":
            met = timing.difference == 0
            found.append(Verdict(case.name, name, target.describe(), outcome(case, timing), met))
            continue
        peer, own = timing.median, subject.median
        measured = {"faster": f"{_digits(peer / own)}x", "within": f"{_digits(own / peer)}x", "under": seconds(own)}
        met = target.holds(peer, own)
        found.append(Verdict(case.name, name, target.describe(), measured[target.kind], met))
    return found


def case_section(case: Case, rows_of_data: int, timings: list[Timing], judged: list[Verdict]) -> str:
    """One heading and one table."""
    required = {verdict.against: f"{verdict.required}: {_met(verdict.met)}" for verdict in judged}
    subject = timings[0]
    rows = []
    for timing in timings:
        name = timing.peer.name
        if timing.seconds:
            figures = [seconds(timing.median), seconds(min(timing.seconds)), str(len(timing.seconds))]
            ratio = f"{_digits(timing.median / subject.median)}x" if subject.seconds else "-"
            rows.append([name, *figures, ratio, required.get(name, ""), outcome(case, timing)])
        else:
            rows.append([name, "-", "-", "0", "-", "", timing.problem])
    header = ("package", "median", "min", "turns", "ratio", "required", "answer")
    return f"### {case.name}\n\n{case.describe(rows_of_data)}\n\n{table(header, rows)}\n{extrapolated(case, timings)}"


def extrapolated(case: Case, timings: list[Timing]) -> str:
    """Say how long the work takes of which a sample was timed."""
    if not case.whole:
        return ""
    times = (f"{timing.peer.name} {seconds(timing.median * case.whole)}" for timing in timings if timing.seconds)
    return f"\nAll of it, {case.whole:,.0f} times as much: {', '.join(times)}.\n"


def outcome(case: Case, timing: Timing) -> str:
    """Say whether the answer was right."""
    return "" if timing.difference is None else case.check.describe(timing.difference, timing.peer.tolerance)


def memory_section(suite: Suite, peaks: list[Peak], quick: bool) -> str:
    """All peaks of a suite in one table."""
    rows = []
    for peak in peaks:
        what = [peak.case.name, peak.case.describe(peak.rows)]
        if peak.extra is None:
            rows.append([*what, "-", "-", "-", "-", peak.source])
            continue
        beyond = peak.extra - peak.counted
        verdict = "-" if quick else _met(peak.extra <= peak.allowed + MEMORY_ACCURACY)
        rows.append([*what, *map(mebibytes, (peak.counted, peak.extra, beyond, peak.allowed)), verdict])
    header = ("case", "data", "counted", "extra", "beyond", "allowed extra", "verdict")
    sources = sorted({peak.source for peak in peaks if peak.extra is not None})
    method = MEMORY_METHOD.format(source="; ".join(sources) or "none")
    return f"{method}\n{suite.memory_notes}\n{table(header, rows)}\n"


def memory_verdicts(peaks: list[Peak]) -> list[Verdict]:
    """Compare with what is allowed."""
    return [
        Verdict(
            peak.case.name,
            "extra memory",
            f"at most {mebibytes(peak.allowed)} MiB",
            "-" if peak.extra is None else f"{mebibytes(peak.extra)} MiB",
            None if peak.extra is None else peak.extra <= peak.allowed + MEMORY_ACCURACY,
        )
        for peak in peaks
    ]


def summary_section(judged: list[Verdict]) -> str:
    """What is required and what was found, of all cases."""
    rows = [[one.case, one.against, one.required, one.measured, _met(one.met)] for one in judged]
    met = sum(one.met is True for one in judged)
    header = ("case", "against", "required", "measured", "verdict")
    return f"{met} of {len(judged)} requirements are met.\n\n{table(header, rows)}\n"


def _met(met: bool | None) -> str:
    return {True: "met", False: "**missed**", None: "not measured"}[met]


def machine_section() -> str:
    """Where this was measured."""
    config = fastpair.show_config(mode="dicts")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    rows = [
        ["processor", processor()],
        ["cores", str(cores)],
        ["system", platform.platform()],
        ["python", platform.python_version()],
        ["numpy", str(config["numpy"])],
        ["fastpair", f"{config['fastpair']}, instruction set {config['isa']} of {', '.join(config['isas'])}"],
    ]
    if hasattr(os, "getloadavg"):
        rows.append(["load before the run", f"{os.getloadavg()[0]:.2f}"])
    return table(("machine", ""), rows) + "\n"


def processor() -> str:
    """Read the model of the processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    fields = dict(line.split(":", 1) for line in lines if ":" in line)
    facts = {key.strip(): value.strip() for key, value in fields.items()}
    if "model name" not in facts:
        return platform.processor() or platform.machine()
    numbers = ", ".join(f"{key} {facts[key]}" for key in ("cpu family", "model", "stepping") if key in facts)
    return f"{facts['model name']} ({numbers})"


def packages_section(cases: list[Case]) -> str:
    """Versions of the peers of some cases, also of those that are absent."""
    peers = [PEERS[case.task][name] for case in cases for name in case.peers]
    rows = [[name, _version(name)] for name in [*sorted({peer.package for peer in peers if peer.package}), "ml_dtypes"]]
    if any("fastauc" in peer.name for peer in peers):
        built = "the library of FASTAUC_LIB" if "FASTAUC_LIB" in os.environ else "absent (FASTAUC_LIB is not set)"
        rows.append(["fastauc", built])
    return table(("package", "version"), rows) + "\n"


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "absent (not installed)"


def method_section(suites: list[Suite], rounds: int, max_seconds: float) -> str:
    """How it was measured."""
    threads = ", ".join(f"`{name}={os.environ.get(name, '')}`" for name in THREAD_VARIABLES)
    general = METHOD.format(
        rounds=rounds, max_seconds=max_seconds, fewest=FEWEST_CALLS, patience=PATIENCE, threads=threads
    )
    return "\n".join([general, *(f"{suite.name}:\n\n{suite.notes}" for suite in suites)])


def document(suites: list[Suite], command: str, quick: bool, parts: list[tuple[str, str]]) -> str:
    """Put the sections under their headings."""
    title = f"# {', '.join(suite.name for suite in suites)}: fastpair beside other packages\n\n"
    about = f"Measured on {datetime.date.today().isoformat()} by `{command}`.\n\n"
    warning = "**A quick run: sizes are reduced, so the figures and the ratios mean nothing.**\n\n" if quick else ""
    return title + about + warning + "\n".join(f"## {heading}\n\n{text}" for heading, text in parts)
