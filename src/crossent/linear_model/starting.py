"""Where a warm start begins."""

from typing import Any

import numpy as np
import numpy.typing as npt

from crossent.linear_model.targets import Targets

__all__ = ["matched_start"]


def matched_start(
    previous: tuple[npt.NDArray[Any], Any, Any] | None, targets: Targets
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]] | None:
    """The previous rows of W and b, class by class; new classes start at their prior.

    Parameters
    ----------
    previous : (classes, W, b) or None
        Of the previous fit.
    targets : Targets
        With the classes of this one.
    """
    if previous is None:
        return None
    names, old_W, old_b = previous
    place = {name: j for j, name in enumerate(names.tolist())}
    W = np.zeros((len(targets.classes), old_W.shape[1]))
    b = np.full(len(targets.classes), -np.inf)
    for j, name in enumerate(targets.classes.tolist()):
        if name in place:
            W[j], b[j] = old_W[place[name]], old_b[place[name]]
    return W, b
