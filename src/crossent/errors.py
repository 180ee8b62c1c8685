"""Every exception that crossent raises on purpose.

::

    CrossentError
    ├── CodeError (also a ValueError)        coded data are damaged, or were made with another model
    ├── InputError (also a ValueError)       the data or an option cannot be used as given
    ├── DatasetError (also an OSError)       a named data set is absent, damaged or unreadable
    └── ModelFileError (also a ValueError)   a model file is damaged, foreign or not ours

A message says what was found, the value, where it stands, and what to do about it.
"""

__all__ = ["CodeError", "CrossentError", "DatasetError", "InputError", "ModelFileError"]


class CrossentError(Exception):
    """Base class: ``except CrossentError`` catches every error of this package."""


class CodeError(CrossentError, ValueError):
    """Coded data that are damaged, cut off, or not made with this model; nothing is decoded."""


class InputError(CrossentError, ValueError):
    """Input that cannot be used as given; the message names value, place and remedy."""


class DatasetError(CrossentError, OSError):
    """A data set that is absent, damaged or unreadable; the message names the file."""


class ModelFileError(CrossentError, ValueError):
    """A model file that is damaged, from another version, or not one of ours."""
