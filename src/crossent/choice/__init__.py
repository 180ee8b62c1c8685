"""Preferences and choices: softmax models whose logits are linear in a few coefficients."""

from crossent.choice.bradley_terry import BradleyTerry, UndefinedScoreWarning
from crossent.choice.conditional_logit import ConditionalLogit
from crossent.choice.diagnostics import (
    calibration,
    goodness_of_fit,
    likelihood_ratio_tests,
    surprising_results,
)
from crossent.choice.elo import elo_ratings
from crossent.choice.plackett_luce import PlackettLuce
from crossent.choice.ranks import ELO_PER_LOGIT, Ranking, rank_intervals

__all__ = [
    "ELO_PER_LOGIT",
    "BradleyTerry",
    "ConditionalLogit",
    "PlackettLuce",
    "Ranking",
    "UndefinedScoreWarning",
    "calibration",
    "elo_ratings",
    "goodness_of_fit",
    "likelihood_ratio_tests",
    "rank_intervals",
    "surprising_results",
]
