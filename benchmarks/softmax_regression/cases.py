"""What is compared: cases, the solvers on each, how often, how long, and the bar to meet."""

from dataclasses import dataclass, field
from typing import Any, Literal

__all__ = ["CASES", "LEVELS", "QUICK", "Bar", "Case", "Entry"]

LEVELS = (1e-2, 1e-4, 1e-6)
"""Relative suboptimality f/f* - 1 at which times are compared."""


@dataclass(frozen=True)
class Entry:
    """One solver on one case.

    Attributes
    ----------
    solver : str
        A name in `peers.SOLVERS`.
    repeats : int
        Processes; the solvers of a case take turns.
    cap_s : float
        Time after which a fit is cut off, for each C.
    expected_s : float
        What one process takes on two cores, data and checks included: for the estimate only.
    options : dict
        For the solver, see `peers`.
    """

    solver: str
    repeats: int
    cap_s: float
    expected_s: float
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Bar:
    """What crossent must achieve.

    "ratio": the fastest peer's seconds over crossent's, at least `value`. "slowdown": crossent's
    seconds over the peer's, at most `value`. "against": crossent's seconds over its own on the
    case `other`, at most `value`. "memory": a ratio of at least `value`, and at most `memory_MB`
    beyond the process before the fit (code, X) and the parameters.
    """

    kind: Literal["ratio", "slowdown", "against", "memory"]
    value: float
    other: str = ""
    memory_MB: float = 0.0


@dataclass(frozen=True)
class Case:
    """One problem, or one for each C of a path.

    Attributes
    ----------
    dataset : str
        A name in `data.RECIPES`.
    reference_tol : float
        Certified relative gap of the reference optimum, if `reference_passes` suffice.
    cold : bool
        Whole new processes are timed, from start to exit, instead of fits.
    """

    name: str
    title: str
    dataset: str
    entries: tuple[Entry, ...]
    bar: Bar | None = None
    Cs: tuple[float, ...] = (1.0,)
    reference_tol: float = 1e-9
    reference_passes: int = 20_000
    cold: bool = False


_FEW = {"refit": True}  # fits so short that watching them would distort them


def _images(name: str, title: str, ratio: float) -> Case:
    entries = (
        Entry("crossent", 3, 60, 9),
        Entry("cyanure", 1, 50, 60),
        Entry("sklearnex_lbfgs", 1, 40, 28),
        Entry("sklearn_lbfgs", 1, 45, 52),
    )
    return Case(name, title, name, entries, Bar("ratio", ratio))


def _digits(C: float) -> Case:
    entries = (
        Entry("crossent", 5, 20, 2),
        Entry("cyanure", 2, 10, 4),
        Entry("sklearn_lbfgs", 2, 8, 8, _FEW),
        Entry("sklearnex_lbfgs", 1, 8, 8, _FEW),
        Entry("sklearn_newton_cholesky", 1, 10, 5),
        Entry("sklearn_newton_cg", 1, 10, 6),
        *((Entry("adelie", 1, 10, 13),) if C == 1 else ()),
    )
    title = f"digits, raw 0…16, C={C:g}"
    return Case(f"digits_C{C:g}", title, "digits", entries, Bar("ratio", 10), (C,))


def _dense(name: str, title: str, bar: Bar) -> Case:
    entries = (
        Entry("crossent", 3, 60, 6),
        Entry("sklearnex_lbfgs", 2, 15, 10),
        Entry("sklearn_lbfgs", 1, 15, 17),
        Entry("sklearn_newton_cholesky", 1, 30, 26),
        Entry("cyanure", 1, 15, 22),
    )
    return Case(name, title, name, entries, bar)


def _text(dataset: str, C: float, cap_s: float) -> Case:
    entries = (
        Entry("crossent", 3, 60, 10),
        Entry("cyanure", 1, cap_s, 3 * cap_s, {"solver": "qning-ista"}),
        Entry("sklearn_lbfgs", 1, 15, 18),
    )
    title = f"{dataset}, TF-IDF, C={C:g}"
    return Case(f"{dataset}_C{C:g}", title, dataset, entries, Bar("ratio", 4), (C,))


_ALL = (
    _images("mnist", "MNIST, pixels/255, float32, C=1", 20),
    _images("fashion_mnist", "Fashion-MNIST, pixels/255, float32, C=1", 25),
    _digits(1),
    _digits(100),
    _dense("dense_1m", "1,000,000×50 float32, q=7, standardised", Bar("ratio", 8)),
    _dense(
        "dense_1m_unscaled",
        "1,000,000×50 float32, q=7, columns scaled from 1 to 1000",
        Bar("against", 1.3, other="dense_1m"),
    ),
    _text("banking77", 1, 25),
    _text("banking77", 10, 25),
    _text("clinc150", 1, 30),
    _text("clinc150", 10, 40),
    Case(
        "many_classes",
        "20,000×300 float32, q=10,000",
        "many_classes",
        (
            Entry("crossent", 1, 120, 60),
            Entry("sklearn_lbfgs", 1, 200, 220),
            Entry("sklearnex_lbfgs", 1, 130, 150),
        ),
        Bar("memory", 4, memory_MB=600),
    ),
    Case(
        "path",
        "MNIST, 9 values of C from 1e-4 to 1e4",
        "mnist",
        (Entry("crossent_path", 1, 60, 80), Entry("cyanure_path", 1, 200, 950)),
        Bar("ratio", 20),
        tuple(10.0**k for k in range(-4, 5)),
        reference_tol=1e-8,
        reference_passes=3000,
    ),
    Case(
        "soft_digits",
        "digits, soft targets, C=1",
        "soft_digits",
        (Entry("crossent", 5, 20, 2), Entry("sklearn_lbfgs", 1, 15, 20, _FEW)),
        Bar("ratio", 20),
    ),
    Case(
        "soft_mnist",
        "MNIST, soft targets, C=1",
        "soft_mnist",
        (Entry("crossent", 3, 60, 9), Entry("sklearn_lbfgs", 1, 40, 50)),
        Bar("ratio", 20),
    ),
    Case(
        "iris",
        "iris, warm fit, C=1",
        "iris",
        (
            Entry("crossent", 5, 10, 3),
            Entry("sklearn_lbfgs", 5, 10, 4, _FEW),
            Entry("sklearnex_lbfgs", 1, 10, 4, _FEW),
            Entry("sklearn_newton_cholesky", 3, 5, 3),
        ),
        Bar("slowdown", 1.0),
    ),
    Case(
        "iris_cold",
        "iris, first fit in a new process",
        "iris",
        (Entry("crossent", 15, 20, 1.2), Entry("sklearn_lbfgs", 15, 20, 1.2)),
        Bar("slowdown", 1.3),
        cold=True,
    ),
)

_SHORT = (
    Case(
        "mnist",
        "MNIST, pixels/255, float32, C=1",
        "mnist",
        (
            Entry("crossent", 2, 30, 10),
            Entry("sklearnex_lbfgs", 1, 20, 25),
            Entry("cyanure", 1, 20, 25),
        ),
        Bar("ratio", 20),
    ),
    Case(
        "digits_C1",
        "digits, raw 0…16, C=1",
        "digits",
        (
            Entry("crossent", 3, 20, 2),
            Entry("cyanure", 1, 10, 5),
            Entry("sklearn_lbfgs", 1, 5, 8, _FEW),
        ),
        Bar("ratio", 10),
    ),
    Case(
        "dense_100k",
        "100,000×50 float32, q=7, standardised",
        "dense_100k",
        (
            Entry("crossent", 2, 20, 3),
            Entry("sklearnex_lbfgs", 1, 10, 4),
            Entry("sklearn_newton_cholesky", 1, 10, 6),
        ),
        Bar("ratio", 8),
    ),
    Case(
        "path_10k",
        "10,000 rows of MNIST, 5 values of C from 1e-4 to 1",
        "mnist_10k",
        (Entry("crossent_path", 2, 20, 6), Entry("sklearnex_lbfgs", 1, 5, 14)),
        Bar("ratio", 20),
        tuple(10.0**k for k in range(-4, 1)),
        reference_tol=1e-7,
    ),
    Case(
        "soft_digits",
        "digits, soft targets, C=1",
        "soft_digits",
        (Entry("crossent", 2, 20, 2), Entry("sklearn_lbfgs", 1, 8, 12, _FEW)),
        Bar("ratio", 20),
    ),
    Case(
        "iris",
        "iris, warm fit, C=1",
        "iris",
        (Entry("crossent", 3, 10, 3), Entry("sklearn_lbfgs", 3, 10, 4, _FEW)),
        Bar("slowdown", 1.0),
    ),
    Case(
        "iris_cold",
        "iris, first fit in a new process",
        "iris",
        (Entry("crossent", 5, 20, 1.3), Entry("sklearn_lbfgs", 5, 20, 1.3)),
        Bar("slowdown", 1.3),
        cold=True,
    ),
)

CASES = {case.name: case for case in _ALL}
QUICK = {case.name: case for case in _SHORT}
