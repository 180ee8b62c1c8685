"""Maps of every kind in several sizes, and their matrices from the definitions."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
import threadpoolctl

from crossent.linear_maps import (
    PHM,
    BlockDiagonal,
    Circulant,
    Dense,
    Fastfood,
    LowRank,
    Monarch,
    Toeplitz,
    ToeplitzLike,
)

spec = importlib.util.spec_from_file_location(
    "linear_map_definitions", Path(__file__).with_name("definitions.py")
)
DEFINITIONS = importlib.util.module_from_spec(spec)
sys.modules[spec.name] = DEFINITIONS
spec.loader.exec_module(DEFINITIONS)

SHAPES = [(12, 12), (7, 20), (20, 7), (8, 32), (1, 5), (5, 1), (17, 32)]


def maps_of(shape, seed=0):
    """One map of each kind; those that exist in this size only."""
    q, d = shape
    rng = np.random.default_rng(seed)
    k = min(3, q, d)
    return {
        "dense": Dense(shape),
        "low rank": LowRank(shape, k),
        "blocks": BlockDiagonal(shape, k),
        "shuffled blocks": BlockDiagonal.shuffled(shape, blocks=k, rng=rng),
        "Monarch": Monarch(shape, (min(4, d), min(3, q))),
        "Fastfood S": Fastfood.random(shape, learn="S", rng=rng),
        "Fastfood G": Fastfood.random(shape, learn="G", rng=rng),
        "Fastfood B": Fastfood.random(shape, learn="B", rng=rng),
        "Fastfood SGB": Fastfood.random(shape, learn="SGB", rng=rng),
        "Fastfood fixed": Fastfood.random(shape, learn="", rng=rng),
        "PHM 3": PHM(shape, 3, pad=True) if max(shape) >= 3 else PHM(shape, 1),
        "complex": PHM(shape, algebra="complex", pad=True),
        "quaternion": PHM(shape, algebra="quaternion", pad=True),
        "octonion": PHM(shape, algebra="octonion", pad=True),
        "circulant": Circulant.random(shape, rng=rng),
        "Toeplitz": Toeplitz(shape),
        "Toeplitz-like": ToeplitzLike(shape, min(2, q, d)),
    }


KINDS = tuple(maps_of((12, 12)))
CONVEX = {
    "dense", "blocks", "shuffled blocks", "Fastfood S", "Fastfood G", "Fastfood B",
    "Fastfood fixed", "complex", "quaternion", "octonion", "circulant", "Toeplitz",
}  # fmt: skip


@pytest.fixture(autouse=True, scope="session")
def one_thread_of_blas():
    """Small matrices: several threads only wait for each other."""
    with threadpoolctl.threadpool_limits(1):
        yield


@pytest.fixture(params=SHAPES, ids=lambda s: f"{s[0]}x{s[1]}", scope="session")
def shape(request):
    return request.param


@pytest.fixture(params=KINDS, scope="session")
def kind(request):
    return request.param


@pytest.fixture
def linear_map(shape, kind):
    return maps_of(shape)[kind]


@pytest.fixture
def theta(linear_map):
    """Parameters of size one, none of them zero."""
    return np.random.default_rng(1).normal(size=linear_map.n_parameters)


@pytest.fixture(scope="session")
def definitions():
    """The matrices from the definitions."""
    return DEFINITIONS


@pytest.fixture(scope="session")
def maps():
    """One map of each kind in a given shape."""
    return maps_of


@pytest.fixture
def is_convex(kind):
    return kind in CONVEX
