"""Warnings of fastpair. Errors are Python's own: `TypeError`, `ValueError`, `MemoryError`."""

__all__ = ["UndefinedMetricWarning"]


class UndefinedMetricWarning(UserWarning):
    """A metric is undefined for this input, and its value is NaN.

    Raised as a warning, for example, by an AUC of which all labels are of one class. Turn it into an error with
    ``warnings.simplefilter("error", fastpair.UndefinedMetricWarning)``.
    """
