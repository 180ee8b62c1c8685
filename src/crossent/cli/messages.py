"""What goes to stderr: messages, warnings, errors and the line that moves while something runs."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console
from rich.text import Text

__all__ = ["Messages"]

_PLAIN_INTERVAL_S = 5.0


def _stderr() -> Console:
    # Data may hold [brackets] and numbers of their own meaning: neither markup nor highlighting.
    return Console(stderr=True, markup=False, highlight=False, emoji=False, soft_wrap=True)


@dataclass(frozen=True)
class Messages:
    """Everything that is not the answer; it leaves stdout alone.

    Attributes
    ----------
    quiet : bool
        Only warnings and errors.
    console : rich.console.Console
        On stderr; knows whether that is a terminal and whether ``NO_COLOR`` is set.
    """

    quiet: bool = False
    console: Console = field(default_factory=_stderr)

    def say(self, text: str) -> None:
        """Print one line, unless quiet."""
        if not self.quiet:
            self.console.print(Text(text))

    def warn(self, text: str) -> None:
        """Print one line that begins with ``warning:``."""
        self.console.print(Text.assemble(("warning: ", "yellow"), text))

    def error(self, text: str, *, label: str | None = "error") -> None:
        """Print one line that begins with ``error:``, or with nothing."""
        start = ("", "") if label is None else (f"{label}: ", "bold red")
        self.console.print(Text.assemble(start, text))

    @contextmanager
    def moving_line(self, first: str) -> Iterator[Callable[[str], None]]:
        """A line that can be replaced and is gone at the end; gives the function that replaces it.

        Without a terminal a plain line is printed instead, at most every five seconds.
        """
        if self.quiet:
            yield _ignore
        elif self.console.is_terminal:
            with self.console.status(Text(first), refresh_per_second=8) as status:
                yield lambda text: status.update(Text(text))
        else:
            yield self._occasionally()

    def _occasionally(self) -> Callable[[str], None]:
        last = time.monotonic()

        def show(text: str) -> None:
            nonlocal last
            if time.monotonic() - last >= _PLAIN_INTERVAL_S:
                last = time.monotonic()
                self.say(text)

        return show


def _ignore(text: str) -> None:
    """Show nothing."""
