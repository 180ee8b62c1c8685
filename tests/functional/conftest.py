"""Array libraries, adversarial rows and the oracle, for every test of the functions.

Backend and dtype are one fixture, so that a pair that does not exist is no test at all. A missing
library skips with the reason; NumPy and array-api-strict always run.
"""

import importlib
import importlib.util
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import pytest

# The same examples every time, and no stopwatch on a shared machine.
hypothesis.settings.register_profile("fixed", derandomize=True, deadline=None)
hypothesis.settings.register_profile("search", max_examples=3000, deadline=None)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fixed"))

spec = importlib.util.spec_from_file_location("oracle", Path(__file__).with_name("oracle.py"))
ORACLE = importlib.util.module_from_spec(spec)
spec.loader.exec_module(ORACLE)

DTYPES = {
    "numpy": ("float16", "float32", "float64"),
    "array_api_strict": ("float32", "float64"),
    "torch": ("bfloat16", "float16", "float32", "float64"),
    "jax.numpy": ("bfloat16", "float16", "float32", "float64"),
    "cupy": ("float16", "float32", "float64"),
}
PAIRS = [(library, dtype) for library, dtypes in DTYPES.items() for dtype in dtypes]
MARKS = {"torch": [pytest.mark.torch]}

generator = np.random.default_rng(20261)
ROWS = {
    "one class": [3.3],
    "tied": [5.0] * 7,
    "two tied at the top": [2.5, -1.0, 2.5],
    "all zero": [0.0] * 3,
    "claim S26": [1.0, 2.0, 3.0],
    "certain, log1p decides": [0.0, -40.0],
    "certain in float32": [20.0, 0.0],
    "certain, long tail": [0.0, *(-40.0 - k for k in range(30))],
    "very certain": [-3.0, 100.0, -2.5],
    "edge of exp": [0.0, -87.0, -104.0],
    "edge of exp in float64": [-745.0, 0.0, -700.0],
    "underflow": [0.0, -1e4, -2e4],
    "all very small": [-800.0, -800.0, -800.0],
    "all very large": [400.0, 399.0, 398.0],
    "tiny": [1e-3, 2e-3, -1e-3, 0.0],
    "tinier": [1e-30, 2e-30, -3e-30],
    "subnormal": [5e-324, 0.0],
    "shifted": [1e4, 1e4 + 8, 1e4 - 16],
    "far shifted": [1e6, 1e6 + 1, 1e6 - 3],
    "excluded": [0.0, -math.inf, 1.0],
    "all but one excluded": [-math.inf, -2.0, -math.inf],
    "huge in float16": [6e4, -6e4],
    "huge in float32": [3e38, -3e38, 3e38],
    "huge in float64": [1.7e308, -1.7e308],
    "log-partition near 0": [-math.log(2), -math.log(2) * (1 + 2**-20)],
    "many": list(generator.normal(size=1000) * 3),
    **{
        f"random {s:g}": list(generator.normal(size=5 + k) * s)
        for k, s in enumerate((0.01, 1, 9, 300))
    },
}


def fits(row: list[float], dtype: str) -> bool:
    """Whether the row says in this dtype what its name says."""
    finite = [abs(x) for x in row if math.isfinite(x)]
    return max(finite) <= ORACLE.HUGE[dtype]


@dataclass(frozen=True)
class Backend:
    """One array library with one real floating dtype."""

    library: str
    dtype: str
    xp: Any

    @property
    def working(self) -> str:
        return ORACLE.WORKING[self.dtype]

    @property
    def eps(self) -> float:
        """Epsilon of the arithmetic."""
        return ORACLE.EPS[self.working]

    def asarray(self, values: Any, dtype: str | None = None) -> Any:
        with np.errstate(all="ignore"):
            return self.xp.asarray(values, dtype=getattr(self.xp, dtype or self.dtype))

    def floats(self, array: Any) -> Any:
        """Entries as nested lists of Python floats, or a Python float; exact."""
        assert self.owns(array), type(array)
        wide = array.astype(np.float64) if self.library == "numpy" else array
        if self.library == "torch":
            wide = array.double().tolist()
        elif self.library == "jax.numpy":
            wide = np.asarray(array.astype("float64")).tolist()
        elif self.library == "array_api_strict":
            wide = np.from_dlpack(self.xp.astype(array, self.xp.float64)).tolist()
        elif self.library == "cupy":
            wide = array.astype("float64").get().tolist()
        else:
            wide = wide.tolist()
        return wide

    def owns(self, array: Any) -> bool:
        """Whether the array is this library's and of this dtype."""
        ours = type(self.xp.zeros((1,)))
        return isinstance(array, ours | np.generic) and array.dtype == getattr(self.xp, self.dtype)


def load(library: str, dtype: str) -> Backend:
    if library in ("torch", "jax.numpy", "cupy"):
        pytest.importorskip(library.split(".")[0], reason=f"{library} is not installed")
    if library == "jax.numpy":
        importlib.import_module("jax").config.update("jax_enable_x64", True)
    return Backend(library, dtype, importlib.import_module(library))


def parameters(keys: list[tuple[str, ...]]) -> list[Any]:
    """Keys that begin with a library; of an absent one a single key stays, to say why."""
    absent = {name for name in DTYPES if importlib.util.find_spec(name.split(".")[0]) is None}
    first = {name: next(key for key in keys if key[0] == name) for name in absent}
    return [
        pytest.param(key, marks=MARKS.get(key[0], []), id="-".join(key))
        for key in keys
        if first.get(key[0], key) == key
    ]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "case" in metafunc.fixturenames:
        keys = [(*pair, name) for pair in PAIRS for name, row in ROWS.items() if fits(row, pair[1])]
        metafunc.parametrize("case", parameters(keys), indirect=True)
    if "backend" in metafunc.fixturenames:
        metafunc.parametrize("backend", parameters(PAIRS), indirect=True)


@pytest.fixture
def backend(request: pytest.FixtureRequest) -> Backend:
    return load(*request.param)


@pytest.fixture
def case(request: pytest.FixtureRequest) -> tuple[Backend, Any, tuple[float, ...]]:
    """A backend, one adversarial row as its array, and that array's entries as exact floats."""
    library, dtype, name = request.param
    backend = load(library, dtype)
    z = backend.asarray(ROWS[name])
    return backend, z, tuple(backend.floats(z))


@pytest.fixture
def oracle() -> Any:
    return ORACLE
