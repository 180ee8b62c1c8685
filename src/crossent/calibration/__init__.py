"""Probabilities that mean what they say: temperature, bias, vector and matrix scaling.

All of it is softmax regression on a classifier's logits, with labels or distributions as targets.
"""

from crossent.calibration.calibrated import Calibrated
from crossent.calibration.calibrator import Calibrator, calibrate
from crossent.calibration.scores import Given, read_scores
from crossent.calibration.split import LossSplit, split_log_loss
from crossent.calibration.stages import Method
from crossent.calibration.temperature import CalibrationWarning, Temperature, fit_temperature

__all__ = [
    "Calibrated",
    "CalibrationWarning",
    "Calibrator",
    "Given",
    "LossSplit",
    "Method",
    "Temperature",
    "calibrate",
    "fit_temperature",
    "read_scores",
    "split_log_loss",
]
