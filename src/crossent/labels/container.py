"""The file of coded labels: what surrounds the payload, so that nothing wrong is ever decoded.

::

    bytes   0-7    89 'CEL' 0D 0A 1A 0A: no text file begins so, and a changed line end shows
            8      version of the format, 1
            9      precision b: the counts of a row sum to 2^b
           10-13   number q of classes
           14-21   number n of labels
           22-25   rows m of a block of predictions
           26-41   fingerprint of the model
           42-49   BLAKE2b of the labels, as 64-bit numbers 0 … q - 1
           50-     BLAKE2b, 8 bytes each, of the counts of every block: 32-bit numbers, row by row
                   the payload (`crossent.coding.rans`)
           last 16 BLAKE2b of all bytes before

Numbers are little-endian. Every version ends with the same kind of checksum. It finds damage, not
forgery: whoever can write the file can write its checksum.
"""

import hashlib
import struct
from dataclasses import dataclass

from crossent.coding.exact import check_bytes
from crossent.coding.quantise import MOST_BITS
from crossent.errors import CodeError

__all__ = ["VERSION", "LabelHeader", "block_hash", "labels_hash", "read_header", "write_file"]

VERSION = 1

_MAGIC = b"\x89CEL\r\n\x1a\n"
_FIELDS = struct.Struct("<8sBBIQI16s8s")
_HASH_BYTES = 8
_SEAL_BYTES = 16


@dataclass(frozen=True)
class LabelHeader:
    """What a file of coded labels says about itself.

    Attributes
    ----------
    precision_bits : int
        The counts of a row sum to 2 to this power.
    n_classes, n_labels : int
    block_rows : int
        Rows that are predicted together.
    model : bytes
        The model's `fingerprint`.
    labels : bytes
        Hash of the labels.
    blocks : tuple of bytes
        Hash of each block's counts.
    payload : bytes
        The coded labels themselves.
    """

    precision_bits: int
    n_classes: int
    n_labels: int
    block_rows: int
    model: bytes
    labels: bytes
    blocks: tuple[bytes, ...]
    payload: bytes


def write_file(header: LabelHeader, /) -> bytes:
    """The bytes of a file.

    Examples
    --------
    >>> header = LabelHeader(20, 10, 0, 4096, bytes(16), bytes(8), (), b"abc")
    >>> read_header(write_file(header)) == header
    True
    """
    fields = _FIELDS.pack(
        _MAGIC,
        VERSION,
        header.precision_bits,
        header.n_classes,
        header.n_labels,
        header.block_rows,
        header.model,
        header.labels,
    )
    content = b"".join([fields, *header.blocks, header.payload])
    return content + _hash(content, _SEAL_BYTES)


def read_header(data: bytes, /) -> LabelHeader:
    """What stands in a file of coded labels; nothing is decoded.

    Parameters
    ----------
    data : bytes

    Returns
    -------
    LabelHeader

    Raises
    ------
    CodeError
        The file is of another kind, cut off, altered in any bit, or of another version.
    InputError
        `data` is not bytes.

    Examples
    --------
    >>> read_header(b"5, 3, 8")
    Traceback (most recent call last):
    ...
    crossent.errors.CodeError: this is no file of coded labels: ...
    """
    data = check_bytes(data, "data")
    if not data.startswith(_MAGIC):
        message = (
            "this is no file of coded labels: it does not begin with their mark. Give what "
            "`encode_labels` wrote, copied as bytes and not as text."
        )
        raise CodeError(message)
    content, seal = data[:-_SEAL_BYTES], data[-_SEAL_BYTES:]
    if len(content) < len(_MAGIC) + 1 or _hash(content, _SEAL_BYTES) != seal:
        message = (
            f"the coded labels are damaged or cut off: the {len(data)} bytes do not have the "
            "checksum that they were written with. Copy the file again, or encode again."
        )
        raise CodeError(message)
    version = content[len(_MAGIC)]
    if version != VERSION:
        message = (
            f"the coded labels are in format {version}; this version of crossent reads format "
            f"{VERSION}. Decode them with the version that wrote them."
        )
        raise CodeError(message)
    return _fields(content)


def block_hash(counts: bytes, /) -> bytes:
    """Hash of a block's counts.

    Examples
    --------
    >>> len(block_hash(b"abc"))
    8
    """
    return _hash(counts, _HASH_BYTES)


def labels_hash(labels: bytes, /) -> bytes:
    """Hash of all labels.

    Examples
    --------
    >>> labels_hash(b"abc") == block_hash(b"abc")
    True
    """
    return _hash(labels, _HASH_BYTES)


def _fields(content: bytes) -> LabelHeader:
    """The fields of a file with the right checksum, which only a forger can have got wrong."""
    sizes_agree = False
    if len(content) >= _FIELDS.size:
        _, _, precision, q, n, rows, model, labels = _FIELDS.unpack_from(content)
        sizes_agree = (
            rows > 0
            and precision <= MOST_BITS
            and 0 < q <= 1 << precision
            and _FIELDS.size + _n_blocks(n, rows) * _HASH_BYTES <= len(content)
        )
    if not sizes_agree:
        message = "the header of the coded labels contradicts itself. Encode again."
        raise CodeError(message)
    begin = _FIELDS.size
    payload = begin + _n_blocks(n, rows) * _HASH_BYTES
    blocks = tuple(content[at : at + _HASH_BYTES] for at in range(begin, payload, _HASH_BYTES))
    return LabelHeader(precision, q, n, rows, model, labels, blocks, content[payload:])


def _n_blocks(n: int, rows: int) -> int:
    return -(-n // rows)


def _hash(content: bytes, size: int) -> bytes:
    return hashlib.blake2b(content, digest_size=size).digest()
