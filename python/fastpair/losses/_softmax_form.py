"""InfoNCE in all its forms as calls of one kernel: `Form`, which `fastpair.losses.info_nce` fills and evaluates.

Negatives that all rows share become rows of y. Negatives of one row, scores that the caller has, and a positive that
replaces the diagonal become columns of numbers. A temperature for each pair, and gradients of weights, need matrices
of the size that the caller passed.
"""

from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from fastpair._array import library_of, library_of_call
from fastpair._roles import Roles, full_mask
from fastpair.losses._embedding import Outcome, Pairs, RowsReduction, evaluate
from fastpair.losses._own_columns import dense_gradient, dense_similarities, own_gradient, own_similarities

__all__ = ["Form", "Slopes", "evaluate_form", "evaluate_symmetric"]

_Array: TypeAlias = npt.NDArray[Any]
_Floats: TypeAlias = npt.NDArray[np.float64]
_Bools: TypeAlias = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Form:
    """One direction of the loss: who meets whom, further candidates, weights, and the options of the kernel.

    The columns are those of the pairs, then `extra` embeddings, then the similarities of `paired` embeddings, `scores`,
    and at last `replaced`, the positive. A temperature of two dimensions has one number for each column of each row.
    """

    pairs: Pairs
    roles: Roles
    temperature: Any
    options: dict[str, Any] = field(default_factory=dict)
    extra: _Array | None = None
    paired: _Array | None = None
    scores: _Array | None = None
    replaced: _Array | None = None
    neg_weights: _Floats | None = None
    pos_weights: _Floats | None = None
    grad_weights: bool = False

    @property
    def extra_count(self) -> int:
        """How many embeddings all rows have as further candidates."""
        return 0 if self.extra is None else len(self.extra)

    @property
    def own_count(self) -> int:
        """How many columns of numbers each row has."""
        own = sum(int(block.shape[1]) for block in (self.paired, self.scores) if block is not None)
        return own + int(self.replaced is not None)

    @property
    def plain(self) -> bool:
        """Whether the kernel has both directions in one."""
        others = (self.extra, self.paired, self.scores, self.replaced, self.neg_weights, self.pos_weights)
        bare = not self.options and all(other is None for other in others)
        return bare and self.roles.plain and self.pairs.y is not None and np.ndim(self.temperature) == 0

    @property
    def temperatures(self) -> Any:
        """What similarities of all columns are divided by: a number, or an array of two dimensions."""
        if np.ndim(self.temperature) == 1:
            return self.temperature[:, np.newaxis]
        if np.ndim(self.temperature) == 2 and self.replaced is not None:  # the positive has that of the diagonal
            return np.concatenate([self.temperature, np.diagonal(self.temperature)[:, np.newaxis]], axis=1)
        return self.temperature

    def swapped(self) -> "Form":
        """Exchange rows and columns; further candidates belong to the rows."""
        columns = self.pairs.shape[1]
        temperature = self.temperature
        if np.ndim(temperature) == 2:
            temperature = library_of(temperature).ascontiguousarray(temperature[:, :columns].T)
        neg, pos = self.neg_weights, self.pos_weights
        return replace(
            self,
            pairs=self.pairs.swapped(),
            roles=self.roles.swapped(),
            temperature=temperature,
            extra=None,
            paired=None,
            scores=None,
            neg_weights=None if neg is None else neg[:, :columns].T,
            pos_weights=pos.T if pos is not None and pos.ndim == 2 else pos,
        )

    def stacked(self) -> Pairs:
        """Return the pairs with the embeddings that all rows have as further candidates."""
        if self.extra is None:
            return self.pairs
        columns = self.pairs.x if self.pairs.y is None else self.pairs.y
        assert columns is not None
        given = "x" if self.pairs.y is None else "y"
        origins = ("y", given, len(columns)), ("y", "extra_negatives", len(self.extra))
        return replace(self.pairs, y=np.concatenate([columns, self.extra]), origins=origins)

    def own_columns(self) -> _Array | None:
        """Return the similarities of candidates that each row has for itself."""
        blocks = []
        if self.paired is not None:
            assert self.pairs.x is not None
            blocks.append(own_similarities(self.pairs.x, self.paired, self.pairs.metric))
        if self.scores is not None:
            blocks.append(self.scores)
        if self.replaced is not None:
            blocks.append(self.replaced[:, np.newaxis])
        if not blocks:
            return None
        narrow = self.pairs.narrow and all(block.dtype.itemsize <= 4 for block in blocks)
        return np.concatenate([block.astype(np.float32 if narrow else np.float64) for block in blocks], axis=1)

    def kernel_options(self) -> dict[str, Any]:
        """Return the options of the kernel, without the temperature."""
        options = self.roles.options(self.extra_count, self.own_count)
        options.update(self.options)
        if self.replaced is not None:
            rows = self.pairs.shape[0]
            options["positives"] = library_of_call().full(rows, self._width - 1, np.int64)
            options["self_columns"] = library_of_call().arange(rows)
        if self.pos_weights is None and self.neg_weights is not None and self.neg_weights.ndim == 1:
            options["column_weights"] = _lengthened(self.neg_weights, self._width)
        elif self.pos_weights is not None or self.neg_weights is not None:
            options["pair_weights"] = self._pair_weights()
        return options

    def positive_mask(self) -> _Bools:
        """Return which columns are positive, with those of candidates of their own."""
        if self.replaced is None:
            return full_mask(self.roles.positive_mask(), self._width)
        mask: _Bools = library_of_call().zeros((self.pairs.shape[0], self._width), np.bool_)
        mask[:, -1] = True
        return mask

    def negative_mask(self) -> _Bools:
        """Return which columns are negative, with those of candidates of their own."""
        roles = self.roles
        if self.replaced is not None:
            roles = replace(roles, self_columns=library_of_call().arange(roles.shape[0]))
        own = roles.negative_mask(roles.positive_mask())
        mask: _Bools = library_of_call().ones((len(own), self._width), np.bool_)
        mask[:, : own.shape[1]] = own
        if roles.ids is not None and roles.extra_ids is not None:
            end = own.shape[1] + len(roles.extra_ids)
            mask[:, own.shape[1] : end] = roles.ids[0][:, np.newaxis] != roles.extra_ids
        if self.replaced is not None:
            mask[:, -1] = False
        return mask

    @property
    def _width(self) -> int:
        return self.pairs.shape[1] + self.extra_count + self.own_count

    def _pair_weights(self) -> _Floats:
        """Return the weights of all columns."""
        weights: _Floats = library_of_call().ones((self.pairs.shape[0], self._width))
        if self.neg_weights is not None:
            weights[:, : self.neg_weights.shape[-1]] = self.neg_weights
        positive = self.positive_mask()
        np.copyto(weights, 1.0, where=positive)
        if self.pos_weights is not None:
            own = self.pos_weights[:, np.newaxis] if self.pos_weights.ndim == 1 else self.pos_weights
            if own.shape[1] != 1:
                own = _lengthened(own, self._width)
            np.copyto(weights, own, where=positive)
        return weights


@dataclass
class Slopes:
    """The value of a form and its gradients, in the precision of the kernel; those of embeddings may have theirs."""

    value: Any
    x: _Array | None = None
    y: _Array | None = None
    positives: _Array | None = None
    temperature: Any = None
    similarities: _Array | None = None
    extra: _Array | None = None
    scores: _Array | None = None
    paired: _Array | None = None
    neg_weights: _Floats | None = None

    def averaged(self, other: "Slopes") -> "Slopes":
        """Return the mean of two, of which the second may lack gradients that the first has."""
        result = Slopes((self.value + other.value) / 2)
        for name in Slopes.__dataclass_fields__:
            first, second = getattr(self, name), getattr(other, name)
            if name != "value" and first is not None:
                setattr(result, name, first / 2 if second is None else (first + second) / 2)
        return result


def evaluate_form(form: Form, how: RowsReduction) -> Slopes:
    """Return the value and the gradients of one direction."""
    pairs, appended = form.stacked(), form.own_columns()
    options = form.kernel_options()
    if np.ndim(form.temperature) == 2:
        result = _with_pair_temperatures(form, pairs, appended, options, how)
    else:
        outcome = evaluate(pairs, "softmax", {**options, "temperature": form.temperature}, how, appended)
        result = Slopes(outcome.value, outcome.x, outcome.y, None, outcome.temperature, outcome.similarities)
        if how.return_grad:
            _assign_own(result, form, outcome.appended)
            if form.grad_weights:
                result.neg_weights = _weight_gradient(form, _logits(form, pairs, appended), options, outcome)
    if how.return_grad and form.extra is not None:
        assert result.y is not None
        count = form.pairs.shape[1]
        result.y, result.extra = result.y[:count], result.y[count:]
        if form.pairs.within:
            result.x, result.y = result.x + result.y, None
    return result


def evaluate_symmetric(form: Form, how: RowsReduction, how_columns: RowsReduction) -> Slopes:
    """Return the mean of both directions."""
    if form.plain:
        options = {"positives": "diagonal", "temperature": form.temperature, "symmetric": True}
        outcome = evaluate(form.pairs, "softmax", options, how)
        return Slopes(outcome.value, outcome.x, outcome.y, None, outcome.temperature)
    first, second = evaluate_form(form, how), evaluate_form(form.swapped(), how_columns)
    if how.return_grad:
        if not form.pairs.within:
            second.x, second.y = second.y, second.x
        if second.similarities is not None:
            second.similarities = second.similarities.T
        if np.ndim(form.temperature) == 2:
            second.temperature = _lengthened(second.temperature.T, form.temperature.shape[1], 0.0)
        elif first.temperature is not None and second.temperature is not None:
            first.temperature, second.temperature = first.temperature.sum(), second.temperature.sum()
        if second.neg_weights is not None and first.neg_weights is not None:
            turned = second.neg_weights.T
            second.neg_weights = _lengthened(turned, first.neg_weights.shape[1], 0.0)
    return first.averaged(second)


def _lengthened(values: _Array, width: int, fill: float = 1.0) -> _Array:
    """Return values whose last axis has `width` entries; those that are lacking are `fill`."""
    result: _Array = library_of(values).full((*values.shape[:-1], width), fill)
    result[..., : values.shape[-1]] = values
    return result


def _assign_own(result: Slopes, form: Form, gradient: _Array | None) -> None:
    """Give the gradient of columns of numbers to what they came from; that of x is added in place."""
    if gradient is None:
        return
    begin = 0
    if form.paired is not None:
        assert form.pairs.x is not None
        assert result.x is not None
        begin = form.paired.shape[1]
        of_x, result.paired = own_gradient(form.pairs.x, form.paired, form.pairs.metric, gradient[:, :begin])
        result.x = result.x + of_x
    if form.scores is not None:
        result.scores = gradient[:, begin : begin + form.scores.shape[1]]
    if form.replaced is not None:
        result.positives = gradient[:, -1]


def _logits(form: Form, pairs: Pairs, appended: _Array | None) -> _Array:
    """Return the similarities of all columns, after the margin of positives, divided by the temperature."""
    scores = dense_similarities(pairs)
    if appended is not None:
        scores = np.concatenate([scores, appended], axis=1)
    margin = form.options.get("margin", 0.0)
    if margin:
        scores = np.where(form.positive_mask(), scores - margin, scores)
    logits: _Array = scores / form.temperatures
    return logits


def _with_pair_temperatures(
    form: Form, pairs: Pairs, appended: _Array | None, options: dict[str, Any], how: RowsReduction
) -> Slopes:
    """Evaluate the loss of the matrix of logits."""
    logits = _logits(form, pairs, appended)
    options = {name: option for name, option in options.items() if name != "margin"}
    matrix = replace(pairs, x=None, y=None, similarities=logits)
    outcome = evaluate(matrix, "softmax", {**options, "temperature": 1.0}, how)
    result = Slopes(outcome.value)
    if outcome.similarities is None:
        return result
    slope = outcome.similarities / form.temperatures
    result.temperature = -slope * logits
    if form.replaced is not None:  # its temperature is that of the diagonal, which is left out
        rows = library_of_call().arange(len(logits))
        result.temperature[rows, rows] = result.temperature[:, -1]
        result.temperature = result.temperature[:, :-1]
    columns = pairs.shape[1]
    if pairs.similarities is not None:
        result.similarities = slope[:, :columns]
    else:
        scores = dense_similarities(pairs)
        result.x, result.y = dense_gradient(pairs, scores, slope[:, :columns])
    _assign_own(result, form, slope[:, columns:])
    if form.grad_weights:
        result.neg_weights = _weight_gradient(form, logits, options, outcome)
    return result


def _weight_gradient(form: Form, logits: _Array, options: dict[str, Any], outcome: Outcome) -> _Floats:
    """Return the gradient of the weights of negatives: their share in the partition function, over the weight."""
    assert form.neg_weights is not None
    assert outcome.slopes is not None
    positive, negative = form.positive_mask(), form.negative_mask()
    weights = options.get("pair_weights")
    if weights is None:
        weights = np.where(positive, 1.0, options["column_weights"])
    within = (positive | negative if options.get("include_positive", True) else negative) & (weights > 0)
    with np.errstate(divide="ignore"):
        terms = np.where(within, logits + np.log(weights), -np.inf)
    largest = terms.max(axis=1, keepdims=True) if terms.shape[1] else terms.sum(axis=1, keepdims=True)
    largest = np.where(np.isfinite(largest), largest, 0.0)
    with np.errstate(divide="ignore"):
        level = np.log(np.exp(terms - largest).sum(axis=1, keepdims=True)) + largest
    kept = negative & (outcome.slopes != 0)[:, np.newaxis]
    with np.errstate(invalid="ignore"):
        shares: _Floats = np.exp(np.where(kept, logits - level, -np.inf))
    shares *= outcome.slopes[:, np.newaxis]
    shares = shares[:, : form.neg_weights.shape[-1]]
    return shares.sum(axis=0) if form.neg_weights.ndim == 1 else shares
