"""What passes between the harness and a solver's process: a job, and the points it reached."""

import json
import os
import resource
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["Job", "Recorder", "peak_bytes", "resident_bytes"]


@dataclass(frozen=True)
class Job:
    """One process: a solver on a case.

    Attributes
    ----------
    data_folder, out_folder : str
    Cs : tuple of float
    optima : tuple of float
        f* of each C; empty for the reference itself.
    cap_s : float
    """

    solver: str
    data_folder: str
    out_folder: str
    Cs: tuple[float, ...]
    optima: tuple[float, ...]
    cap_s: float
    threads: int
    options: dict[str, Any] = field(default_factory=dict)

    def write(self, path: Path) -> None:
        """As JSON."""
        path.write_text(json.dumps(asdict(self)), "ascii")

    @classmethod
    def read(cls, path: Path) -> "Job":
        """What `write` wrote."""
        found = json.loads(path.read_text("ascii"))
        return cls(**{**found, "Cs": tuple(found["Cs"]), "optima": tuple(found["optima"])})


class Recorder:
    """Writes points as they come, so that a process that is killed leaves what it reached."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.count = 0
        self.before_bytes = resident_bytes()
        self._peak = 0.0

    def subfolder(self, name: str) -> Path:
        """A new folder of that name."""
        path = self.folder / name
        path.mkdir()
        return path

    def memory(self) -> None:
        """Note the peak now, before the benchmark itself needs memory."""
        self._peak = peak_bytes()
        self._line({"memory": {"before_bytes": self.before_bytes, "peak_bytes": self._peak}})

    def point(self, C: float, seconds: float, W: Any, b: Any, *, kind: str, **facts: Any) -> None:
        """A time and the coefficients by then: W of shape (q, d), b of shape (q,)."""
        name = f"model_{self.count:05d}.npz"
        self.count += 1
        np.savez(self.folder / name, W=np.asarray(W, np.float64), b=np.asarray(b, np.float64))
        self._line({"C": C, "seconds": seconds, "kind": kind, "model": name, **facts})

    def value(self, C: float, seconds: float, value: float, **facts: Any) -> None:
        """A time and the objective that the solver itself states for it."""
        line = {"C": C, "seconds": seconds, "kind": "stated", "own_value": value, **facts}
        self._line(line)

    def _line(self, line: dict[str, Any]) -> None:
        with (self.folder / "points.jsonl").open("a", encoding="ascii") as file:
            file.write(json.dumps(line) + "\n")


def peak_bytes() -> float:
    """Largest resident memory of this process so far.

    On Linux the kernel's own mark: ``ru_maxrss`` begins at the size of the process that started
    this one.
    """
    try:
        lines = Path("/proc/self/status").read_text("ascii").splitlines()
    except OSError:
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * float(unit)
    mark = next(line for line in lines if line.startswith("VmHWM"))
    return int(mark.split()[1]) * 1024.0


def resident_bytes() -> float:
    """Resident memory now, on Linux; elsewhere the peak."""
    try:
        pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    except OSError:
        return peak_bytes()
    return pages * float(os.sysconf("SC_PAGE_SIZE"))
