"""What a fitted classifier is worth, in numbers and words: no plots, no HTML.

Any scikit-learn classifier with ``predict_log_proba`` or ``predict_proba`` will do; a model with
``certificate_`` is also explained.
"""

from crossent.inspection.confusion import ConfusedPair, Confusion, confusion, most_confused
from crossent.inspection.dependence import RowDependence, row_dependence
from crossent.inspection.evaluation import (
    Evaluation,
    class_frequencies,
    evaluate,
    evaluation,
    wilson_interval,
)
from crossent.inspection.predictions import Predictions, predict_rows
from crossent.inspection.reliability import Reliability, reliability
from crossent.inspection.surprise import SurprisingRow, surprising_rows, top_losses
from crossent.inspection.words import Verdict, certificate_in_words, verdict

__all__ = [
    "ConfusedPair",
    "Confusion",
    "Evaluation",
    "Predictions",
    "Reliability",
    "RowDependence",
    "SurprisingRow",
    "Verdict",
    "certificate_in_words",
    "class_frequencies",
    "confusion",
    "evaluate",
    "evaluation",
    "most_confused",
    "predict_rows",
    "reliability",
    "row_dependence",
    "surprising_rows",
    "top_losses",
    "verdict",
    "wilson_interval",
]
