from collections.abc import Callable
from typing import Any, Final

import numpy as np
import numpy.typing as npt

__all__ = [
    "__version__",
    "aligned_pairs",
    "auc",
    "auc_by_group",
    "available_isas",
    "class_loss",
    "codes_from_offsets",
    "count_bits",
    "cross_entropy",
    "group_codes",
    "group_codes_of_bytes",
    "group_lists",
    "histogram",
    "isa",
    "lambda_loss",
    "mine_band",
    "mine_multi_similarity",
    "num_threads",
    "pack",
    "pack_roles",
    "pair_loss",
    "pair_rows",
    "pairwise",
    "plackett_luce",
    "radius",
    "reduce",
    "rowwise",
    "scale_lists",
    "set_isa",
    "set_num_threads",
    "soft_rank",
    "soft_rank_vjp",
    "sort",
    "topk",
    "unpack_rows",
]

_Array = npt.NDArray[Any]
_Floats = npt.NDArray[np.float64]
_Codes = tuple[npt.NDArray[np.uint32], npt.NDArray[np.uintp]]
_Indices = npt.NDArray[np.int64]
_ListSums = tuple[_Floats, _Floats, _Floats | None]
_Report = Callable[[int, int], object]

__version__: Final[str]

def auc(
    scores: _Array,
    labels: _Array,
    weights: _Array | None,
    pos_label: float | None,
    nan_policy: str,
    presorted: str | None,
    num_threads: int | None,
) -> tuple[_Floats, int]: ...
def auc_by_group(
    scores: _Array,
    labels: _Array,
    codes: npt.NDArray[np.uint32],
    groups: int,
    weights: _Array | None,
    pos_label: float | None,
    nan_policy: str,
    num_threads: int | None,
) -> tuple[_Floats, _Floats, _Floats, int]: ...
def group_codes(groups: _Array) -> _Codes: ...
def group_codes_of_bytes(bytes: npt.NDArray[np.uint8], width: int) -> _Codes: ...
def codes_from_offsets(offsets: npt.NDArray[np.int64], rows: int) -> npt.NDArray[np.uint32]: ...
def sort(keys: npt.NDArray[np.uint32] | npt.NDArray[np.uint64]) -> None: ...
def topk(
    x: _Array,
    y: _Array,
    metric: str,
    largest: bool,
    rules: dict[str, Any],
    scores: _Floats,
    indices: _Indices,
    progress: _Report | None,
    num_threads: int | None,
    max_memory: int | None = None,
    above: _Indices | None = None,
    filter: str = "auto",
    packed: npt.NDArray[np.uint8] | None = None,
) -> None: ...
def radius(
    x: _Array,
    y: _Array,
    metric: str,
    largest: bool,
    rules: dict[str, Any],
    threshold: _Floats,
    max_hits: int | None,
    sort: bool,
    progress: _Report | None,
    num_threads: int | None,
    max_memory: int | None = None,
    filter: str = "auto",
    packed: npt.NDArray[np.uint8] | None = None,
) -> tuple[_Indices, _Indices, _Floats]: ...
def pack(
    y: _Array,
    metric: str,
    filter: str,
    num_threads: int | None,
    max_memory: int | None = None,
) -> npt.NDArray[np.uint8] | None: ...
def pairwise(
    x: _Array,
    y: _Array,
    metric: str,
    out: _Array,
    exact: bool,
    num_threads: int | None,
    max_memory: int | None = None,
    held: int = 0,
) -> None: ...
def rowwise(x: _Array, y: _Array, metric: str, num_threads: int | None) -> _Floats: ...
def reduce(
    x: _Array,
    y: _Array,
    metric: str,
    largest: bool,
    rules: dict[str, Any],
    op: str,
    threshold: _Floats | None,
    scale: float,
    wide: bool,
    progress: _Report | None,
    num_threads: int | None,
    max_memory: int | None = None,
) -> _Floats: ...
def histogram(
    x: _Array,
    y: _Array,
    metric: str,
    rules: dict[str, Any],
    low: float,
    high: float,
    bins: int,
    classes: tuple[_Indices, _Indices] | None,
    upper: bool,
    progress: _Report | None,
    num_threads: int | None,
    max_memory: int | None = None,
) -> npt.NDArray[np.uint64]: ...
def group_lists(codes: npt.NDArray[np.uint32], groups: int) -> tuple[_Indices, _Indices | None]: ...
def scale_lists(gradient: _Floats, scale: _Floats, offsets: _Indices, rows: _Indices | None) -> None: ...
def pair_loss(
    scores: _Array,
    relevance: _Array,
    weights: _Array | None,
    offsets: _Indices,
    rows: _Indices | None,
    surrogate: str,
    temperature: float,
    margin: float,
    slope: float,
    rtol: float,
    gradient: bool,
    num_threads: int | None,
) -> tuple[_Floats, _Floats, _Floats, _Floats | None]: ...
def class_loss(
    pos: _Array,
    neg: _Array,
    pos_weights: _Array | None,
    neg_weights: _Array | None,
    surrogate: str,
    temperature: float,
    margin: float,
    slope: float,
    rtol: float,
    gradient: bool,
    num_threads: int | None,
) -> tuple[_Floats, _Floats, _Floats, _Floats | None]: ...
def lambda_loss(
    scores: _Array,
    gains: _Array,
    ranks: _Floats | None,
    offsets: _Indices,
    rows: _Indices | None,
    scheme: str,
    sigma: float,
    cut: int,
    mu: float,
    gradient: bool,
    num_threads: int | None,
) -> _ListSums: ...
def plackett_luce(
    scores: _Array,
    relevance: _Array,
    offsets: _Indices,
    rows: _Indices | None,
    top_k: int,
    ties: str,
    gradient: bool,
    num_threads: int | None,
) -> _ListSums: ...
def cross_entropy(
    scores: _Array,
    targets: _Array,
    offsets: _Indices,
    rows: _Indices | None,
    target: str,
    gradient: bool,
    num_threads: int | None,
) -> _ListSums: ...
def soft_rank(
    scores: _Array,
    offsets: _Indices,
    rows: _Indices | None,
    temperature: float,
    rtol: float,
    num_threads: int | None,
) -> _Floats: ...
def soft_rank_vjp(
    scores: _Array,
    upstream: _Floats,
    offsets: _Indices,
    rows: _Indices | None,
    temperature: float,
    rtol: float,
    num_threads: int | None,
) -> _Floats: ...
def aligned_pairs(
    pos: _Array,
    neg: _Array,
    surrogate: str,
    temperature: float,
    margin: float,
    gradient: bool,
    num_threads: int | None,
) -> tuple[_Floats, _Array | None, _Array | None]: ...
def isa() -> str: ...
def set_isa(name: str) -> None: ...
def available_isas() -> list[str]: ...
def num_threads() -> int: ...
def set_num_threads(threads: int) -> None: ...
def pair_rows(
    x: npt.NDArray[Any] | None,
    y: npt.NDArray[Any] | None,
    similarities: npt.NDArray[Any] | None,
    appended: npt.NDArray[Any] | None,
    metric: str,
    loss: str,
    options: dict[str, Any],
    row_factors: npt.NDArray[np.float64] | None,
    gradient: bool,
    num_threads: int | None,
    max_memory: int | None,
) -> dict[str, Any]: ...
def mine_band(
    x: _Array,
    y: _Array,
    metric: str,
    roles: dict[str, Any],
    rows: tuple[int, int],
    reference: str | None,
    limits: tuple[float, float],
    closed: tuple[bool, bool],
    best: str | None,
    offsets: _Indices | None,
    kept: npt.NDArray[np.uint8] | None,
    progress: _Report | None,
    num_threads: int | None,
    max_memory: int | None,
    held: int,
) -> tuple[tuple[_Indices, _Floats], tuple[_Indices, _Floats]]: ...
def mine_multi_similarity(
    x: _Array,
    y: _Array,
    metric: str,
    roles: dict[str, Any],
    rows: tuple[int, int],
    epsilon: float,
    duplicates: float,
    positives: npt.NDArray[np.uint8],
    negatives: npt.NDArray[np.uint8],
    progress: _Report | None,
    num_threads: int | None,
    max_memory: int | None,
    held: int,
) -> None: ...
def pack_roles(
    shape: tuple[int, int],
    roles: dict[str, Any],
    rows: tuple[int, int],
    positives: npt.NDArray[np.uint8],
    negatives: npt.NDArray[np.uint8],
) -> None: ...
def count_bits(bits: npt.NDArray[np.uint8]) -> _Indices: ...
def unpack_rows(bits: npt.NDArray[np.uint8], indices: _Array) -> None: ...
