"""A miner with its options, to call or to hand to a loss: `Miner`."""

from collections.abc import Callable
from typing import Any

import numpy as np

from fastpair._roles import Rule
from fastpair._validate import check_choice, check_number
from fastpair.mining._hard_mask import KINDS, REFERENCES, band_of, hard_mask
from fastpair.mining._multi_similarity_mask import multi_similarity_mask

__all__ = ["Miner"]

TAKEN: dict[Callable[..., Any], dict[str, Any]] = {
    hard_mask: {"kind": "semihard", "margin": 0.2, "positive": "min"},
    multi_similarity_mask: {"epsilon": 0.1, "duplicate_eps": 1e-5},
}


class Miner:
    r"""A miner with its options, to call on embeddings or to hand to a loss, which mines in its kernel.

    Parameters
    ----------
    function : callable
        `fastpair.mining.hard_mask` or `fastpair.mining.multi_similarity_mask`.
    **options
        Its options that say which pairs are hard: `kind`, `margin` and `positive`, or `epsilon` and `duplicate_eps`.

    Raises
    ------
    TypeError
        If the function is no such miner, or lacks an option of this name.
    ValueError
        If an option is not what the miner takes.

    See Also
    --------
    fastpair.losses.info_nce : Takes a miner as ``neg_mask=``.

    Notes
    -----
    As ``neg_mask=`` of a loss it works on the rows of similarities that the loss has anyway: no pair is ever listed,
    and it adds some 10 to 20 % to the time (of `fastpair.losses.info_nce`, 8,192 rows of 256, with gradients). There
    it compares similarities as the loss computes them, in float32 for float32 embeddings and with the loss's metric
    (where that is a distance, by its negative), so that a pair closer to a limit than these are exact may fall on its
    other side. Further negatives of the loss are mined like its columns, and similarities that replace positives are
    what these are measured by. `multi_similarity_mask` also leaves out the positives that are not hard, and, where the
    metric is the cosine of embeddings, those that are duplicates. What is mined carries no gradient.

    Examples
    --------
    >>> import fastpair
    >>> from fastpair import mining
    >>> x, y = [[1.0, 0.0], [0.0, 1.0]], [[0.8, 0.6], [0.6, 0.8]]
    >>> miner = mining.Miner(mining.hard_mask, kind="hard")
    >>> miner(x, y)
    array([[False, False],
           [False, False]])
    >>> fastpair.losses.info_nce(x, y, neg_mask=miner)
    np.float64(0.0)
    """

    def __init__(self, function: Callable[..., Any], **options: Any) -> None:
        if function not in TAKEN:
            raise TypeError(
                f"function must be mining.hard_mask or mining.multi_similarity_mask, not {function!r}; pass what other "
                f"miners return to the loss"
            )
        usual = TAKEN[function]
        strange = sorted(set(options) - set(usual))
        if strange:
            raise TypeError(f"{function.__name__} takes {', '.join(usual)} here, not {strange[0]}")
        self.function, self.options = function, options
        self.rule("cosine")

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        """Mine the pairs of embeddings: the function's result, with further options of it."""
        return self.function(*arguments, **{**self.options, **options})

    def __repr__(self) -> str:
        options = "".join(f", {name}={value!r}" for name, value in self.options.items())
        return f"Miner({self.function.__name__}{options})"

    def rule(self, metric: str) -> Rule:
        """Return what the kernels of losses go by, where similarities are of this metric."""
        options: dict[str, Any] = {**TAKEN[self.function], **self.options}
        if self.function is multi_similarity_mask:
            near, apart = check_number(options["epsilon"], "epsilon"), options["duplicate_eps"]
            if apart is None or metric != "cosine":
                return near, float(np.inf)
            return near, 1.0 - check_number(apart, "duplicate_eps", least=0.0)
        check_choice(options["kind"], "kind", KINDS)
        check_choice(options["positive"], "positive", tuple(REFERENCES))
        width = check_number(options["margin"], "margin", least=0.0)
        reference = REFERENCES[options["positive"]]
        band = band_of(options["kind"], width, reference)
        return (reference, band.lower, band.upper, *band.closed)
