"""How far a long call has come: a bar of tqdm, a line on the terminal, or a function of the caller."""

import sys
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self, TypeAlias

__all__ = ["Progress", "Report"]

Report: TypeAlias = Callable[[int, int], object]


class Progress:
    """Adds up the progress of the parts of one job; a context manager."""

    def __init__(self, show: bool | Report | None, total: int) -> None:
        """Report to `show` (True: a bar) out of `total` pairs, 0 if their number is unknown."""
        if not (show is None or isinstance(show, bool) or callable(show)):
            raise TypeError(f"progress must be True, False or a function of (done, total), not {show!r}")
        self._total, self._before, self._bar = total, 0, None
        self._report: Report | None = None if isinstance(show, bool) else show
        if show is True:
            self._bar = _bar(total)
            self._report = self._bar.report

    def part(self, size: int) -> Report | None:
        """Begin a part of `size` pairs; its kernel calls what is returned."""
        begin, report = self._before, self._report
        self._before += size
        if report is None:
            return None
        return lambda done, total: report(begin + size * min(done, total) // max(total, 1), self._total)

    def end_part(self) -> None:
        """Say that all parts begun so far are done."""
        if self._report is not None:
            self._report(self._before, self._total)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()


class _Line:
    """A percentage on the last line of the terminal."""

    def __init__(self) -> None:
        self._shown = ""

    def report(self, done: int, total: int) -> None:
        text = f"{100 * done // total} %" if total else f"{done:.3g} pairs"
        if text != self._shown:
            print(f"\rfastpair: {text}", end="", file=sys.stderr, flush=True)
            self._shown = text

    def close(self) -> None:
        if self._shown:
            print(file=sys.stderr)


class _Tqdm:
    """A bar of the package tqdm."""

    def __init__(self, tqdm: Any, total: int) -> None:
        self._bar = tqdm(total=total or None, unit="pair", unit_scale=True, desc="fastpair")

    def report(self, done: int, total: int) -> None:
        self._bar.update(done - self._bar.n)

    def close(self) -> None:
        self._bar.close()


def _bar(total: int) -> _Line | _Tqdm:
    try:
        from tqdm.auto import tqdm
    except ImportError:
        return _Line()
    return _Tqdm(tqdm, total)
