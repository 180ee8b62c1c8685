"""Pictures of a fitted classifier, and one HTML file that holds them all.

The Display classes follow scikit-learn: ``from_estimator``, ``from_predictions`` where it makes
sense, ``plot(ax=None)``, attributes ``ax_`` and ``figure_``. matplotlib is imported when one is
drawn.
"""

from crossent.report._style import require_matplotlib
from crossent.report.confusion import ConfusionDisplay
from crossent.report.cross_entropy import CrossEntropyDisplay
from crossent.report.details import ReportDetails
from crossent.report.extras import ReportExtras
from crossent.report.learning import LearningCurveDisplay
from crossent.report.path import PathDisplay
from crossent.report.reliability import ClassReliabilityDisplay, ReliabilityDisplay
from crossent.report.surprise import SurprisingRowsDisplay
from crossent.report.text import TextSurprisalDisplay
from crossent.report.trace import TraceDisplay
from crossent.report.weights import ClassWeightsDisplay
from crossent.report.writing import ensure_writable, render_report, write_report

__all__ = [
    "ClassReliabilityDisplay",
    "ClassWeightsDisplay",
    "ConfusionDisplay",
    "CrossEntropyDisplay",
    "LearningCurveDisplay",
    "PathDisplay",
    "ReliabilityDisplay",
    "ReportDetails",
    "ReportExtras",
    "SurprisingRowsDisplay",
    "TextSurprisalDisplay",
    "TraceDisplay",
    "ensure_writable",
    "render_report",
    "require_matplotlib",
    "write_report",
]
