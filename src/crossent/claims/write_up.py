"""The write-up's first cells: the images, the range of a prediction, and -log p."""

import math
import tempfile
from pathlib import Path

import numpy as np

from crossent.claims import figures
from crossent.claims._expect import below, close, equal
from crossent.claims.claim import Claim, Numbers, Verdict
from crossent.datasets import load, read_idx_pair
from crossent.errors import DatasetError
from crossent.functional import (
    log_softmax,
    softmax,
    softmax_cross_entropy,
    surprisal,
)

__all__ = ["CLAIMS"]


def _images() -> Numbers:
    pixels = bytes([0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 3, *range(12)])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "train-images-idx3-ubyte")
        path.write_bytes(pixels)
        labels_path = path.with_name("train-labels-idx1-ubyte")
        labels_path.write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, 2, 7, 3]))
        images, labels = read_idx_pair(path)
        path.write_bytes(pixels[:-1])
        try:
            read_idx_pair(path)
            refusal = "none"
        except DatasetError as error:
            refusal = "truncated" if "truncated" in str(error) else str(error)
    first, second = [[0, 1, 2], [3, 4, 5]], [[6, 7, 8], [9, 10, 11]]
    equal("two images of 2 rows and 3 columns", images.tolist(), [first, second])
    equal("their labels", labels.tolist(), [7, 3])
    equal("what a file without its last byte is called", refusal, "truncated")
    digits = load("digits")
    counts = np.bincount(digits.y_train).tolist()
    equal("digits, each class", counts, [178, 182, 177, 183, 181, 182, 181, 179, 174, 180])
    close("largest pixel after scaling", float(digits.X_train.max()), 1.0, rel=0.0)
    return {
        "shape of the hand-made IDX file": list(images.shape),
        "offline digits: rows, pixels": list(digits.X_train.shape),
        "offline digits: images of each class": counts,
    }


def _range_of_softmax() -> Numbers:
    logits = [0.0, -800.0]
    p = softmax(logits)
    losses = [float(softmax_cross_entropy(logits, label)) for label in (0, 1)]
    equal("softmax(0, -800) in float64", p.tolist(), [1.0, 0.0])
    equal("losses of both labels", losses, [0.0, 800.0])
    rows = np.random.default_rng(0).normal(size=(1000, 5)) * np.array([[[1.0]], [[10.0]], [[1e3]]])
    every = softmax(rows)
    equal("probabilities outside [0, 1]", int(((every < 0) | (every > 1)).sum()), 0)
    zeros = [int((block == 0).sum()) for block in every]
    equal("zeros among moderate logits", zeros[0], 0)
    below("zeros do occur at scale 1000: more than", 1000, zeros[2])
    close("largest error of a sum", float(np.abs(every.sum(axis=-1) - 1).max()), 0.0, abs=1e-15)
    return {
        "softmax(0, -800)": p.tolist(),
        "loss of each label": losses,
        "zeros in 5000 probabilities at scale 1, 10, 1000": zeros,
    }


def _sign_of_likelihood() -> Numbers:
    logits = np.log([[0.25, 0.5, 0.25], [0.5, 0.25, 0.25], [0.8, 0.1, 0.1]])
    labels = [0, 0, 2]
    likelihood = 0.25 * 0.5 * 0.1
    losses = softmax_cross_entropy(logits, labels, reduction="none")
    mean = float(softmax_cross_entropy(logits, labels))
    close("loss of the row with probability .25", losses[0], 2 * math.log(2), rel=1e-15)
    close("mean loss", mean, -math.log(likelihood) / 3, rel=1e-14)
    picked = log_softmax(logits)[np.arange(3), labels]
    close("log-likelihood", picked.sum(), math.log(likelihood), rel=1e-14)
    return {
        "log-likelihood of a row with probability .25": float(picked[0]),
        "its loss": float(losses[0]),
        "three rows: log-likelihood": float(picked.sum()),
        "three rows: mean loss": mean,
    }


def _misused_nll_loss() -> Numbers:
    p = np.linspace(0.001, 1.0, 50)
    rows = np.tile(p, (50, 1))
    drawn = -rows[np.arange(50), np.ones(50, dtype=int)]  # what nll_loss does with target 1
    right = -np.log(rows)[np.arange(50), np.arange(50)]
    equal("different values in the cell's line", len(set(drawn.tolist())), 1)
    close("the cell's line", drawn[0], -(0.001 + 0.999 / 49), rel=1e-15)
    close("surprisal", surprisal(p), right, rel=1e-15, abs=0.0)
    close("its mean", float(surprisal(p).mean()), 1.05744876656193896, rel=1e-14)
    return {
        "the cell draws, at every p": float(drawn[0]),
        "-log p at p = .001": float(surprisal(p)[0]),
        "-log p at p = 1": float(surprisal(p)[-1]),
    }


def _surprisal_curve() -> Numbers:
    p = np.linspace(0.001, 1.0, 50)
    curve = surprisal(p)
    close("-log .001", curve[0], 3 * math.log(10), rel=1e-15)
    ends = [float(surprisal(1.0)), float(surprisal(0.0))]
    equal("-log 1 and -log 0", ends, [0.0, math.inf])
    equal("the zero is not -0", math.copysign(1.0, ends[0]), 1.0)
    below("falling: largest step", float(np.diff(curve).max()), 0.0)
    below("convex: 0 below the smallest second difference", 0.0, float(np.diff(curve, n=2).min()))
    marks = [0.5, 0.1, 0.01, 0.001]
    bits = surprisal(marks, base=2)
    close("in bits", bits, [1.0, *(k / math.log10(2) for k in (1, 2, 3))], rel=1e-15)
    return {"p": marks, "-log p in nats": surprisal(marks).tolist(), "in bits": bits.tolist()}


CLAIMS: tuple[Claim, ...] = (
    Claim(
        id="S68",
        topic="write-up",
        statement=(
            "`untar_data(URLs.MNIST)` fetches the images of handwritten digits, and `path.ls()` "
            "shows the folders training and testing."
        ),
        source="write-up, first cells",
        verdict=Verdict.TRUE_IF,
        answer=(
            "True if the server answers, which cannot be promised: the places that offered MNIST "
            "have changed or been down again and again. The archive holds two folders, training "
            "(60,000 images) and testing (10,000); each has ten folders, 0 to 9, named after the "
            "digit, with one PNG file of 28 by 28 grey pixels per image. So the label of an image "
            "is the name of its folder, and the order in which files are listed must not "
            "matter.\n\n"
            "Here `datasets.open_dataset(folder)` reads such folders of images. And "
            '`datasets.load("mnist")` reads the four files of the original publication (format '
            "IDX: a header that states the sizes as big-endian 32-bit integers, then the pixels "
            "row by row) from the folder that CROSSENT_DATA names, from a cache, or from two "
            "servers, and compares a checksum of each. A damaged file is refused by name. "
            '`datasets.load("digits")`, 1,797 images of 8 by 8 pixels that come with '
            "scikit-learn, needs no network at all."
        ),
        check=_images,
    ),
    Claim(
        id="S69",
        topic="write-up",
        statement="A prediction lies between 0 and 1; 0 is left out for mathematical reasons.",
        source="write-up, text before the first plot",
        verdict=Verdict.TRUE_IF,
        answer=(
            "The reason behind it is log 0 = -inf: a model that gives probability 0 to what then "
            "happens has an infinite loss. In exact arithmetic softmax never does: for finite "
            "logits and at least two classes every probability is above 0 and below 1.\n\n"
            "In floating point both ends occur. softmax(0, -800) is exactly (1, 0) in float64, "
            "because e^-800 is smaller than the smallest number. Nobody can leave 0 out there, so "
            "the loss has to be computed from the logits and not from the probabilities: "
            "log-sum-exp minus the logit of the label is 0 - (-800) = 800 for the second class, a "
            "finite number with all its digits, where -log(softmax) is infinite. Cutting "
            "probabilities off at .001 is no remedy: it reports 6.9 instead of 800."
        ),
        correction=(
            "For finite logits softmax lies strictly between 0 and 1; in floating point it reaches "
            "both, so compute the loss from the logits."
        ),
        check=_range_of_softmax,
    ),
    Claim(
        id="S70",
        topic="write-up",
        statement="The formula -Σ p log q is introduced as the log-likelihood.",
        source="write-up, heading before the first formula",
        verdict=Verdict.FALSE,
        answer=(
            "It is the *negative* log-likelihood. Let q be the predicted distribution of a row and "
            "p the one-hot label. Then Σ p log q picks log q(label), the log-likelihood of that "
            "row, a number that is never positive; with the minus sign it is the cross-entropy, "
            "the loss. For n independent rows the log-likelihood is the *sum* of log q(label), and "
            "the loss is usually given as a *mean*: loss = -log-likelihood / n.\n\n"
            "Maximising the one is minimising the other. A label predicted with probability .25 "
            "has the log-likelihood log .25 = -1.386 and the loss 1.386."
        ),
        correction="-Σ p log q is the cross-entropy: the negative log-likelihood of one row.",
        check=_sign_of_likelihood,
    ),
    Claim(
        id="S71",
        topic="write-up",
        statement="The cell `F.nll_loss(pt, ones)` plots -log p for p from .001 to 1.",
        source="write-up, cell with nll_loss",
        verdict=Verdict.FALSE,
        answer=(
            "The function's name misleads: nll_loss takes *log*-probabilities, one row per sample "
            "and one column per class, and the class number of each row; all it does is pick one "
            "entry a row and change its sign. It takes no logarithm.\n\n"
            "The cell gives it probabilities, 50 equal rows of the grid, and the number 1, which "
            "is the second column, for every row. So it returns minus the second grid point, "
            "-.0214, fifty times: a flat line below zero, not a curve. (It also lacks a closing "
            "parenthesis, and uses `pt` in a cell above the one that defines it.) Right in PyTorch "
            "is `F.nll_loss(pt.log(), torch.arange(50), reduction='none')`, where row i picks "
            "column i; without reduction='none' it is one number, the mean 1.0574. Here it is "
            "`surprisal(p)`."
        ),
        correction=(
            "nll_loss of log p with the labels 0, 1, ..., 49 and no reduction gives -log p on the "
            "grid."
        ),
        check=_misused_nll_loss,
    ),
    Claim(
        id="S72",
        topic="write-up",
        statement="A plot of -log p shows that the error explodes as p comes near 0.",
        source="write-up, first plot",
        verdict=Verdict.TRUE,
        answer=(
            "-log p is 0 at p = 1, falls all the way from p = 0 to there, is convex, and has no "
            "upper bound: -log 0 = inf. But it grows slowly. Each factor of 10 in p costs the same "
            "log 10 = 2.30 nats (3.32 bits): p = .1 costs 2.30, .01 costs 4.61, and .001 costs "
            "6.91 nats. What explodes is the *slope*, -1/p. That is the slope by the probability; "
            "by the logit it is p - 1, which never exceeds 1 in size (S20)."
        ),
        check=_surprisal_curve,
        scene=figures.surprisal_curve,
    ),
)
