"""PyTorch is optional: what needs it carries the marker `torch`, and is left out where it is not.

`make test` runs without PyTorch, `make test-torch` runs what carries the marker.
"""

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).parent
NEEDS_TORCH = ("tests/torch", "src/crossent/torch", "src/crossent/kernels/triton_")

if importlib.util.find_spec("torch") is None:
    collect_ignore_glob = [f"{start}*" for start in NEEDS_TORCH]


def pytest_report_header() -> list[str]:
    absent = importlib.util.find_spec("torch") is None
    return [f"PyTorch is not installed: {', '.join(NEEDS_TORCH)}* left out"] if absent else []


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.relative_to(ROOT).as_posix().startswith(NEEDS_TORCH):
            item.add_marker(pytest.mark.torch)
