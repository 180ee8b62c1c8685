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
from crossent.inspection.frames import predict_frame
from crossent.inspection.inference import Covariance, summary
from crossent.inspection.label_errors import (
    ConfidentJoint,
    confident_joint,
    out_of_fold_predictions,
    suspicious_labels,
)
from crossent.inspection.learning_curve import LearningCurve, learning_curve
from crossent.inspection.likelihood_ratio import likelihood_ratio_tests
from crossent.inspection.pipelines import classifier_of, encoded_rows, encoder_of
from crossent.inspection.predictions import Predictions, predict_rows
from crossent.inspection.reliability import (
    CalibrationErrors,
    Reliability,
    calibration_errors,
    class_reliability,
    reliability,
)
from crossent.inspection.summary import CoefficientRow, FeatureTest, Summary
from crossent.inspection.surprise import SurprisingRow, surprising_rows, top_losses
from crossent.inspection.words import Verdict, certificate_in_words, verdict

__all__ = [
    "CalibrationErrors",
    "CoefficientRow",
    "ConfidentJoint",
    "ConfusedPair",
    "Confusion",
    "Covariance",
    "Evaluation",
    "FeatureTest",
    "LearningCurve",
    "Predictions",
    "Reliability",
    "RowDependence",
    "Summary",
    "SurprisingRow",
    "Verdict",
    "calibration_errors",
    "certificate_in_words",
    "class_frequencies",
    "class_reliability",
    "classifier_of",
    "confident_joint",
    "confusion",
    "encoded_rows",
    "encoder_of",
    "evaluate",
    "evaluation",
    "learning_curve",
    "likelihood_ratio_tests",
    "most_confused",
    "out_of_fold_predictions",
    "predict_frame",
    "predict_rows",
    "reliability",
    "row_dependence",
    "summary",
    "surprising_rows",
    "suspicious_labels",
    "top_losses",
    "verdict",
    "wilson_interval",
]
