"""The ways to search with filters of few bits, and the packages that they are timed beside.

The task is "filters": fastpair answers with `Found`, so that scores are compared bit for bit, others with the indices.
The task "hard_negatives" of `adapters_mining` gets a row more. Threads are set by `timing`.
"""

from collections.abc import Callable
from typing import Any

import adapters_mining
import fastpair
from adapters import Answer, Build, adapter
from adapters_similarity import ALWAYS, DEFAULT_THRESHOLD, call_faiss
from benchmarks.embeddings import Embeddings
from benchmarks.mining import Corpus
from certified import Found

TASK = "filters"

PREPARED, PLAIN, FLOAT32 = "fastpair prepared", "fastpair", "fastpair, float32 filter"
NAMED = {name: f"{PREPARED}, {name}" for name in ("int8", "int16", "bf16")}
OWN = (PREPARED, PLAIN, FLOAT32, *NAMED.values())
FAISS, FORCED = "faiss IndexFlatIP", "faiss IndexFlatIP, BLAS forced"


def rules(data: Embeddings) -> dict[str, Any]:
    """Say which pairs do not count: the only ones in these data are those of a row with itself."""
    return {"exclude_self": data.exclude is not None}


def call_prepared(**options: Any) -> Build:
    """Build the adapter of a corpus that is made before, as the index of faiss is; queries are packed in the call."""

    def build(data: Embeddings) -> Callable[[], Answer]:
        corpus = fastpair.Corpus(data.corpus, metric=data.metric, **options)

        def run() -> Answer:
            scores, indices = corpus.topk(data.x, data.k, **rules(data))
            return Found(indices, scores)

        return run

    return build


def call_plain(**options: Any) -> Build:
    """Build the adapter of one call with arrays, which packs whatever it packs."""

    def build(data: Embeddings) -> Callable[[], Answer]:
        def run() -> Answer:
            scores, indices = fastpair.topk(data.x, data.corpus, data.k, metric=data.metric, **rules(data), **options)
            return Found(indices, scores)

        return run

    return build


adapter(TASK, PREPARED)(call_prepared())
adapter(TASK, PLAIN)(call_plain())
adapter(TASK, FLOAT32)(call_plain(filter="f32"))
for _filter, _name in NAMED.items():
    adapter(TASK, _name)(call_prepared(filter=_filter))

adapter(TASK, FAISS, package="faiss-cpu")(call_faiss(DEFAULT_THRESHOLD))
adapter(TASK, FORCED, package="faiss-cpu")(call_faiss(ALWAYS))


@adapter("hard_negatives", FLOAT32)
def fastpair_hard_negatives(data: Corpus) -> Callable[[], Answer]:
    return lambda: adapters_mining.mine(data, filter="f32").indices
