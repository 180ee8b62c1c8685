"""What docs/choice.md shows is what happens."""

import doctest
from pathlib import Path

DOCUMENT = Path(__file__).parents[2] / "docs" / "choice.md"


def test_the_examples_of_the_page_run():
    found = doctest.testfile(str(DOCUMENT), module_relative=False, verbose=False)

    assert found.attempted > 10
    assert found.failed == 0
