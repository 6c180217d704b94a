"""Mining pairs on the device: which negatives, or positives, of each row are hard enough to learn from.

All tiles of approximate scores are swept twice, or once where nothing is measured first: what each row is measured by,
then which pairs are inside. Both score exactly, in float64, what the tiles do not decide, so nothing depends on tiles.
A matrix that is one tile is made once.

Cost: O(n m d) on tensor cores for each sweep, O(d) for each pair that is scored. Memory: a tile and blocks of rows.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from fastpair._cuda import bits, rows
from fastpair._cuda._source import launch

__all__ = ["mine_band", "mine_multi_similarity", "score_of_lists"]

THREADS = 128
PAIRS_OF_A_WARP = 256
POSITIVE, NEGATIVE = np.int32(1), np.int32(2)
BESTS = {"nearest": True, "farthest": False}
REFERENCES = {"hardest": False, "easiest": True}
"""Whether the positive that is the reference is the nearest one."""


class _Band(NamedTuple):
    """Limits around references, as the kernels take them."""

    references: Any = None
    offsets: Any = None
    lower: float = -np.inf
    upper: float = np.inf
    closed: tuple[bool, bool] = (False, False)
    ceiling: float = np.inf

    def arguments(self) -> tuple[Any, ...]:
        """Return BAND_PARAMETERS."""
        below, above = map(np.bool_, self.closed)
        return self.references, self.offsets, float(self.lower), float(self.upper), below, above, float(self.ceiling)


class _Tile(NamedTuple):
    """A tile, and the kernels that look at it."""

    kind: str
    arguments: tuple[Any, ...]
    rows: int
    columns: int

    def extremes(self, band: _Band, role: Any, nearest: bool, found: tuple[Any, Any]) -> None:
        """Find the nearest, or farthest, pair of each result."""
        self._launch("extremes", self.rows, *band.arguments(), role, np.bool_(nearest), *found)

    def sums(self, totals: Any, counts: Any) -> None:
        """Add the closenesses of positives, and count them."""
        self._launch("sums", _blocks(self.rows), totals, counts)

    def references(self, offsets: Any, counts: Any, keys: Any) -> None:
        """List the closenesses of positives."""
        self._launch("references", _blocks(self.rows), offsets, counts, keys)

    def bits(self, band: _Band, role: Any, kept: Any) -> None:
        """Write which pairs are inside."""
        pieces = -(-self.columns // PAIRS_OF_A_WARP)
        self._launch("band_bits", _blocks(self.rows * pieces), *band.arguments(), role, kept)

    def _launch(self, name: str, blocks: int, *arguments: Any) -> None:
        launch("mine.cu", f"{name}<{self.kind}>", blocks, THREADS, *self.arguments, *arguments)


class _Sweeps:
    """Some rows of x with all rows of y: their tiles, as often as they are wanted."""

    def __init__(
        self,
        x: Any,
        y: Any,
        metric: str,
        roles: dict[str, Any],
        part: tuple[int, int],
        progress: Callable[[int, int], object] | None,
        max_memory: int | None,
    ) -> None:
        if not 0 <= part[0] <= part[1] <= len(x):
            raise ValueError(f"rows must be a range of the {len(x)} rows of x")
        self.begin, self.rows, self.columns = part[0], part[1] - part[0], len(y)
        own = x if part == (0, len(x)) else x[part[0] : part[1]]
        self.tiles = rows.Tiles(own, y, metric, max_memory=max_memory)
        self.roles = bits.role_arguments(roles, (len(x), len(y)))
        self.largest, self.progress = metric in ("dot", "cosine"), progress
        self._only: list[rows.Tile] | None = None

    def sweep(self, number: int, count: int) -> Iterator[_Tile]:
        """Step through all tiles, the `number`th time of `count`."""
        tiles = self.tiles
        for tile in tiles.sweep(self._report(number, count)) if self._only is None else self._only:
            if tile.sums.shape == (self.rows, self.columns):
                self._only = [tile]
            x, y = tile.x, tile.y
            yield _Tile(
                tiles.kind,
                (
                    *(
                        *self.roles,
                        tile.sums,
                        *tile.sums.shape,
                        x.values,
                        y.values,
                        x.facts,
                        y.facts,
                        x.traits,
                        y.traits,
                    ),
                    *(tiles.width, tiles.code, tiles.factor),
                    *(self.begin + tile.rows.start, tile.columns.start, self.columns, self.begin),
                ),
                *tile.sums.shape,
            )

    def _report(self, number: int, count: int) -> Callable[[int, int], object] | None:
        progress = self.progress
        if progress is None:
            return None
        return lambda done, total: progress(number * total + done, count * total)

    def keys(self, found: tuple[Any, Any]) -> Any:
        """Return the closenesses of what was found; those of nothing are no number."""
        return found[1] if self.largest else -found[1]

    def check(self) -> None:
        """Raise the error of a row that has no scores, by its number among all rows."""
        try:
            self.tiles.check()
        except ValueError as error:
            own = r"(?<=^row )\d+(?= of x)|(?<= at row )\d+" if not str(error).startswith("y") else "(?!)"
            raise ValueError(re.sub(own, lambda row: str(int(row[0]) + self.begin), str(error), count=1)) from None


def _blocks(warps: int) -> int:
    return -(-32 * warps // THREADS)


def _nothing(count: int) -> tuple[Any, Any]:
    """Return the columns and scores of results for which nothing was found."""
    import cupy

    return cupy.full(count, -1, np.int64), cupy.full(count, np.nan)


def _memory(max_memory: int | None, held: int) -> int | None:
    return None if max_memory is None else max(max_memory - held, 1)


def mine_band(
    x: Any,
    y: Any,
    metric: str,
    roles: dict[str, Any],
    rows: tuple[int, int],
    reference: str | None,
    limits: tuple[float, float],
    closed: tuple[bool, bool],
    best: str | None,
    offsets: Any,
    kept: Any,
    progress: Any,
    num_threads: int | None,
    max_memory: int | None,
    held: int,
) -> tuple[tuple[Any, Any], tuple[Any, Any]]:
    """Find the negatives of some rows in a band.

    Packed bits go to `kept`, or else the nearest or farthest is returned, behind the positives that are the references.
    """
    import cupy

    sweeps = _Sweeps(x, y, metric, roles, rows, progress, _memory(max_memory, held))
    if best is not None and best not in BESTS:
        raise ValueError(f"best is unknown: {best!r}")
    if reference not in (None, "mean", "each", *REFERENCES):
        raise ValueError(f"reference is unknown: {reference!r}")
    results = sweeps.rows if offsets is None else len(kept) if kept is not None else int(offsets[-1])
    if best is None:
        if kept is None:
            raise ValueError("kept is missing")
        bits.packed_rows(kept, results, sweeps.columns)
    positives, negatives = _nothing(results if reference in REFERENCES else 0), _nothing(results if best else 0)
    references = None
    if reference is not None:
        references, counts = cupy.full(results, np.nan), cupy.zeros(sweeps.rows, np.int64)
        if reference == "mean":
            references[...] = 0.0
        for tile in sweeps.sweep(0, 2):
            if reference == "mean":
                tile.sums(references, counts)
            elif reference == "each":
                tile.references(offsets, counts, references)
            else:
                tile.extremes(_Band(), POSITIVE, REFERENCES[reference], positives)
        if reference == "mean":
            references = np.where(counts > 0, references / np.maximum(counts, 1), np.nan)
        elif reference != "each":  # where nothing is limited, a row needs no positive
            missing = 0.0 if limits == (-np.inf, np.inf) else np.nan
            references = np.where(positives[0] < 0, missing, sweeps.keys(positives))
    band, before = _Band(references, offsets, *limits, closed), int(reference is not None)
    for tile in sweeps.sweep(before, before + 1):
        if best is None:
            tile.bits(band, NEGATIVE, kept)
        else:
            tile.extremes(band, NEGATIVE, BESTS[best], negatives)
    sweeps.check()
    return positives, negatives


def mine_multi_similarity(
    x: Any,
    y: Any,
    metric: str,
    roles: dict[str, Any],
    rows: tuple[int, int],
    epsilon: float,
    duplicates: float,
    positives: Any,
    negatives: Any,
    progress: Any,
    num_threads: int | None,
    max_memory: int | None,
    held: int,
) -> None:
    """Write the packed bits of the pairs of some rows that are hard beside the hardest pair of the other kind."""
    sweeps = _Sweeps(x, y, metric, roles, rows, progress, _memory(max_memory, held))
    for out in (positives, negatives):
        bits.packed_rows(out, sweeps.rows, sweeps.columns)
    farthest, nearest = _nothing(sweeps.rows), _nothing(sweeps.rows)
    for tile in sweeps.sweep(0, 2):
        tile.extremes(_Band(ceiling=duplicates), POSITIVE, False, farthest)
        tile.extremes(_Band(), NEGATIVE, True, nearest)
    positive, negative = sweeps.keys(farthest), sweeps.keys(nearest)
    # The hardest ones are kept if any are; a row keeps both kinds or nothing.
    both = (negative > positive - epsilon) & (positive < negative + epsilon)
    around_positives = _Band(np.where(both, positive, np.nan), lower=-epsilon)
    around_negatives = _Band(np.where(both, negative, np.nan), upper=epsilon, ceiling=duplicates)
    for tile in sweeps.sweep(1, 2):
        tile.bits(around_positives, NEGATIVE, negatives)
        tile.bits(around_negatives, POSITIVE, positives)
    sweeps.check()


def score_of_lists(starts: Any, scores: Any, reduction: str) -> Any:
    """Return the "min", "max" or "mean" of each list of scores, which begins at its start; NaN of an empty one."""
    import cupy

    lists = len(starts) - 1
    out = cupy.empty(lists)
    code = np.int32(("min", "max", "mean").index(reduction))
    launch("mine_lists.cu", "score_of_lists", -(-lists // THREADS), THREADS, starts, lists, scores, code, out)
    return out
