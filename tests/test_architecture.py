"""The floors of docs/architecture.md, held by reading every import of the package."""

import ast
import graphlib
import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "src" / "crossent"

FLOORS = {
    "": 0,  # crossent/__init__.py, which loads everything else on first use
    "errors": 0,
    "typing": 0,
    "certificate": 0,
    "_arrays": 0,
    "functional": 1,
    "solvers": 1,
    "kernels": 2,
    "sources": 3,
    "linear_maps": 3,
    "coding": 3,
    "datasets": 3,
    "objectives": 4,
    "linear_model": 5,
    "features": 5,
    "choice": 5,
    "torch": 5,
    "calibration": 6,
    "persistence": 6,
    "inspection": 6,
    "labels": 6,
    "export": 7,
    "report": 7,
    "claims": 7,
    "cli": 8,
}

# A library that not everybody needs, and the only folders or files that may import it.
LIBRARY_HOMES = {
    "array_api_compat": {"_arrays", "functional"},
    "backports": {"coding"},
    "matplotlib": {"claims", "report"},
    "numba": {"kernels"},
    "pandas": {"datasets"},
    "onnx": {"export"},
    "PIL": {"datasets"},
    "polars": {"datasets", "features", "sources"},
    "pooch": {"datasets"},
    "pyarrow": {"choice", "datasets", "sources"},
    "safetensors": {"datasets", "export"},
    "rich": {"cli"},
    "skops": {"persistence"},
    "sklearn": {
        "calibration",
        "choice",
        "claims",
        "cli",
        "datasets",
        "export",
        "features",
        "inspection",
        "labels",
        "linear_model",
        "persistence",
        "report",
    },
    "sympy": {"claims"},
    "torch": {"kernels", "torch"},
    "triton": {"kernels"},
    "typer": {"cli"},
}

MAX_FILE_LINES = 400
MAX_BODY_LINES = 40


def module_name(path: Path) -> str:
    parts = ("crossent", *path.relative_to(PACKAGE).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}
TREES = {module: ast.parse(path.read_text("utf-8")) for module, path in FILES.items()}
every_module = pytest.mark.parametrize("module", FILES)


def home(module: str) -> str:
    """Folder or file directly below the package; empty for the package itself."""
    return module.split(".")[1] if "." in module else ""


def is_import_call(node: ast.AST) -> bool:
    if not (isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant)):
        return False
    function = node.func
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    return name in {"import_module", "__import__", "find_spec"}


def imports(module: str) -> Iterator[tuple[str, int]]:
    """Full name and line of everything the module imports, at the top or inside a function."""
    for node in ast.walk(TREES[module]):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield from ((f"{node.module}.{alias.name}", node.lineno) for alias in node.names)
        elif is_import_call(node):
            yield node.args[0].value, node.lineno


def own_imports(module: str) -> Iterator[tuple[str, int]]:
    """The package's own modules among the imports; a name in a module stands for the module."""
    for name, line in imports(module):
        if name.split(".")[0] != "crossent":
            continue
        while name not in FILES:
            name = name.rpartition(".")[0]
        yield name, line


def where(module: str, line: int) -> str:
    return f"{FILES[module].relative_to(PACKAGE.parent)}:{line}"


def test_every_folder_and_file_of_the_package_has_a_floor():
    homeless = {home(module) for module in FILES} - FLOORS.keys()

    assert not homeless, f"give these a floor in FLOORS and docs/architecture.md: {homeless}"


@every_module
def test_imports_go_down_the_floors_and_never_sideways(module):
    here = home(module)
    # Files of the ground floor may know each other: typing.py names the Certificate.
    allowed = {"", here} | {name for name, floor in FLOORS.items() if floor < max(FLOORS[here], 1)}
    wrong = [
        f"{where(module, line)} imports {name}"
        for name, line in own_imports(module)
        if home(name) not in allowed
    ]

    assert not wrong, wrong


@every_module
def test_only_the_version_is_taken_from_the_top_of_the_package(module):
    wrong = [
        f"{where(module, line)} imports {name}"
        for name, line in imports(module)
        if name == "crossent"
        or (name.startswith("crossent.") and name.count(".") == 1 and name not in FILES)
        if name != "crossent.__version__"
    ]

    assert not wrong, f"import from the module that defines the name: {wrong}"


@every_module
def test_imports_are_absolute(module):
    relative = [
        where(module, node.lineno)
        for node in ast.walk(TREES[module])
        if isinstance(node, ast.ImportFrom) and node.level > 0
    ]

    assert not relative, relative


def test_no_modules_import_each_other_in_a_circle():
    graph = {module: {name for name, _ in own_imports(module)} - {module} for module in FILES}

    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        pytest.fail(" imports ".join(error.args[1]))


@every_module
def test_optional_libraries_are_imported_only_where_they_are_needed(module):
    wrong = [
        f"{where(module, line)} imports {name}"
        for name, line in imports(module)
        if home(module) not in LIBRARY_HOMES.get(name.split(".")[0], {home(module)})
    ]

    assert not wrong, wrong


def test_solvers_know_nothing_of_the_softmax():
    """They see an Objective; only the ground floor and their own folder are in sight."""
    seen = {
        home(name)
        for module in FILES
        if home(module) == "solvers"
        for name, _ in own_imports(module)
    }

    assert seen <= {"solvers", "certificate", "errors", "typing"}, seen


def is_public(module: str) -> bool:
    return not any(part.startswith("_") for part in module.split("."))


def defines_something(module: str) -> bool:
    return any(not isinstance(node, ast.Expr) for node in TREES[module].body)


@pytest.mark.parametrize("module", [m for m in FILES if is_public(m) and defines_something(m)])
def test_a_public_module_says_in_all_what_it_offers_and_offers_it(module):
    missing_library = set(LIBRARY_HOMES)
    try:
        loaded = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] not in missing_library:
            raise
        pytest.skip(f"{error.name} is not installed")

    assert hasattr(loaded, "__all__"), f"{module} has no __all__"
    absent = [name for name in loaded.__all__ if not hasattr(loaded, name)]
    assert not absent, f"{module}.__all__ names what does not exist: {absent}"
    assert len(set(loaded.__all__)) == len(loaded.__all__), f"{module}.__all__ repeats a name"


def loaded_by(statement: str) -> set[str]:
    """Top-level names in sys.modules after the statement ran in a new interpreter."""
    code = f"import sys\n{statement}\nprint(*{{m.split('.')[0] for m in sys.modules}})"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    return set(done.stdout.split())


def test_importing_the_package_loads_no_other_library():
    heavy = {"numpy", "scipy", "sklearn", "numba", "matplotlib", "skops", "torch", "typer", "rich"}

    assert not loaded_by("import crossent") & heavy


def test_the_estimator_loads_without_compiler_plots_or_files():
    # Not pandas: scikit-learn itself imports it where it is installed.
    heavy = {"numba", "llvmlite", "matplotlib", "skops", "torch", "polars", "typer"}
    loaded = loaded_by("import crossent.linear_model")

    assert "sklearn" in loaded  # the check below would pass if nothing were imported
    assert not loaded & heavy


@every_module
def test_no_file_is_longer_than_400_lines(module):
    lines = len(FILES[module].read_text("utf-8").splitlines())

    assert lines <= MAX_FILE_LINES, f"{where(module, lines)} is too long: split its subject"


def body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines after the docstring; a function defined inside is counted for itself, not here."""
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    inner = (node for node in ast.walk(function) if is_function(node) and node is not function)
    lines = {line for node in body for line in range(node.lineno, node.end_lineno + 1)}
    for node in inner:
        lines -= set(range(node.body[0].lineno, node.end_lineno + 1))
    return len(lines)


def is_function(node: ast.AST) -> bool:
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)


@every_module
def test_no_function_body_is_longer_than_40_lines(module):
    functions = [node for node in ast.walk(TREES[module]) if is_function(node)]
    long = [
        f"{where(module, function.lineno)} {function.name}: {body_lines(function)} lines"
        for function in functions
        if body_lines(function) > MAX_BODY_LINES
    ]

    assert not long, long
