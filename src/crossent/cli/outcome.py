"""How a command ends: exit codes, and errors in one line."""

import enum
import errno
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import typer

from crossent.cli.messages import Messages
from crossent.errors import CrossentError

__all__ = ["ExitCode", "one_line_errors", "shown_warnings"]


class ExitCode(enum.IntEnum):
    """What ``crossent`` tells the shell.

    130 is what shells expect of a program that Ctrl-C ended (128 + SIGINT).
    """

    OK = 0
    ERROR = 1
    USAGE = 2
    NOT_CONVERGED = 3
    INTERRUPTED = 130


@contextmanager
def one_line_errors(messages: Messages, *, debug: bool) -> Iterator[None]:
    """Turn errors that a user can mend into one line on stderr and an exit code.

    Anything else is a mistake of ours and keeps its traceback. With `debug` all do.
    """
    try:
        yield
    except KeyboardInterrupt:
        messages.error("interrupted", label=None)
        raise typer.Exit(ExitCode.INTERRUPTED) from None
    except (CrossentError, OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno == errno.EPIPE:
            raise  # the reader of our output has gone (`| head`): no error of anybody
        if debug:
            traceback.print_exc()
        messages.error(_sentence(error))
        raise typer.Exit(ExitCode.ERROR) from None


@contextmanager
def shown_warnings(messages: Messages) -> Iterator[None]:
    """Show each warning as one line on stderr, without the place in the code."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            yield
        finally:
            texts = dict.fromkeys(_one_line(str(record.message)) for record in caught)
            for text in texts:
                messages.warn(text)


def _sentence(error: Exception) -> str:
    """The error's own words, with a hint where they were not written by us."""
    text = _one_line(str(error)) or type(error).__name__
    if isinstance(error, CrossentError):
        return text
    if isinstance(error, OSError):
        return f"{error.filename}: {error.strerror}" if error.filename else text
    return f"{text} (--debug shows where)"


def _one_line(text: str) -> str:
    return " ".join(text.split())
