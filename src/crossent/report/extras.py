"""Parts of a report that take more fits than the one it is about."""

from dataclasses import dataclass

from crossent.inspection import LearningCurve, Predictions, Summary

__all__ = ["ReportExtras"]


@dataclass(frozen=True)
class ReportExtras:
    """What a report can also show. All of it is optional.

    Attributes
    ----------
    out_of_fold : Predictions
        Of the training rows, by `crossent.inspection.out_of_fold_predictions`: adds the labels that
        are probably wrong.
    learning_curve : LearningCurve
        By `crossent.inspection.learning_curve`.
    summary : Summary
        By `crossent.inspection.summary` with its default base: adds intervals to the coefficients.

    Examples
    --------
    >>> ReportExtras().summary is None
    True
    """

    out_of_fold: Predictions | None = None
    learning_curve: LearningCurve | None = None
    summary: Summary | None = None
