"""``crossent datasets``: what DATA can name."""

from dataclasses import asdict

from rich.table import Table

from crossent.cli.output import print_json, stdout
from crossent.datasets import describe, names

__all__ = ["run_datasets"]


def run_datasets(*, as_json: bool) -> None:
    """Print a table, or one JSON object with a list."""
    found = [describe(name) for name in names()]
    if as_json:
        print_json({"datasets": [asdict(description) for description in found]})
        return
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("name")
    for heading in ("rows", "test rows", "features", "classes"):
        table.add_column(heading, justify="right")
    table.add_column("what")
    for item in found:
        sizes = (item.n_train, item.n_test or "–", item.n_features, len(item.class_names))
        where = "" if item.bundled else " Fetched once, or read from $CROSSENT_DATA."
        table.add_row(item.name, *(str(size) for size in sizes), item.summary + where)
    stdout().print(table)
