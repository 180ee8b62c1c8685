"""The command line: ``crossent fit``, ``evaluate``, ``predict`` and ``datasets``."""

import importlib
import sys

__all__ = ["main"]

_NEEDED = ("typer", "rich")


def main() -> None:
    """Run the command line; exits with one of the codes of `crossent.cli.outcome.ExitCode`."""
    try:
        app = importlib.import_module("crossent.cli.app").app
    except ModuleNotFoundError as error:
        missing = (error.name or "").split(".")[0]
        if missing not in _NEEDED:
            raise
        sys.stderr.write(
            f"error: the command line needs {missing}, which is not installed. "
            "Install it with: pip install 'crossent[cli,report]'\n"
        )
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    app(prog_name="crossent")
