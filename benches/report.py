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
from cases import Case
from memory import Peak
from timing import FEWEST_CALLS, PATIENCE, Timing

METHOD = """\
- One process; in each round every package has its turn, in an order that is drawn anew, so that whatever else
  the machine does hits all of them alike. A turn is one call, or as many as fill half a millisecond.
- Before that, each package is called once on a thousand rows (it may compile or start threads) and once on the
  data of the case; neither call counts. The answer of the second one is compared with that of fastpair: "same"
  means within 1e-9, or 1e-6 for packages that compute in float32; anything else is shown.
- `median` and `min` are seconds per call over the turns, whose number is under `turns`: {rounds} for the fast.
  The slow share out the {max_seconds:g} seconds of a case; they still get {fewest} turns, unless those would take
  more than {patience} times as long. `ratio` is the median over that of the first row, which is fastpair: above 1,
  fastpair is faster.
- One thread for everybody, unless the row says otherwise: {threads}.
- All data are drawn from one seed. The distribution of the scores is `random` and 10 % of the rows are positive
  unless the case says otherwise. Integer dtypes hold the same scores, spread over their range.
- Labels are bool for everybody, which all of these packages take as they are (catboost's grouped metric:
  float32), so that none pays for a conversion. Where a package does not take a dtype of scores, the conversion
  to float32 that a user would write is part of its time.
- `required` is what this project demands of itself; it stands in `benches/cases.py` and is checked on the medians.

Distributions:

- `random`: N(0, 1) for negatives, N(1, 1) for positives; `sorted` and `reversed`: the same, in order.
- `skewed`: exp(4 x) of those; `saturated`: the logistic function of 16 + 8 x, of which about half is 1.0 in
  float32; `ties`: 1000 levels; `constant`: one value; `clusters`: 99 % around 0.5 with a deviation of 0.0001,
  the others around 0 with one of 1e6.
"""

MEMORY_METHOD = """\
Bytes that one call of `fastpair.auc` adds to the resident memory at its peak, in a fresh process for each row,
after the input was written and a call before has loaded the code; `beyond the scores` is that less the bytes of
the scores. `allowed` is what the documentation of the function promises: the bytes of the scores and 2 MiB, or
1 MiB in all for scores of at most 16 bits. The kernel counts resident memory in batches, so a verdict grants
0.25 MiB more. All sizes in MiB. Source: {source}.
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
            rows.append([name, *figures, ratio, required.get(name, ""), outcome(timing)])
        else:
            rows.append([name, "-", "-", "0", "-", "", timing.problem])
    header = ("package", "median", "min", "turns", "ratio", "required", "answer")
    return f"### {case.name}\n\n{case.describe(rows_of_data)}\n\n{table(header, rows)}\n"


def outcome(timing: Timing) -> str:
    """Say whether the answer was right."""
    if timing.difference is None:
        return ""
    if timing.difference <= timing.peer.tolerance:
        return "same"
    return f"**differs by {timing.difference:.1g}**"


def memory_section(peaks: list[Peak], quick: bool) -> str:
    """All peaks in one table."""
    rows = []
    for peak in peaks:
        case = peak.case
        what = [case.name, f"{case.dtype}, {case.distribution}", f"{peak.rows:,}", str(case.num_threads)]
        if peak.extra is None:
            rows.append([*what, "-", "-", "-", "-", peak.source])
            continue
        beyond = peak.extra - peak.score_bytes
        allowed = case.allowed(peak.rows, peak.score_bytes)
        verdict = "-" if quick else _met(peak.extra <= allowed + MEMORY_ACCURACY)
        rows.append([*what, *map(mebibytes, (peak.score_bytes, peak.extra, beyond, allowed)), verdict])
    header = ("case", "data", "n", "threads", "scores", "extra", "beyond the scores", "allowed extra", "verdict")
    sources = sorted({peak.source for peak in peaks if peak.extra is not None})
    return f"{MEMORY_METHOD.format(source='; '.join(sources) or 'none')}\n{table(header, rows)}\n"


def memory_verdicts(peaks: list[Peak]) -> list[Verdict]:
    """Compare with what the documentation promises."""
    return [
        Verdict(
            peak.case.name,
            "extra memory",
            f"at most {mebibytes(allowed)} MiB",
            f"{mebibytes(peak.extra)} MiB",
            peak.extra <= allowed + MEMORY_ACCURACY,
        )
        for peak in peaks
        if peak.extra is not None
        for allowed in [peak.case.allowed(peak.rows, peak.score_bytes)]
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


def packages_section() -> str:
    """Versions of all peers, also of those that are absent."""
    names = sorted({peer.package for task in PEERS.values() for peer in task.values() if peer.package})
    rows = [[name, _version(name)] for name in [*names, "ml_dtypes"]]
    built = "the library of FASTAUC_LIB" if "FASTAUC_LIB" in os.environ else "absent (FASTAUC_LIB is not set)"
    return table(("package", "version"), [*rows, ["fastauc", built]]) + "\n"


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "absent (not installed)"


def method_section(rounds: int, max_seconds: float) -> str:
    """How it was measured."""
    threads = ", ".join(f"`{name}={os.environ.get(name, '')}`" for name in THREAD_VARIABLES)
    return METHOD.format(
        rounds=rounds, max_seconds=max_seconds, fewest=FEWEST_CALLS, patience=PATIENCE, threads=threads
    )


def document(command: str, quick: bool, parts: list[tuple[str, str]]) -> str:
    """Put the sections under their headings."""
    title = "# AUC: fastpair beside other packages\n\n"
    about = f"Measured on {datetime.date.today().isoformat()} by `{command}`.\n\n"
    warning = "**A quick run: sizes are reduced, so the figures and the ratios mean nothing.**\n\n" if quick else ""
    return title + about + warning + "\n".join(f"## {heading}\n\n{text}" for heading, text in parts)
