"""Known answers: a textbook's, other packages', and a trust-region optimiser's of SciPy."""

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import softmax

from crossent.choice import BradleyTerry
from crossent.datasets import load_football_sample
from crossent.errors import InputError

# A. Agresti, Categorical Data Analysis, 2nd ed. 2002, tables 10.10 and section 10.6.1: wins of the
# row team over the column team, American League (East) 1987, and the estimates to two digits.
TEAMS = ["Milwaukee", "Detroit", "Toronto", "New York", "Boston", "Cleveland", "Baltimore"]
WINS = np.array(
    [
        [0, 7, 9, 7, 7, 9, 11],
        [6, 0, 7, 5, 11, 9, 9],
        [4, 6, 0, 7, 7, 8, 12],
        [6, 8, 6, 0, 6, 7, 10],
        [6, 2, 6, 7, 0, 7, 12],
        [4, 4, 5, 6, 6, 0, 6],
        [2, 4, 1, 3, 1, 7, 0],
    ]
)
PUBLISHED = [1.58, 1.44, 1.29, 1.25, 1.11, 0.68, 0.0]

# Scores of the bundled football matches that sum to zero, in the order of their names, from
# choix 0.4.1, ilsr_pairwise(tol=1e-13) of the decided matches, and
# evalica 0.4.2, bradley_terry (draws half) and newman (Davidson's ties) with tolerance=1e-15.
CHOIX = [
    1.3052535939467604, -1.1432494655692047, 1.278024675197424, -0.2947910177497626,
    0.24756674842347515, -0.12159656505194576, -0.17242164868290155, -0.5933846587001552,
    0.35101805391112817, -0.8564197157248177,
]  # fmt: skip
EVALICA = [
    0.851611321102778, -0.8286982513265405, 0.8321747236097898, -0.17591690710243385,
    0.19303943548773758, -0.054154152722755894, -0.06580054791584841, -0.4079256049391413,
    0.23272969262956492, -0.5770597088231504,
]  # fmt: skip
NEWMAN = [
    1.2206093779411684, -1.1874022338273005, 1.1926677237834278, -0.2516363351247306,
    0.27495244868421626, -0.07792859364206829, -0.09426460744389606, -0.5832235784501483,
    0.33157344001219446, -0.8253476419328633,
]  # fmt: skip
NEWMAN_V = 0.41527904551651323


def test_the_baseball_teams_of_the_textbook():
    pairs = [(i, j) for i in range(7) for j in range(i + 1, 7)]
    model = BradleyTerry(anchor="Baltimore").fit(
        [[TEAMS[i], TEAMS[j]] for i, j in pairs], [[WINS[i, j], WINS[j, i]] for i, j in pairs]
    )
    found = dict(zip(model.items_.tolist(), model.scores_.tolist(), strict=True))

    # Published to two digits.
    assert [found[team] for team in TEAMS] == pytest.approx(PUBLISHED, abs=0.0051)


@pytest.mark.parametrize(
    ("ties", "expected", "accuracy"),
    # A decrement of 1e-10·0.9 nats a match before the last Newton step, which squares it, up to a
    # constant: at most 1e-16. Curvatures a match are 0.02 and more: √(2e-16/0.02) = 1e-7.
    [("drop", CHOIX, 1e-7), ("half", EVALICA, 1e-7), ("davidson", NEWMAN, 1e-7)],
)
def test_other_packages_find_the_same_scores(ties, expected, accuracy):
    matches = load_football_sample()
    model = BradleyTerry(ties=ties).fit(matches.teams, matches.outcomes)

    np.testing.assert_allclose(model.scores_, expected, rtol=0, atol=accuracy)
    if ties == "davidson":  # its v is half of Davidson's ν
        assert np.exp(model.tie_) / 2 == pytest.approx(NEWMAN_V, rel=1e-7)


def trust_exact(designs, weights, penalty=0.0):
    """Minimiser of Σ weight·(logsumexp(A w) - (A w)_k) + (penalty/2)·‖w‖², by SciPy."""
    size = designs.shape[2]
    ridge = np.full(size, penalty)

    def value(w):
        z = designs @ w
        top = z.max(axis=1, keepdims=True)
        log_sum = top[:, 0] + np.log(np.exp(z - top).sum(axis=1))
        totals = weights.sum(axis=1)
        return totals @ log_sum - np.sum(weights * z) + 0.5 * ridge @ w**2

    def gradient(w):
        p = softmax(designs @ w, axis=1) * weights.sum(axis=1, keepdims=True)
        return np.einsum("ck,ckj->j", p - weights, designs) + ridge * w

    def hessian(w):
        p = softmax(designs @ w, axis=1)
        mean = np.einsum("ck,ckj->cj", p, designs)
        off = designs - mean[:, None]
        p *= weights.sum(axis=1, keepdims=True)
        return np.einsum("ck,cki,ckj->ij", p, off, off) + np.diag(ridge)

    found = minimize(
        value, np.zeros(size), jac=gradient, hess=hessian, method="trust-exact",
        options={"gtol": 1e-10, "maxiter": 500},
    )  # fmt: skip
    w = found.x
    for _ in range(2):  # rounding of the value stops it at a gradient of 1e-6
        w = w - np.linalg.lstsq(hessian(w), gradient(w))[0]
    assert np.linalg.norm(gradient(w)) < 1e-10
    return w


def healthy_and_one_lost():
    """1000 random matches of ten items, and one that the item "new" lost."""
    rng = np.random.default_rng(0)
    i = rng.integers(0, 10, 1000)
    j = (i + rng.integers(1, 10, 1000)) % 10
    names = np.array([f"item {k}" for k in range(10)])
    y = np.where(rng.random(1000) < 0.5 + 0.04 * (j - i), "left", "right")
    return np.vstack([np.column_stack([names[i], names[j]]), ["item 0", "new"]]), [*y, "left"]


@pytest.mark.parametrize("penalty", [0.01, 1.0])
def test_a_winless_item_is_named_and_with_a_penalty_has_the_score_of_trust_exact(penalty):
    X, y = healthy_and_one_lost()
    with pytest.raises(InputError, match=r"'new' never won.*penalty=….*undefined='drop'"):
        BradleyTerry().fit(X, y)
    model = BradleyTerry(penalty=penalty).fit(X, y)
    number = {item: k for k, item in enumerate(model.items_.tolist())}

    A = np.zeros((len(X), 2, 11))
    for row, (left, right) in zip(A, X.tolist(), strict=True):
        row[0, number[left]] = row[1, number[right]] = 1
    won = np.column_stack([np.array(y) == "left", np.array(y) == "right"]).astype(float)
    expected = trust_exact(A, won, penalty)

    # The smallest eigenvalue of the Hessian is the penalty, so a gradient of 1e-10 leaves 1e-8.
    assert model.certificate_.kind == "gap"
    assert model.certificate_.relative_gap < 1e-10
    np.testing.assert_allclose(model.scores_, expected - expected.mean(), rtol=0, atol=1e-8)
    assert model.scores_[number["new"]] < -0.2


def test_leaving_the_winless_item_out_leaves_the_others_alone():
    X, y = healthy_and_one_lost()
    ten = BradleyTerry().fit(X[:-1], y[:-1])
    with pytest.warns(UserWarning, match="No score for 'new'"):
        model = BradleyTerry(undefined="drop").fit(X, y)

    np.testing.assert_allclose(model.scores_[:10], ten.scores_, rtol=0, atol=1e-12)
    assert np.isnan(model.scores_[10])


def test_draws_and_home_advantage_have_the_coefficients_of_trust_exact():
    matches = load_football_sample()
    model = BradleyTerry(order_effect="global")
    model.fit(matches.teams, matches.outcomes, order=matches.home)
    number = {item: k for k, item in enumerate(model.items_.tolist())}

    A = np.zeros((769, 3, 12))  # ten scores, ν and the home advantage
    for row, (left, right), home in zip(A, matches.teams.tolist(), matches.home, strict=True):
        row[0, number[left]] = row[1, number[right]] = 1
        row[0, 11] = home
        row[2, [number[left], number[right]]] = 0.5
        row[2, 10], row[2, 11] = 1, home / 2
    words = np.array(["left", "right", "tie"])
    expected = trust_exact(A, (matches.outcomes[:, None] == words).astype(float))
    scores = expected[:10] - expected[:10].mean()

    # As above.
    np.testing.assert_allclose(model.scores_, scores, rtol=0, atol=1e-7)
    assert model.tie_ == pytest.approx(expected[10], abs=1e-7)
    assert model.order_effect_ == pytest.approx(expected[11], abs=1e-7)
