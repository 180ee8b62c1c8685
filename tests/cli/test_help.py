import subprocess
import sys

import pytest

from crossent import __version__


def test_help_begins_with_examples_and_documents_the_exit_codes(run):
    text = run("--help").stdout

    assert text.index("Examples:") < text.index("Softmax regression") < text.index("Options:")
    for code in ("0  ", "1  ", "2  ", "3  ", "130  "):
        assert f"\n    {code}" in text


@pytest.mark.parametrize("command", ["fit", "evaluate", "predict", "datasets"])
def test_every_command_explains_itself(run, command):
    result = run(command, "--help")

    assert result.exit_code == 0
    assert result.stdout.count(f"crossent {command} ") >= (1 if command == "datasets" else 2)


def test_version_is_the_package_version(run):
    assert run("--version").stdout == f"crossent {__version__}\n"


def test_an_unknown_command_offers_the_nearest_one(run):
    result = run("evalute")

    assert result.exit_code == 2
    assert "evaluate" in result.stderr


def test_a_missing_argument_is_a_usage_error(run):
    result = run("fit")

    assert result.exit_code == 2
    assert "DATA" in result.stderr
    assert result.stdout == ""


def imported_by(arguments):
    """Modules in a new interpreter after the command line ran with these arguments."""
    code = (
        "import sys\nfrom crossent.cli import main\n"
        f"sys.argv = ['crossent', *{arguments!r}]\n"
        "try:\n    main()\nfinally:\n    print(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return {module.split(".")[0] for module in done.stderr.split()}


def test_help_does_not_wait_for_numerical_libraries():
    assert not imported_by(["--help"]) & {"numpy", "scipy", "sklearn", "numba", "matplotlib"}


def test_the_list_of_data_sets_does_not_wait_for_scikit_learn():
    assert not imported_by(["datasets"]) & {"sklearn", "scipy", "numba", "matplotlib", "pooch"}


@pytest.mark.parametrize("missing", ["typer", "rich"])
def test_without_its_extra_the_command_says_what_to_install(missing):
    code = f"import sys; sys.modules[{missing!r}] = None\nfrom crossent.cli import main\nmain()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)

    assert done.returncode == 1
    assert done.stdout == ""
    assert "pip install 'crossent[cli,report]'" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_data_sets_are_listed_with_their_sizes(run, run_json):
    text = run("datasets").stdout
    listed = {item["name"]: item for item in run_json("datasets")["datasets"]}

    assert listed["iris"]["n_train"] == 150
    assert listed["mnist"]["n_test"] == 10000
    for name in listed:
        assert f"\n{name} " in text
