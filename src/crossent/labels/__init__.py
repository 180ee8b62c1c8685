"""Labels sent with a model: as many bits as its cross-entropy says.

Sender and receiver have the same model and the same rows X. The sender codes each row's class with
the probabilities that the model gives it, -log₂ p bits; the receiver asks the same model and
decodes. What is predicted well costs next to nothing.
"""

from crossent.labels.container import LabelHeader, read_header
from crossent.labels.fingerprint import fingerprint
from crossent.labels.lengths import CodeLengths, code_lengths
from crossent.labels.transmission import decode_labels, encode_labels

__all__ = [
    "CodeLengths",
    "LabelHeader",
    "code_lengths",
    "decode_labels",
    "encode_labels",
    "fingerprint",
    "read_header",
]
