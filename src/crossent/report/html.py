"""Small pieces of HTML. Whatever comes from data passes through `data` or `escaped`."""

import math
import re
from collections.abc import Collection, Iterable, Sequence
from html import escape
from importlib.resources import files

from crossent.report._style import clean, shortened

__all__ = [
    "badge",
    "card",
    "data",
    "digits",
    "escaped",
    "figure",
    "integer",
    "page",
    "percent",
    "scientific",
    "section",
    "sentence",
    "table",
    "with_powers",
]

# Characters; a longer name in a table asks for a broad column, text for a broader one.
_LONG, _TEXT = 16, 50
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def escaped(text: object, /) -> str:
    """Text for an element or an attribute.

    Examples
    --------
    >>> escaped('<b title="x">')
    '&lt;b title=&quot;x&quot;&gt;'
    """
    return escape(clean(text), quote=True)


def data(text: object, /, width: int = 60) -> str:
    """Text from data as an element of its own writing direction, shortened to `width`.

    Examples
    --------
    >>> data("a & b")
    '<bdi>a &amp; b</bdi>'
    >>> data("abcdefgh", 4)
    '<bdi title="abcdefgh">ab…h</bdi>'
    """
    line = clean(text)
    kind = _class_of(line)
    if len(line) <= width:
        return f"<bdi{kind}>{escape(line)}</bdi>"
    return f'<bdi{kind} title="{escape(line)}">{escape(shortened(line, width))}</bdi>'


def _class_of(line: str) -> str:
    """How much room a cell asks for, as an attribute: dates are not broken at their hyphens."""
    if _DATE.fullmatch(line):
        return ' class="date"'
    if len(line) > _LONG:
        return ' class="long text"' if len(line) > _TEXT else ' class="long"'
    return ""


def sentence(text: str, /) -> str:
    """A sentence of ours: escaped, with powers of ten, and with code between back-ticks.

    Examples
    --------
    >>> sentence("Raise `tol` to 1e-6.")
    'Raise <code>tol</code> to 1×10⁻⁶.'
    """
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escaped(with_powers(text)))


def integer(value: float, /) -> str:
    """60,000; one digit after the point where weights make parts of rows."""
    return f"{value:,.0f}" if value == round(value) else f"{value:,.1f}"


def percent(value: float, /) -> str:
    r"""A share with one digit: 92.6 %; two where the share is near 0 or 1.

    Examples
    --------
    >>> percent(0.926), percent(0.9987), percent(1.0)
    ('92.6\xa0%', '99.87\xa0%', '100\xa0%')
    """
    if value in (0, 1):
        return f"{value:.0%}".replace("%", "\xa0%")
    digits = 1 if 0.01 <= value <= 0.99 else 2
    return f"{100 * value:.{digits}f}\xa0%"


def digits(value: float, significant: int, /) -> str:
    """A number with so many significant digits, zeros at the end included.

    Examples
    --------
    >>> digits(0.17, 3), digits(2.0e-7, 2), digits(120.0, 3)
    ('0.170', '2.0×10⁻⁷', '120')
    """
    return with_powers(f"{value:#.{significant}g}").rstrip(".")


def scientific(value: float, /) -> str:
    """Two significant digits, with a power of ten where it is small or large.

    Examples
    --------
    >>> scientific(9.04e-7), scientific(0.031), scientific(math.inf)
    ('9×10⁻⁷', '0.031', 'infinite')
    """
    if math.isnan(value):
        return "not known"
    if math.isinf(value):
        return "infinite"
    return with_powers(f"{value:.2g}")


def with_powers(text: str, /) -> str:
    """Numbers such as 2e-07 in a sentence of ours as 2×10⁻⁷."""

    def power(match: re.Match[str]) -> str:
        return f"{match[1]}×10" + str(int(match[2])).translate(_SUPERSCRIPTS)

    return re.sub(r"(\d)e([+-]?\d+)", power, text)


def table(
    header: Sequence[str], rows: Iterable[Sequence[str]], /, *, numbers: Collection[int] = ()
) -> str:
    """A table in a box that scrolls by itself; cells are HTML; `numbers` are right-aligned."""
    kinds = [' class="number"' if column in numbers else "" for column in range(len(header))]
    head = "".join(f'<th scope="col"{k}>{h}</th>' for h, k in zip(header, kinds, strict=True))
    body = "".join(
        "<tr>" + "".join(f"<td{k}>{c}</td>" for c, k in zip(row, kinds, strict=True)) + "</tr>"
        for row in rows
    )
    return (
        '<div class="scroll" tabindex="0"><table>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def figure(svg: str, caption: str, /) -> str:
    """A picture and how to read it; the caption is HTML."""
    return f"<figure>{svg}<figcaption>{caption}</figcaption></figure>"


def badge(text: str, tone: str, /) -> str:
    """The verdict; `tone` is a class of the style sheet."""
    mark = {"good": "✓", "warning": "!"}.get(tone, "–")
    return (
        f'<span class="badge {tone}"><span aria-hidden="true">{mark}</span> {escaped(text)}</span>'
    )


def card(name: str, value: str, remark: str, /) -> str:
    """A key number; all three are HTML."""
    return (
        f'<div class="card"><div class="name">{name}</div>'
        f'<div class="value">{value}</div><div class="remark">{remark}</div></div>'
    )


def section(name: str, body: str, /) -> str:
    """A section with its heading."""
    return f"<section><h2>{name}</h2>{body}</section>"


def page(title: str, body: str, /) -> str:
    """The whole document; it asks for nothing from outside, and its policy forbids it to."""
    style = files("crossent.report").joinpath("report.css").read_text(encoding="utf-8")
    policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{escaped(title)}</title>\n<style>\n{style}</style>\n</head>\n"
        f"<body>\n<main>\n{body}\n</main>\n</body>\n</html>\n"
    )
