"""The data of the cases: made once, kept in a cache folder as plain .npy files.

What is drawn at random is drawn with a fixed seed. MNIST, Fashion-MNIST, banking77 and clinc150
are read from the folder ``CROSSENT_DATA`` (the two image sets are fetched if it has none).
"""

import csv
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse

__all__ = ["Data", "load", "prepare"]

_VERSION = 1  # raise it when a recipe below changes, so that old caches are not read


@dataclass(frozen=True)
class Data:
    """Rows and targets.

    Attributes
    ----------
    X : ndarray or csr_matrix, shape (n, d)
    targets : ndarray, shape (n,) of labels 0…q-1, or (n, q) of distributions
    """

    X: Any
    targets: Any

    @property
    def n_classes(self) -> int:
        """Classes, q."""
        return int(self.targets.max()) + 1 if self.targets.ndim == 1 else self.targets.shape[1]


def prepare(name: str, cache: Path) -> Path:
    """The folder of the data set `name`, made if it is not there."""
    folder = cache / f"v{_VERSION}" / name
    if not (folder / "complete").exists():
        print(f"  preparing the data set {name}", flush=True)
        folder.mkdir(parents=True, exist_ok=True)
        _write(RECIPES[name](), folder)
        (folder / "complete").touch()
    return folder


def load(folder: Path) -> Data:
    """What `prepare` wrote."""
    targets = np.load(folder / "targets.npy")
    if (folder / "X.npy").exists():
        return Data(np.load(folder / "X.npy"), targets)
    parts = tuple(np.load(folder / f"X_{part}.npy") for part in ("data", "indices", "indptr"))
    shape = tuple(json.loads((folder / "shape.json").read_text("ascii")))
    return Data(scipy.sparse.csr_matrix(parts, shape=shape), targets)


def _write(data: Data, folder: Path) -> None:
    np.save(folder / "targets.npy", data.targets)
    if not scipy.sparse.issparse(data.X):
        np.save(folder / "X.npy", np.ascontiguousarray(data.X))
        return
    for part in ("data", "indices", "indptr"):
        np.save(folder / f"X_{part}.npy", getattr(data.X, part))
    (folder / "shape.json").write_text(json.dumps(data.X.shape), "ascii")


def _images(name: str) -> Data:
    """Pixels / 255 in float32."""
    from crossent.datasets import load as load_dataset

    dataset = load_dataset(name)
    return Data(dataset.X_train.astype(np.float32, copy=False), dataset.y_train)


def _bundled(name: str) -> Data:
    """Raw values in float64: digits are 0…16."""
    import sklearn.datasets

    return Data(*getattr(sklearn.datasets, f"load_{name}")(return_X_y=True))


def _subset(data: Data, rows: int) -> Data:
    return Data(data.X[:rows], data.targets[:rows])


def dense(n: int = 1_000_000, d: int = 50, q: int = 7, *, unscaled: bool = False) -> Data:
    """Correlated Gaussian columns, standardised; labels drawn from a softmax model.

    `unscaled` multiplies column j by ``logspace(0, 3, d)[j]``.
    """
    rng = np.random.default_rng(20240501)
    mixing = np.eye(d) + 0.4 * np.triu(rng.standard_normal((d, d)), 1) / np.sqrt(d) * 3
    W, b = 1.5 * rng.standard_normal((q, d)) / np.sqrt(d), 0.5 * rng.standard_normal(q)
    X, y = np.empty((n, d), np.float32), np.empty(n, np.int64)
    for start in range(0, n, 100_000):
        rows = slice(start, min(start + 100_000, n))
        X[rows] = rng.standard_normal((rows.stop - start, d)) @ mixing
    X -= X.mean(axis=0, dtype=np.float64).astype(np.float32)
    X /= X.std(axis=0, dtype=np.float64).astype(np.float32)
    for start in range(0, n, 100_000):
        rows = slice(start, min(start + 100_000, n))
        logits = X[rows] @ W.T + b
        y[rows] = (logits + rng.gumbel(size=logits.shape)).argmax(axis=1)
    return Data(X * np.logspace(0, 3, d, dtype=np.float32) if unscaled else X, y)


def many_classes(rows_per_class: int = 2, d: int = 300, q: int = 10_000) -> Data:
    """Class centres plus noise, float32: the teacher's posterior is exactly a softmax model."""
    rng = np.random.default_rng(20240502)
    centres = rng.standard_normal((q, d), dtype=np.float32) / np.sqrt(np.float32(d)) * 4
    y = rng.permutation(np.repeat(np.arange(q), rows_per_class))
    X = centres[y] + rng.standard_normal((len(y), d), dtype=np.float32)
    return Data(X / np.float32(np.sqrt(d)) * 8, y)


def _tfidf(texts: list[str], labels: list[str]) -> Data:
    """TF-IDF of words 1-2 and characters 2-5 within words, sublinear, float32."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    kinds: tuple[tuple[str, tuple[int, int]], ...] = (("word", (1, 2)), ("char_wb", (2, 5)))
    parts = [
        TfidfVectorizer(analyzer=analyzer, ngram_range=span, sublinear_tf=True).fit_transform(texts)
        for analyzer, span in kinds
    ]
    X = scipy.sparse.csr_matrix(scipy.sparse.hstack(parts, format="csr"), dtype=np.float32)
    X.indices, X.indptr = X.indices.astype(np.int32), X.indptr.astype(np.int32)
    return Data(X, np.unique(labels, return_inverse=True)[1].astype(np.int64))


def _folder_of_data() -> Path:
    if "CROSSENT_DATA" not in os.environ:
        message = "CROSSENT_DATA must name the folder that holds banking77/ and clinc150/"
        raise FileNotFoundError(message)
    return Path(os.environ["CROSSENT_DATA"])


def _banking77() -> Data:
    """10,003 questions to a bank, 77 intents."""
    with (_folder_of_data() / "banking77/train.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return _tfidf([row["text"] for row in rows], [row["category"] for row in rows])


def _clinc150() -> Data:
    """15,000 requests to an assistant, 150 intents."""
    path = _folder_of_data() / "clinc150/data_full.json"
    texts, labels = zip(*json.loads(path.read_text("utf-8"))["train"], strict=True)
    return _tfidf(list(texts), list(labels))


def _soften(data: Data, teacher_rows: int) -> Data:
    """Targets half way between the label and a smoothed model's opinion.

    The model is scikit-learn's, fitted to the first rows with a strong penalty and few iterations,
    at temperature 2: what distillation and annotators' votes look like.
    """
    import warnings

    from sklearn.linear_model import LogisticRegression

    scale = data.X.max()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # few iterations are wanted
        teacher = LogisticRegression(C=0.01, max_iter=30).fit(
            data.X[:teacher_rows] / scale, data.targets[:teacher_rows]
        )
    logits = teacher.decision_function(data.X / scale).astype(np.float64) / 2
    opinion = np.exp(logits - logits.max(axis=1, keepdims=True))
    opinion /= opinion.sum(axis=1, keepdims=True)
    targets = 0.5 * opinion + 0.5 * np.eye(opinion.shape[1])[data.targets]
    return Data(data.X, targets / targets.sum(axis=1, keepdims=True))


RECIPES: dict[str, Callable[[], Data]] = {
    "mnist": lambda: _images("mnist"),
    "fashion_mnist": lambda: _images("fashion_mnist"),
    "mnist_10k": lambda: _subset(_images("mnist"), 10_000),
    "digits": lambda: _bundled("digits"),
    "iris": lambda: _bundled("iris"),
    "dense_1m": dense,
    "dense_1m_unscaled": lambda: dense(unscaled=True),
    "dense_100k": lambda: dense(100_000),
    "dense_100k_unscaled": lambda: dense(100_000, unscaled=True),
    "banking77": _banking77,
    "clinc150": _clinc150,
    "many_classes": many_classes,
    "soft_digits": lambda: _soften(_bundled("digits"), 1797),
    "soft_mnist": lambda: _soften(_images("mnist"), 6000),
}
