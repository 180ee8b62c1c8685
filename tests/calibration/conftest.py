"""Rows from a model whose temperature is known."""

import numpy as np
import pytest
from scipy.special import softmax


@pytest.fixture(scope="session")
def drawn():
    """Logits, the probabilities softmax(z / T) that rows are drawn from, and one label each."""

    def make(n=4000, q=4, temperature=2.5, seed=0, scale=3.0):
        rng = np.random.default_rng(seed)
        z = scale * rng.normal(size=(n, q))
        p = softmax(z / temperature, axis=1)
        y = (z / temperature + rng.gumbel(size=(n, q))).argmax(axis=1)
        return z, p, y

    return make
