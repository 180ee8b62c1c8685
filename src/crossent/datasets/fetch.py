"""Files fetched once from where they are published, verified, and kept in a cache."""

import logging
import os
import tempfile
from pathlib import Path

from crossent.datasets._files import verified
from crossent.errors import DatasetError

__all__ = ["cache_folder", "fetched"]

_LOG = logging.getLogger(__name__)
_REMEDY = (
    "Without a network, put the published files into a folder called {name!r} and set the "
    "environment variable CROSSENT_DATA to the folder that holds it."
)


def cache_folder(name: str, data_home: str | os.PathLike[str] | None, /) -> Path:
    """Folder that keeps a data set's files: `name` in `data_home` or in the user's cache."""
    if data_home is not None:
        return Path(data_home, name)
    try:
        import pooch
    except ImportError as error:
        message = (
            f"{name} is not at hand, and fetching it needs pooch, which is not installed. "
            f"Install it with: pip install 'crossent[cli]'. {_REMEDY.format(name=name)}"
        )
        raise DatasetError(message) from error
    return Path(pooch.os_cache("crossent"), name)


def fetched(path: Path, sha256: str, /, *, urls: tuple[str, ...]) -> bytes:
    """Uncompressed content of the cached file, which is fetched if it is absent or damaged.

    Nothing unverified ever gets the name `path`, so an interrupted download leaves no trace,
    and two processes may fetch at the same time.
    """
    if path.exists():
        try:
            return verified(path, sha256)
        except DatasetError as error:
            _LOG.warning("%s Fetching it again.", error)
    failures = []
    for url in urls:
        try:
            return _download(url, path, sha256)
        except OSError as error:  # requests' errors and DatasetError are among them
            failures.append(f"{url}: {error}")
    message = (
        f"{path.name} of {path.parent.name} could not be fetched: {'; '.join(failures)}. "
        f"{_REMEDY.format(name=path.parent.name)}"
    )
    raise DatasetError(message)


def _download(url: str, path: Path, sha256: str) -> bytes:
    """Fetch, verify, then move to `path` in one step."""
    try:
        import pooch
    except ImportError as error:
        message = f"{path.name}: fetching needs pooch. Install it: pip install 'crossent[cli]'."
        raise DatasetError(message) from error
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".fetching-") as folder:
        temporary = Path(folder, path.name)
        _LOG.info("fetching %s", url)
        # Not `pooch.retrieve`: its hash is of the compressed bytes, which differ by mirror.
        pooch.HTTPDownloader(chunk_size=1 << 16)(url, str(temporary), None)
        content = verified(temporary, sha256)
        os.replace(temporary, path)
    return content
