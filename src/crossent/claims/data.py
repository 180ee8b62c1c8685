"""What separates past and future rows: over-fitting, checks of the input, honest averages."""

import math
import warnings
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy.stats import chi2

from crossent.claims._expect import below, close, equal, refused
from crossent.claims.claim import Claim, Numbers, Verdict
from crossent.datasets import load
from crossent.functional import entropy, kl_divergence, softmax_cross_entropy
from crossent.inspection import evaluate
from crossent.linear_model import SoftmaxRegression

__all__ = ["CLAIMS"]

_CS = (1e-4, 1e-2, 1.0, 1e2, 1e4)


def _over_and_under_fitting() -> Numbers:
    digits = load("digits")
    X, y = digits.X_train / digits.X_train.max(), digits.y_train
    past, future = slice(0, 1000), slice(1000, None)
    models = [SoftmaxRegression(C=C, tol=1e-9).fit(X[past], y[past]) for C in _CS]
    train = [float(model.surprisal(X[past], y[past]).mean()) for model in models]
    test = [float(model.surprisal(X[future], y[future]).mean()) for model in models]
    # The same optima by scikit-learn's newton-cholesky at tol=1e-10.
    close(
        "train", train, [2.2826972, 1.2504495, 0.1098377, 0.0045921, 0.0000956], rel=1e-4, abs=1e-7
    )
    close("test", test, [2.2837466, 1.2993084, 0.2833878, 0.3563397, 0.6189465], rel=1e-4)
    below("training loss falls", np.diff(train), 0.0)
    equal("the best C for unseen rows", _CS[int(np.argmin(test))], 1.0)
    counts = np.bincount(y[past])
    baselines = [math.log(10), float(entropy(counts / 1000))]
    written_out = math.log(1000) - sum(n * math.log(n) for n in counts.tolist()) / 1000
    close("entropy of the classes", baselines[1], written_out, rel=1e-13)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # half the brightness is inside every pixel's range
        shifted = float(models[2].surprisal(X[future] / 2, y[future]).mean())
    close("pixels halved", shifted, 0.7863795, rel=1e-4)
    return {
        "C": list(_CS),
        "mean -log p, 1000 training rows": [round(x, 4) for x in train],
        "mean -log p, 797 other rows": [round(x, 4) for x in test],
        "baselines: log 10, entropy of the classes": baselines,
        "other rows with pixels halved, C = 1": shifted,
    }


def _drift_statistic(counts: npt.NDArray[np.int_], expected: npt.NDArray[np.float64]) -> float:
    """G = 2 Σ O log(O/E) = 2 n KL(observed shares ‖ expected shares)."""
    return float(2 * counts.sum() * kl_divergence(counts / counts.sum(), expected))


def _first_warning(call: Callable[[], object]) -> str:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        call()
    return str(caught[0].message) if caught else ""


def _guards() -> Numbers:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(1000, 3))
    frequencies = np.array([0.5, 0.3, 0.2])
    y = (X[:, 0] + rng.normal(size=1000) > 0).astype(int) + (X[:, 1] > 1)
    model = SoftmaxRegression().fit(X, y)
    equal("warnings about the reference itself", _first_warning(lambda: model.predict(X)), "")
    hole = X.copy()
    hole[17, 2] = math.nan
    messages = {"NaN": refused("NaN", lambda: model.predict(hole), "NaN", "row 17, column 2")}
    try:
        model.predict(np.c_[X, X[:, 0]])
        messages["columns"] = ""
    except ValueError as error:
        messages["columns"] = str(error)
    equal("columns counted", "4 features" in messages["columns"], True)
    far = X.copy()
    far[3, 1] = 1e6
    equal("range named", "column 1 was between" in _first_warning(lambda: model.predict(far)), True)
    draw = np.random.default_rng(0).choice
    moved = np.bincount(draw(3, size=500, p=frequencies[::-1]), minlength=3)
    stayed = np.bincount(np.random.default_rng(0).choice(3, size=500, p=frequencies), minlength=3)
    equal("labels drawn", [moved.tolist(), stayed.tolist()], [[96, 127, 277], [223, 160, 117]])
    g = [_drift_statistic(counts, frequencies) for counts in (moved, stayed)]
    written_out = [
        2 * sum(o * math.log(o / e) for o, e in zip(counts, 500 * frequencies, strict=True))
        for counts in (moved, stayed)
    ]
    close("G", g, written_out, rel=1e-12)
    limit = float(chi2.isf(0.001, df=2))
    close("99.9 % point", limit, -2 * math.log(0.001), rel=1e-12)
    below("no alarm without a shift", g[1], limit)
    below("alarm with one", limit, g[0])
    return {
        "NaN": messages["NaN"][:60] + " …",
        "a fourth column": messages["columns"][:60] + " …",
        "G of labels from another distribution, from the same": g,
        "limit that 1 in 1000 exceed by chance": limit,
    }


def _short_last_block() -> Numbers:
    X = np.r_[-np.ones(50), np.ones(50), -np.ones(4)][:, None]
    y = np.r_[np.zeros(50), np.ones(50), np.ones(4)].astype(int)
    model = SoftmaxRegression().fit(X[:100], y[:100])
    before = model.coef_.tobytes() + model.intercept_.tobytes()
    evaluated = evaluate(model, X, y)
    equal("parameters changed", model.coef_.tobytes() + model.intercept_.tobytes() == before, True)
    close("accuracy", evaluated.accuracy, 100 / 104, rel=1e-15)
    blocks = [evaluate(model, X[rows], y[rows]).accuracy for rows in (slice(100), slice(100, 104))]
    close("mean of the two blocks' accuracies", sum(blocks) / 2, 0.5, rel=1e-15)
    logits = np.c_[np.zeros(104), model.decision_function(X)]
    sums = [
        sum(
            float(softmax_cross_entropy(logits[i : i + size], y[i : i + size], reduction="sum"))
            for i in range(0, 104, size)
        )
        for size in range(1, 105)
    ]
    # Sums of 104 numbers of size 3 or less, in any order: 104 rounding errors of 1e-16 each.
    close(
        "loss by blocks of 1 to 104 rows",
        np.divide(sums, 104),
        [evaluated.cross_entropy] * 104,
        rel=1e-13,
    )
    return {
        "accuracy of 104 rows, 100 right": evaluated.accuracy,
        "mean of the accuracies of blocks of 100 and 4": sum(blocks) / 2,
        "mean loss from blocks of 1 … 104 rows: smallest, largest": [
            min(sums) / 104,
            max(sums) / 104,
        ],
    }


CLAIMS = (
    Claim(
        id="S9",
        topic="data",
        statement=(
            "Over-fitting looks at the difference between past and future, under-fitting at what "
            "they have in common."
        ),
        source="forum",
        verdict=Verdict.TRUE_IF,
        answer=(
            "A good picture, too loose to measure. Three numbers make it exact, all of them means "
            "of -log p in nats: the loss on the rows that were fitted, the loss on rows that were "
            "not, and the loss of a guess that looks at no input.\n\n"
            "Under-fitting: both losses are near the guess. Over-fitting: the loss on fitted rows "
            "goes on falling while the loss on other rows rises; their difference is the "
            "generalisation gap. Something else again is a *shift*: the future rows come from "
            "another distribution, and no amount of fitting care helps.\n\n"
            "Handwritten digits, 1000 rows fitted, 797 others, with less and less penalty (C from "
            ".0001 to 10,000): the loss on fitted rows falls from 2.28 to .0001; on the others it "
            "falls to .283 at C = 1 and rises to .619. The guess costs log 10 = 2.303. With pixels "
            "half as bright the model of C = 1 costs .786: a shift."
        ),
        correction=(
            "Over-fitting is a large difference between the losses on fitted and on other rows of "
            "the same distribution; under-fitting is a loss near the baseline on both."
        ),
        check=_over_and_under_fitting,
    ),
    Claim(
        id="S10",
        topic="data",
        statement="Check the inputs to your pipeline.",
        source="forum",
        verdict=Verdict.TRUE,
        answer=(
            "Yes; a model answers nonsense with the same confidence as sense. What can be checked, "
            "from cheap to dear: does a row have the right columns; are there holes (NaN) or "
            "infinities; does a value lie far outside the training range; did the classes' "
            "frequencies change; did the surprisals of labelled rows rise?\n\n"
            "`SoftmaxRegression` does the first three whenever it predicts: other columns and NaN "
            "are refused with row and column, values far out of range are warned about where they "
            "move the answer. Class frequencies are compared by G = 2 Σ O log(O/E), observed "
            "counts O against expected counts E, which is 2n KL(observed ‖ expected). If nothing "
            "changed, G exceeds 13.8 once in a thousand samples (three classes). 500 labels from "
            "(.2, .3, .5) against (.5, .3, .2) give 338; 500 labels from the same give 6.4.\n\n"
            "Mind NaN: every comparison with NaN is false, so a check written as too large or too "
            "small lets it through."
        ),
        check=_guards,
    ),
    Claim(
        id="S11",
        topic="data",
        statement="A certain issue of the book's repository maybe makes all evaluations wrong.",
        source="forum",
        verdict=Verdict.UNKNOWN,
        answer=(
            "The text of that issue is not at hand, so whether it was right cannot be said. What "
            "can be said is which mistake evaluations most often make, and that it is not made "
            "here.\n\n"
            "A mean over rows is the sum over rows divided by their number. A mean of the blocks' "
            "means is something else when the last block is short: 104 rows, the first 100 all "
            "right and the last 4 all wrong, have accuracy 100/104 = .9615. Blocks of 100 and 4 "
            "have accuracies 1 and 0, whose mean is .5. Dropping the short block gives 1. Here "
            "sums are added and divided once, so every block size gives the same loss, to "
            "rounding. And evaluating must not change the model: its coefficients are the same, "
            "bit by bit, before and after."
        ),
        check=_short_last_block,
    ),
)
