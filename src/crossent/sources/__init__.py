"""Where rows come from, in blocks; the same answer whatever the block size."""

from crossent.sources.arrays import ArraySource

__all__ = ["ArraySource"]
