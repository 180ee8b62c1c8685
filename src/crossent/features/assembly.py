"""scikit-learn's transformers, assembled for a table's columns, and the names of what they give."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from crossent.features.column_kinds import Column, column_names

__all__ = ["RARE", "Choices", "assembled", "feature_names"]

RARE = "rare or new"
"""Name of the category in which rare and unseen ones are pooled."""


@dataclass(frozen=True)
class Choices:
    """How the columns are to be encoded; see `TableEncoder`."""

    min_frequency: int
    max_categories: int | None
    word_ngrams: tuple[int, int]
    character_ngrams: tuple[int, int]
    min_documents: int
    max_terms: int | None


def assembled(columns: Sequence[Column], choices: Choices) -> ColumnTransformer:
    """A transformer, not fitted, of what `prepared` makes of the columns.

    Numbers and years: the median for what is missing, a column that says so, and a standard
    deviation of 1 around 0. Booleans: 0 and 1, the more frequent for what is missing, and a column
    that says so. Categories, months, weekdays and hours: a column for each value, one of them for
    what is missing, and one for what is rare. Text: TF-IDF of words and of characters, each of
    length 1.
    """
    parts: list[tuple[str, Any, Any]] = []
    numbers = [name for c in columns if c.kind == "number" for name in column_names(c)]
    years = [column_names(c)[0] for c in columns if c.kind in ("date", "time")]
    booleans = [c.name for c in columns if c.kind == "boolean"]
    categories = [c.name for c in columns if c.kind == "category"]
    calendar = [n for c in columns if c.kind in ("date", "time") for n in column_names(c)[1:]]
    if numbers + years:
        scaled = Pipeline(
            [
                ("impute", SimpleImputer(strategy="median", add_indicator=True)),
                ("scale", StandardScaler()),
            ]
        )
        parts.append(("numbers", scaled, numbers + years))
    if booleans:
        filled = SimpleImputer(strategy="most_frequent", add_indicator=True)
        parts.append(("booleans", filled, booleans))
    if categories + calendar:
        one_hot = OneHotEncoder(
            min_frequency=choices.min_frequency,
            max_categories=choices.max_categories,
            handle_unknown="infrequent_if_exist",
        )
        parts.append(("categories", one_hot, categories + calendar))
    texts = [c.name for c in columns if c.kind == "text"]
    parts += [(f"text {k}", _tfidf(choices), name) for k, name in enumerate(texts)]
    return ColumnTransformer(parts, verbose_feature_names_out=False)


def _tfidf(choices: Choices) -> FeatureUnion:
    """Words and characters of one column of text."""
    shared = {
        "sublinear_tf": True,
        "min_df": choices.min_documents,
        "max_features": choices.max_terms,
        "dtype": np.float32,
    }
    words = TfidfVectorizer(ngram_range=choices.word_ngrams, **shared)
    characters = TfidfVectorizer(analyzer="char_wb", ngram_range=choices.character_ngrams, **shared)
    return FeatureUnion([("words", words), ("characters", characters)])


def feature_names(transformer: ColumnTransformer) -> list[str]:
    """A name for each column that a fitted transformer gives, in the words of the table."""
    names: list[str] = []
    for _, fitted, columns in transformer.transformers_:
        if isinstance(fitted, Pipeline):
            names += _imputed(fitted.named_steps["impute"], columns)
        elif isinstance(fitted, SimpleImputer):
            names += _imputed(fitted, columns)
        elif isinstance(fitted, OneHotEncoder):
            names += _one_hot(fitted, columns)
        else:
            names += _terms(fitted, columns)
    return names


def _imputed(imputer: SimpleImputer, columns: Sequence[str]) -> list[str]:
    indicated = imputer.indicator_.features_
    return [*columns, *(f"{columns[j]}: missing" for j in indicated)]


def _one_hot(encoder: OneHotEncoder, columns: Sequence[str]) -> list[str]:
    names: list[str] = []
    for column, known, rare in zip(
        columns, encoder.categories_, encoder.infrequent_categories_, strict=True
    ):
        pooled = set() if rare is None else set(rare.tolist())
        frequent = [value for value in known.tolist() if value not in pooled]
        names += [f"{column}: {'missing' if v is None else f'= {v}'}" for v in frequent]
        names += [f"{column}: {RARE}"] if pooled else []
    return [name.replace(": = ", " = ", 1) for name in names]


def _terms(union: FeatureUnion, column: str) -> list[str]:
    return [
        f"{column}: {'' if part == 'words' else '…'}{term!r}{'' if part == 'words' else '…'}"
        for part, vectorizer in union.transformer_list
        for term in vectorizer.get_feature_names_out()
    ]
