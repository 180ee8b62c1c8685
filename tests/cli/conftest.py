import csv
import json
import shutil
from pathlib import Path

import pytest
from sklearn.datasets import load_iris
from typer.testing import CliRunner

from crossent.cli.app import app


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path, monkeypatch):
    """Commands run where nothing lies about, and without colours or data from elsewhere."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CROSSENT_DATA", raising=False)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def run():
    """Run a command in this process; the result has exit_code, stdout and stderr."""

    def call(*arguments):
        return CliRunner().invoke(app, list(map(str, arguments)), prog_name="crossent")

    return call


@pytest.fixture
def run_json(run):
    """Run a command with ``--json`` that must succeed, and give back its object."""

    def call(*arguments):
        result = run(*arguments, "--json")
        assert result.exit_code == 0, result.stderr
        return json.loads(result.stdout)

    return call


def table(path, columns, rows):
    with Path(path).open("w", newline="") as file:
        csv.writer(file).writerows([columns, *rows])


@pytest.fixture
def write_table():
    """Write a CSV table: path, column names, rows."""
    return table


@pytest.fixture(scope="session")
def made_once(tmp_path_factory):
    """A folder with the irises as a table, and a model of all of them."""
    folder = tmp_path_factory.mktemp("made_once")
    iris = load_iris()
    names = iris.target_names[iris.target]
    columns = ["sepal length", "sepal width", "petal length", "petal width", "species"]
    rows = [[*x, name] for x, name in zip(iris.data.tolist(), names.tolist(), strict=True)]
    table(folder / "flowers.csv", columns, rows)
    arguments = ["fit", folder / "flowers.csv", "--test", "0", "--model", folder / "flowers.skops"]
    result = CliRunner().invoke(app, list(map(str, arguments)))
    assert result.exit_code == 0, result.stderr
    return folder


@pytest.fixture
def flowers(made_once):
    """``flowers.csv``: the irises with the names of their species; gives X and the names."""
    shutil.copy(made_once / "flowers.csv", "flowers.csv")
    iris = load_iris()
    return iris.data, iris.target_names[iris.target]


@pytest.fixture
def flower_model(flowers, made_once):
    """``flowers.skops``: a model of all irises; gives X and the names."""
    shutil.copy(made_once / "flowers.skops", "flowers.skops")
    return flowers
