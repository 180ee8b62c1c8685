"""The named data sets: what they hold and whose they are, without loading them."""

import difflib
from dataclasses import dataclass

from crossent.errors import DatasetError

__all__ = ["DatasetDescription", "describe", "names"]


@dataclass(frozen=True)
class DatasetDescription:
    """What a named data set holds; every field is known before the data are read.

    Attributes
    ----------
    name : str
        What `crossent.datasets.load` takes.
    summary : str
        One sentence.
    n_train, n_test : int
        Rows; `n_test` is 0 where no test set is given.
    n_features : int
    class_names : tuple of str
        In the order of the sorted labels.
    image_shape : (int, int) or None
    preprocessing : str
        What `load` does to the values of the source.
    licence, source : str
    bundled : bool
        Whether it comes with scikit-learn; otherwise it is read from the folder that the
        environment variable ``CROSSENT_DATA`` names, or fetched once and cached.
    """

    name: str
    summary: str
    n_train: int
    n_test: int
    n_features: int
    class_names: tuple[str, ...]
    image_shape: tuple[int, int] | None
    preprocessing: str
    licence: str
    source: str
    bundled: bool


UNTOUCHED = "Values are used as the source gives them."
TEN_DIGITS = tuple("0123456789")

_DESCRIPTIONS = (
    DatasetDescription(
        name="digits",
        summary="Handwritten digits, 8 by 8 pixels, each a count of ink from 0 to 16.",
        n_train=1797,
        n_test=0,
        n_features=64,
        class_names=TEN_DIGITS,
        image_shape=(8, 8),
        # Like the other images, from 0 to 1, so that one C means the same penalty in all of
        # them. Sixteenths are exact in binary: multiplying by 16 gives the source back.
        preprocessing="Pixels are divided by 16.",
        licence="CC BY 4.0",
        source="Alpaydin and Kaynak (1998), UCI Machine Learning Repository, "
        "doi:10.24432/C50P49 (its test part)",
        bundled=True,
    ),
    DatasetDescription(
        name="iris",
        summary="Four lengths in centimetres of 150 iris flowers of three species.",
        n_train=150,
        n_test=0,
        n_features=4,
        class_names=("setosa", "versicolor", "virginica"),
        image_shape=None,
        preprocessing=UNTOUCHED,
        licence="CC BY 4.0",
        source="Fisher (1936), UCI Machine Learning Repository, doi:10.24432/C56C76",
        bundled=True,
    ),
    DatasetDescription(
        name="wine",
        summary="Chemical analyses of 178 Italian wines from three cultivars.",
        n_train=178,
        n_test=0,
        n_features=13,
        class_names=("class_0", "class_1", "class_2"),
        image_shape=None,
        preprocessing=UNTOUCHED,
        licence="CC BY 4.0",
        source="Aeberhard and Forina (1991), UCI Machine Learning Repository, doi:10.24432/C5PC7J",
        bundled=True,
    ),
    DatasetDescription(
        name="breast_cancer",
        summary="Shapes of cell nuclei in 569 breast masses, malignant or benign.",
        n_train=569,
        n_test=0,
        n_features=30,
        class_names=("malignant", "benign"),
        image_shape=None,
        preprocessing=UNTOUCHED,
        licence="CC BY 4.0",
        source="Wolberg, Mangasarian, Street and Street (1993), UCI Machine Learning "
        "Repository, doi:10.24432/C5DW2B",
        bundled=True,
    ),
    DatasetDescription(
        name="mnist",
        summary="Handwritten digits, 28 by 28 pixels, each a grey level from 0 to 255.",
        n_train=60_000,
        n_test=10_000,
        n_features=784,
        class_names=TEN_DIGITS,
        image_shape=(28, 28),
        preprocessing="Pixels are divided by 255.",
        licence="usually given as CC BY-SA 3.0",
        source="LeCun, Cortes and Burges (1998), http://yann.lecun.com/exdb/mnist/",
        bundled=False,
    ),
    DatasetDescription(
        name="fashion_mnist",
        summary="Photographs of clothes, 28 by 28 pixels, each a grey level from 0 to 255.",
        n_train=60_000,
        n_test=10_000,
        n_features=784,
        class_names=(
            "T-shirt/top",
            "Trouser",
            "Pullover",
            "Dress",
            "Coat",
            "Sandal",
            "Shirt",
            "Sneaker",
            "Bag",
            "Ankle boot",
        ),
        image_shape=(28, 28),
        preprocessing="Pixels are divided by 255.",
        licence="MIT (Zalando SE)",
        source="Xiao, Rasul and Vollgraf (2017), arXiv:1708.07747, "
        "https://github.com/zalandoresearch/fashion-mnist",
        bundled=False,
    ),
)
_BY_NAME = {description.name: description for description in _DESCRIPTIONS}


def names() -> tuple[str, ...]:
    """Names that `crossent.datasets.load` takes.

    Returns
    -------
    tuple of str

    Examples
    --------
    >>> from crossent import datasets
    >>> datasets.names()
    ('digits', 'iris', 'wine', 'breast_cancer', 'mnist', 'fashion_mnist')
    """
    return tuple(_BY_NAME)


def describe(name: str, /) -> DatasetDescription:
    """Description of a named data set, without loading it.

    Parameters
    ----------
    name : str
        One of `names`.

    Returns
    -------
    DatasetDescription

    Raises
    ------
    DatasetError
        If there is no data set of that name; the nearest name is offered.

    Examples
    --------
    >>> from crossent import datasets
    >>> mnist = datasets.describe("mnist")
    >>> mnist.n_train, mnist.n_test, mnist.preprocessing
    (60000, 10000, 'Pixels are divided by 255.')
    """
    if name not in _BY_NAME:
        message = (
            f"there is no data set {name!r}{nearest(name, names())} "
            f"The data sets are {', '.join(names())}."
        )
        raise DatasetError(message)
    return _BY_NAME[name]


def nearest(word: str, candidates: tuple[str, ...], /) -> str:
    """End of a sentence that offers the candidate most like the word, if one is."""
    by_lower = {candidate.lower(): candidate for candidate in candidates}
    close = difflib.get_close_matches(word.lower(), by_lower, n=1)
    return f"; did you mean {by_lower[close[0]]!r}?" if close else "."
