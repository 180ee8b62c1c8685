"""Models in files: one sealed file each, written in one step, loaded without running code."""

from crossent.persistence.model_file import load, save
from crossent.persistence.writing import check_writable, write_atomically, written_atomically

__all__ = ["check_writable", "load", "save", "write_atomically", "written_atomically"]
