"""Apply every mutant of tests/mutants.txt to a copy of the tree; the named tests must fail.

Run by ``make mutants``, or directly::

    python tests/run_mutants.py [--jobs N] [TEXT ...]

With TEXT, only lines that contain one of the texts are tried. Lines of files that need PyTorch are
left out where it is not installed (``make mutants-torch`` has it). Exit status 1 if a mutant
survives, if the text to find does not occur exactly once, or if the tests do not pass without a
mutant or cannot be run with it. The format is described at the top of tests/mutants.txt.
"""

import argparse
import importlib.util
import os
import queue
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
LIST = ROOT / "tests" / "mutants.txt"
COPIED = ("src", "tests", "pyproject.toml", "conftest.py")
NEEDS_TORCH = ("src/crossent/torch/", "src/crossent/kernels/triton_")
TIMEOUT_S = 600
TESTS_PASSED, TESTS_FAILED = 0, 1  # pytest's exit codes


@dataclass(frozen=True)
class Mutant:
    """One line of the list."""

    line: int
    file: str
    find: str
    replacement: str
    tests: tuple[str, ...]

    def __str__(self) -> str:
        return f"mutants.txt:{self.line} {self.file}: {self.find!r} -> {self.replacement!r}"


def read_mutants(path: Path) -> list[Mutant]:
    """Parse the list; `\\n` in a text is a line break."""
    mutants = []
    for number, line in enumerate(path.read_text("utf-8").splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        fields = [field.strip() for field in line.split(" | ")]
        if len(fields) != 4:
            message = f"{path.name}:{number} has {len(fields)} fields; it must have 4: {line}"
            raise SystemExit(message)
        file, find, replacement, tests = (field.replace("\\n", "\n") for field in fields)
        mutants.append(Mutant(number, file, find, replacement, tuple(tests.split())))
    return mutants


def copy_tree(destination: Path) -> Path:
    """What the tests need of the tree."""
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(
                source, destination / name, ignore=shutil.ignore_patterns("__pycache__")
            )
        else:
            shutil.copy2(source, destination / name)
    return destination


def run_tests(tree: Path, tests: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
    """The tests in the copy, which stands before the installed package on the path."""
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(tree / "src"), os.environ.get("PYTHONPATH", "")]),
        "PYTHONDONTWRITEBYTECODE": "1",  # the clock may be coarser than two edits of one file
    }
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests]
    return subprocess.run(
        command,
        cwd=tree,
        env=environment,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )


def fault_of(mutant: Mutant, tree: Path) -> str | None:
    """Why the mutant does not count as killed; None if the tests killed it."""
    path = tree / mutant.file
    if not path.is_file():
        return f"there is no file {mutant.file}"
    original = path.read_text("utf-8")
    count = original.count(mutant.find)
    if count != 1:
        return f"the text to find occurs {count} times"
    path.write_text(original.replace(mutant.find, mutant.replacement), "utf-8")
    try:
        done = run_tests(tree, mutant.tests)
    except subprocess.TimeoutExpired:
        return None  # an endless loop is noticed too
    finally:
        path.write_text(original, "utf-8")
    if done.returncode == TESTS_PASSED:
        return "SURVIVED"
    if done.returncode != TESTS_FAILED:
        return f"the tests could not be run (exit code {done.returncode}):\n{done.stdout[-2000:]}"
    return None


def main() -> int:
    """Try all mutants; the number of faults decides the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("text", nargs="*", help="only lines that contain one of these")
    options = parser.parse_args()
    mutants = [
        mutant
        for mutant in read_mutants(LIST)
        if not options.text or any(text in str(mutant) for text in options.text)
    ]
    if importlib.util.find_spec("torch") is None:
        there = len(mutants)
        mutants = [mutant for mutant in mutants if not mutant.file.startswith(NEEDS_TORCH)]
        sys.stdout.write(f"{there - len(mutants)} mutants need PyTorch and are left out\n")
    if not mutants:
        message = "no mutant was selected"
        raise SystemExit(message)
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        trees: queue.Queue[Path] = queue.Queue()
        for job in range(options.jobs):
            trees.put(copy_tree(Path(folder) / str(job)))

        def attempt(mutant: Mutant) -> str | None:
            tree = trees.get()
            try:
                return fault_of(mutant, tree)
            finally:
                trees.put(tree)

        every_test = tuple(sorted({test for mutant in mutants for test in mutant.tests}))
        unchanged = run_tests(Path(folder) / "0", every_test)
        if unchanged.returncode != TESTS_PASSED:
            message = f"the tests fail without a mutant:\n{unchanged.stdout[-4000:]}"
            raise SystemExit(message)
        faults = 0
        with ThreadPoolExecutor(options.jobs) as pool:
            for mutant, fault in zip(mutants, pool.map(attempt, mutants), strict=True):
                faults += fault is not None
                print(f"{'killed' if fault is None else fault}  {mutant}", flush=True)  # noqa: T201
    print(f"{len(mutants)} mutants, {faults} not killed")  # noqa: T201
    return int(faults > 0)


if __name__ == "__main__":
    sys.exit(main())
