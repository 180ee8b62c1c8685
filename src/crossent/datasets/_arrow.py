"""Whether the libraries of the extra ``tables`` are there, and what to say if not."""

from crossent.errors import DatasetError

__all__ = ["require_tables", "tables_installed"]


def tables_installed() -> bool:
    """Whether polars and pyarrow can be imported."""
    try:
        import polars  # noqa: F401
        import pyarrow  # noqa: F401
    except ImportError:
        return False
    return True


def require_tables() -> None:
    """Raise a DatasetError that says what to install, if polars or pyarrow is absent."""
    if not tables_installed():
        message = (
            "Tables of mixed columns need polars and pyarrow. Install them with "
            "`pip install 'crossent[tables]'`."
        )
        raise DatasetError(message)
