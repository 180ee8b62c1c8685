"""The bundled example of comparisons: football matches with draws and home advantage."""

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["FOOTBALL_SAMPLE", "FootballMatches", "load_football_sample"]

FOOTBALL_SAMPLE = Path(__file__).parent / "data" / "football_sample.csv"
"""The table that comes with the package; provenance stands in the README.md beside it."""


@dataclass(frozen=True)
class FootballMatches:
    """Matches, one a row, ready for `crossent.choice.BradleyTerry`.

    Attributes
    ----------
    teams : ndarray of str, shape (n, 2)
        Home and away team.
    outcomes : ndarray of str, shape (n,)
        "left", "right" or "tie", seen from the home team.
    home : ndarray of float64, shape (n,)
        1 where the first team played at home, 0 on neutral ground.
    dates : ndarray of datetime64[D], shape (n,)
    description, licence, source : str
    """

    teams: npt.NDArray[Any]
    outcomes: npt.NDArray[Any]
    home: npt.NDArray[np.float64]
    dates: npt.NDArray[np.datetime64]
    description: str
    licence: str
    source: str


def load_football_sample() -> FootballMatches:
    """769 matches of South America's ten national teams, 2000 to 2025.

    World Cup qualifications and the Copa América: 205 draws, 125 matches on neutral ground. Comes
    with the package; no network is needed.

    Returns
    -------
    FootballMatches

    Examples
    --------
    >>> from crossent.choice import BradleyTerry
    >>> from crossent.datasets.football import load_football_sample
    >>> matches = load_football_sample()
    >>> model = BradleyTerry(order_effect="global")
    >>> model = model.fit(matches.teams, matches.outcomes, order=matches.home)
    >>> model.ranking().items[:2].tolist()
    ['Argentina', 'Brazil']
    """
    with FOOTBALL_SAMPLE.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    ahead = [int(row["home_score"]) - int(row["away_score"]) for row in rows]
    return FootballMatches(
        teams=np.array([[row["home_team"], row["away_team"]] for row in rows]),
        outcomes=np.array(["right", "tie", "left"])[np.sign(ahead) + 1],
        home=np.array([float(row["neutral"] == "FALSE") for row in rows]),
        dates=np.array([row["date"] for row in rows], dtype="datetime64[D]"),
        description="Football matches between South America's national teams, 2000 to 2025.",
        licence="CC0 1.0",
        source="Mart Jürisoo, International football results, commit 65d212a, "
        "https://github.com/martj42/international_results",
    )
