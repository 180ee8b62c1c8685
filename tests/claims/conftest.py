import functools

import pytest

from crossent.claims import examine, find


@functools.cache
def examined_once(id):
    return examine(find(id))


@pytest.fixture(scope="session")
def examined():
    """The outcome of a claim, run once in a session of tests."""
    return examined_once
