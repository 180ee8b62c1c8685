"""Machine code is found by its name: two functions must not share one."""

import importlib
from collections import Counter
from pathlib import Path

import pytest

import crossent.kernels

FOLDER = Path(crossent.kernels.__file__).parent


def test_compiled_functions_have_names_of_their_own():
    # Code cached by two processes can meet in a third. Numba tells functions of one name apart by
    # a number that counts up in each process; there it may mean either of them.
    pytest.importorskip("numba")
    names = Counter()
    for path in FOLDER.glob("*.py"):
        if "triton" in path.stem or "torch" in path.stem:
            continue
        module = importlib.import_module(f"crossent.kernels.{path.stem}")
        for value in vars(module).values():
            function = getattr(value, "py_func", None)
            if function is not None and function.__module__ == module.__name__:
                names[module.__name__, function.__qualname__] += 1
    assert len(names) > 30
    assert {name: count for name, count in names.items() if count > 1} == {}
    assert [name for _, name in names if "<locals>" in name] == []
