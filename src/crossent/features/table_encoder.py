"""TableEncoder: from a frame of mixed columns to the numbers of a linear model."""

import numbers
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from crossent.datasets import as_frame
from crossent.errors import InputError
from crossent.features.assembly import Choices, assembled, feature_names
from crossent.features.column_kinds import Column, choose_kinds, prepared

__all__ = ["TableEncoder"]


class TableEncoder(TransformerMixin, BaseEstimator):
    """Numbers, booleans, categories, dates and text of a frame, encoded as their kind asks for.

    What a column is, is read off its type and, for words, its values; `columns_` says what was
    decided and why. The encoding itself is a ``ColumnTransformer`` of scikit-learn's own
    transformers, `transformer_`:

    ========  =====================================================================================
    number    (x - mean) / standard deviation; the median where missing, and a column that says so
    boolean   0 and 1; the more frequent one where missing, and a column that says so
    category  a column for each value, for what is missing, and for all that are rare or new
    date      the year with its fraction as a number; month and weekday as categories
    time      as date, and the hour as a category
    text      TF-IDF, 1 + log of the counts, of words and of characters within words
    drop      nothing
    ========  =====================================================================================

    Parameters
    ----------
    kinds : dict of str to str, optional
        What some columns are, by their names: "number", "boolean", "category", "date", "time",
        "text" or "drop". The others are found out.
    drop : list of str, optional
        Columns to leave out.
    min_frequency : int, default=5
        Categories with fewer training rows are rare. All rare ones share a column, and one that
        the training rows do not have is encoded as they are; if none is rare, with zeros.
    max_categories : int, optional
        Most columns for one column's categories; beyond, the least frequent count as rare.
    word_ngrams, character_ngrams : (int, int), default=(1, 2) and (2, 5)
        Shortest and longest sequence.
    min_documents : int, default=2
        Sequences in fewer training rows are left out.
    max_terms : int or None, default=100_000
        Most sequences of words, and of characters: the most frequent.

    Attributes
    ----------
    columns_ : tuple of Column
        Name, kind, reason, and counts of each column.
    transformer_ : ColumnTransformer
    n_features_in_ : int
    feature_names_in_ : ndarray of str

    Notes
    -----
    The same table gives the same numbers whichever library's frame holds it: cells are read as
    the column's kind asks for, from whatever type they have. Where most of the numbers are
    zero the result is a CSR matrix.

    Examples
    --------
    >>> import polars
    >>> frame = polars.DataFrame({"weight": [192.0, None, 80.0], "colour": ["red", "red", "green"]})
    >>> encoder = TableEncoder(min_frequency=1).fit(frame)
    >>> [(column.name, column.kind) for column in encoder.columns_]
    [('weight', 'number'), ('colour', 'category')]
    >>> encoder.get_feature_names_out().tolist()
    ['weight', 'weight: missing', 'colour = green', 'colour = red']
    >>> encoder.transform({"weight": [136.0], "colour": ["green"]})
    array([[ 0.        , -0.70710678,  1.        ,  0.        ]])
    """

    def __init__(
        self,
        *,
        kinds: Any = None,
        drop: Any = (),
        min_frequency: int = 5,
        max_categories: int | None = None,
        word_ngrams: tuple[int, int] = (1, 2),
        character_ngrams: tuple[int, int] = (2, 5),
        min_documents: int = 2,
        max_terms: int | None = 100_000,
    ) -> None:
        self.kinds = kinds
        self.drop = drop
        self.min_frequency = min_frequency
        self.max_categories = max_categories
        self.word_ngrams = word_ngrams
        self.character_ngrams = character_ngrams
        self.min_documents = min_documents
        self.max_terms = max_terms

    def fit(self, X: Any, y: Any = None) -> "TableEncoder":
        """Decide what the columns are, and learn their encoding.

        Parameters
        ----------
        X : frame
            Of pandas, polars, pyarrow, or anything with ``__arrow_c_stream__``.
        y : None
            Not used.

        Returns
        -------
        TableEncoder
            Itself.

        Raises
        ------
        InputError
            A name in `kinds` or `drop` is no column; a cell does not fit its column's kind; a
            column's type has no encoding; a parameter makes no sense; or nothing is left to learn
            from.
        """
        self.fit_transform(X, y)
        return self

    def fit_transform(self, X: Any, y: Any = None) -> Any:  # noqa: ARG002
        """The encoding of the rows that it is learned from; see `fit` and `transform`."""
        choices = self._choices()
        frame = as_frame(X)
        if not len(frame):
            message = "the table has no rows to learn an encoding from."
            raise InputError(message)
        columns = choose_kinds(frame, self.kinds, self.drop)
        transformer = assembled(columns, choices)
        try:
            encoded = transformer.fit_transform(prepared(frame, columns))
        except ValueError as error:
            raise _in_our_words(error) from error
        self.columns_: tuple[Column, ...] = tuple(columns)
        self.transformer_ = transformer
        self.n_features_in_ = len(columns)
        self.feature_names_in_ = np.array(frame.columns, dtype=object)
        return _csr(encoded)

    def transform(self, X: Any) -> Any:
        """Encode rows.

        Parameters
        ----------
        X : frame
            With the columns of the training rows, in any order; others are passed over.

        Returns
        -------
        ndarray or csr_array, shape (n, number of features)
            float64, or float32 if all columns are text.

        Raises
        ------
        InputError
            A column is missing, or a cell does not fit its column's kind.
        """
        check_is_fitted(self)
        frame = as_frame(X)
        used = [column for column in self.columns_ if column.kind != "drop"]
        missing = [column.name for column in used if column.name not in frame.columns]
        if missing:
            message = (
                f"X has no column {missing[0]!r}; {len(missing)} of the {len(used)} columns that "
                "the encoder learned from are missing."
            )
            raise InputError(message)
        return _csr(self.transformer_.transform(prepared(frame, used)))

    def get_feature_names_out(self, input_features: Any = None) -> npt.NDArray[Any]:  # noqa: ARG002
        """Names of the encoded columns, shape (d,), such as ``colour = red``.

        Parameters
        ----------
        input_features : None
            Not used; the names are those of the training frame.
        """
        check_is_fitted(self)
        return np.array(feature_names(self.transformer_), dtype=object)

    def text_features(self) -> npt.NDArray[np.bool_]:
        """Which encoded columns are TF-IDF of text, shape (d,)."""
        check_is_fitted(self)
        parts = self.transformer_.output_indices_
        found = np.zeros(max(part.stop for part in parts.values()), dtype=bool)
        for name, part in parts.items():
            found[part] |= name.startswith("text ")
        return found

    def _choices(self) -> Choices:
        """The parameters, checked."""
        for name in ("min_frequency", "min_documents"):
            value = getattr(self, name)
            if not (isinstance(value, numbers.Integral) and int(value) >= 1):
                message = f"{name} is {value!r}; it must be a positive integer."
                raise InputError(message)
        return Choices(
            min_frequency=int(self.min_frequency),
            max_categories=self.max_categories,
            word_ngrams=tuple(self.word_ngrams),  # type: ignore[arg-type]
            character_ngrams=tuple(self.character_ngrams),  # type: ignore[arg-type]
            min_documents=int(self.min_documents),
            max_terms=self.max_terms,
        )


def _csr(encoded: Any) -> Any:
    """Sparse results as arrays, whose operators mean what NumPy's do."""
    return sp.csr_array(encoded) if sp.issparse(encoded) else np.asarray(encoded)


def _in_our_words(error: ValueError) -> ValueError:
    """Text without a word that occurs twice has no terms."""
    said = str(error).lower()
    if any(words in said for words in ("no terms remain", "empty vocabulary", "< documents than")):
        message = (
            "a column of text has no sequence of words or characters in enough rows. Take it as a "
            "category (--as NAME=category), leave it out, or lower min_documents."
        )
        return InputError(message)
    return error
