"""What a reader is told beside the path."""

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["Reading"]


@dataclass(frozen=True)
class Reading:
    """How a table or a folder of images is to be read.

    Attributes
    ----------
    target : str or None
        Column that holds the class; by default the last one.
    target_columns : tuple of str
        Columns that hold counts or probabilities, one for each class, instead of `target`.
    kinds : mapping of str to str
        What some columns are, as `crossent.features.TableEncoder` has it: "category", "text", ….
    drop : tuple of str
        Columns to leave out.
    drop_unlabelled : bool
        Leave out rows without a class, or without a vote for any; otherwise they are refused.
    image_size : (int, int) or None
        Height and width to which images of a folder are brought.

    Examples
    --------
    >>> Reading(target="species").target_columns
    ()
    """

    target: str | None = None
    target_columns: tuple[str, ...] = ()
    kinds: Mapping[str, str] = field(default_factory=dict)
    drop: tuple[str, ...] = ()
    drop_unlabelled: bool = False
    image_size: tuple[int, int] | None = None

    @property
    def is_of_tables(self) -> bool:
        """Whether something is said that only a table can have."""
        return bool(self.target or self.target_columns or self.kinds or self.drop)
