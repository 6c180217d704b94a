"""Everything that compares pairs: exact, fast, and the same answer everywhere.

The map:

* `fastpair.metrics`: `auc`, `gauc` (also here at the top), `pair_auc` and `pair_eer`.
* `fastpair.similarity`: `topk`, `radius`, `pairwise`, `Corpus`, `TopkState` (also here at the top), `rowwise`,
  `reduce`, `late_interaction` and `sinkhorn`.
* `fastpair.losses`: losses with gradients, of embeddings over all their pairs (`info_nce`, `clip`, `supcon`, `siglip`)
  and of scores over pairs and lists (`mann_whitney`, `ranknet`, `plackett_luce`, `soft_rank`), and many more.
* `fastpair.mining`: which pairs to learn from: `hard_negatives`, `triplets`, `hard_mask`, samplers, filters of false
  negatives, weights and synthetic negatives.
* `fastpair.embeddings`: `pair_weights`.
* `fastpair.show_config`, `fastpair.set_num_threads`, `fastpair.get_num_threads`: how it runs.
* `fastpair.errors`: `UndefinedMetricWarning`.

Arrays go in (numpy, or anything that becomes a numpy array without leaving the host), numpy values come out. The work
is done by kernels in Rust (`fastpair._core`), which choose the best instructions of the processor when the package is
imported; ``FASTPAIR_ISA`` and ``FASTPAIR_NUM_THREADS`` override the choice. CuPy arrays, and tensors of PyTorch in GPU
memory, stay there: most functions have kernels in CUDA as well (`fastpair._cuda`), and return arrays of that library.
"""

from fastpair import embeddings, errors, losses, metrics, mining, similarity
from fastpair._config import __version__, get_num_threads, set_num_threads, show_config
from fastpair.errors import UndefinedMetricWarning
from fastpair.metrics import auc, gauc
from fastpair.similarity import Corpus, TopkState, pairwise, radius, topk

__all__ = [
    "Corpus",
    "TopkState",
    "UndefinedMetricWarning",
    "__version__",
    "auc",
    "embeddings",
    "errors",
    "gauc",
    "get_num_threads",
    "losses",
    "metrics",
    "mining",
    "pairwise",
    "radius",
    "set_num_threads",
    "show_config",
    "similarity",
    "topk",
]
