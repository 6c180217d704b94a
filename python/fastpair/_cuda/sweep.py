"""Hinges over all pairs: ``max(x, 0)`` and its square for ``x = (lower - upper + shift) / temperature``.

One side becomes a sorted table of thresholds with running moments, the rows of the other look their places up. For the
derivatives of the first side the other becomes a table too.

O((n + m) log) time; 40 bytes for each row of a table.
"""

from typing import Any, NamedTuple

from fastpair._cuda._source import launch
from fastpair._cuda.direct import SCAN_CHUNK, SCAN_THREADS, SUM_THREADS, Part, Rows, Sums, Want, blocks_of

__all__ = ["hinge_sums"]

SIZE_OF_STATE = 4


def hinge_sums(part: Part, squared: bool, origin: float, uppers: Rows, lowers: Rows, want: Want) -> Sums:
    """Return the sums of all pairs; `origin` is where places are counted from."""
    # Mirrored, lower rows are the upper ones: the smaller side makes the table.
    mirrored = len(uppers.scores) > len(lowers.scores)
    tabled, others = (lowers, uppers) if mirrored else (uppers, lowers)
    tabled_wanted, others_wanted = (want.lowers, want.uppers) if mirrored else (want.uppers, want.lowers)

    def place(scores: Any) -> Any:
        return origin - scores if mirrored else scores - origin

    thresholds, places = place(tabled.scores) - part.shift, place(others.scores)
    moments = 1 + squared
    total = tabled_slopes = others_slopes = None
    if want.value or others_wanted:
        table = _Table.of(thresholds, tabled.weights, moments + want.value)
        found = table.below(part.temperature, squared, places, 1.0, others.weights, want.value, others_wanted)
        total, others_slopes = found
    if tabled_wanted:
        # What lies above a threshold lies below it on the mirrored line.
        table = _Table.of(-places, others.weights, moments)
        _, tabled_slopes = table.below(part.temperature, squared, thresholds, -1.0, None, False, True)
    slopes = (others_slopes, tabled_slopes) if mirrored else (tabled_slopes, others_slopes)
    return Sums(total, *slopes)


class _Table(NamedTuple):
    """Sorted places, and for each the first moments of all up to it."""

    places: Any
    moments: tuple[Any, Any, Any]

    @classmethod
    def of(cls, places: Any, weights: Any, moments: int) -> "_Table":
        import cupy

        if weights is None:
            places = cupy.sort(places)
        else:
            order = cupy.argsort(places, kind="stable")
            places, weights = places[order], weights[order]
        count = len(places)
        chunks = blocks_of(count, SCAN_CHUNK)
        carried = cupy.empty(chunks * SIZE_OF_STATE)
        kept = [cupy.empty(count) if order < moments else None for order in range(3)]
        launch("sweep.cu", "moment_totals", chunks, SCAN_THREADS, places, weights, count, carried)
        launch("sweep.cu", "moment_carry", 1, SCAN_THREADS, carried, chunks)
        launch("sweep.cu", "moments", chunks, SCAN_THREADS, places, weights, count, carried, *kept)
        return cls(places, (kept[0], kept[1], kept[2]))

    def below(
        self, temperature: float, squared: bool, queries: Any, sign: float, weights: Any, value: bool, slope: bool
    ) -> tuple[Any, Any]:
        """Return the weighted sum of values and the slopes of all queries; None for what is not wanted."""
        import cupy

        rows = len(queries)
        blocks = blocks_of(rows)
        totals, slopes = cupy.empty(blocks) if value else None, cupy.empty(rows) if slope else None
        launch(
            *("sweep.cu", f"below<{str(squared).lower()}>", blocks, SUM_THREADS),
            *(queries, rows, sign, weights, self.places, len(self.places), *self.moments),
            *(temperature, totals, slopes),
        )
        return None if totals is None else totals.sum(), slopes
