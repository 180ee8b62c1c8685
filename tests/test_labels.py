"""Labels coded with a model: lossless, at the promised length, and never decoded wrongly."""

import gzip
import hashlib
import math
import struct
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.datasets import load_digits, load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import crossent
from crossent.coding import compressors, quantise
from crossent.errors import CodeError, InputError
from crossent.labels import code_lengths, fingerprint, read_header, transmission
from crossent.linear_model import SoftmaxRegression

OVERHEAD_BITS = 64


class Table(ClassifierMixin, BaseEstimator):
    """Predicts the probabilities that it was given, row X[i, 0] for row i."""

    def __init__(self, p=None, classes=None):
        self.p = p
        self.classes = classes
        if p is not None:
            self.classes_ = np.arange(len(p[0])) if classes is None else np.array(classes)

    def predict_proba(self, X):
        return np.asarray(self.p)[np.asarray(X)[:, 0].astype(int)]

    def predict_log_proba(self, X):
        with np.errstate(divide="ignore"):
            return np.log(self.predict_proba(X))


def rows_of(n):
    return np.arange(n, dtype=float)[:, None]


@pytest.fixture(scope="module")
def irises():
    X, y = load_iris(return_X_y=True)
    return SoftmaxRegression().fit(X, y), X, y


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(return_X_y=True)
    return SoftmaxRegression(tol=1e-9).fit(X / 16, y), X / 16, y


def test_labels_come_back_at_the_length_of_their_surprisal(digits):
    model, X, y = digits
    counts = quantise(model.predict_proba(X))
    ideal = sum(-math.log2(row[label] / 2**20) for row, label in zip(counts, y, strict=True))

    coded = crossent.encode_labels(model, X, y)

    payload = 8 * len(read_header(coded).payload)
    assert ideal - 32 <= payload <= 1.001 * ideal + OVERHEAD_BITS
    # The optimum's mean -log2 p on these rows is 0.1535500 (scikit-learn's newton-cholesky at
    # tol=1e-12); the counts cost 10/2^20 nats more at most, 0.026 bits for all.
    assert ideal == pytest.approx(1797 * 0.1535500, abs=0.05)
    np.testing.assert_array_equal(crossent.decode_labels(model, X, coded), y)


names = ["setosa", "versicolor", "virginica"]


@pytest.mark.parametrize(
    ("classes", "kind"),
    [(names, "U"), ([3, 1, 2], "i"), ([1.0, 5.0, 2.0], "f"), (["β", "a b", ""], "U")],
)
def test_decoded_labels_are_the_class_names(classes, kind):
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.ones(3), size=40)
    model = Table(p, classes)
    y = np.array(classes)[rng.integers(0, 3, size=40)]

    back = crossent.decode_labels(model, rows_of(40), crossent.encode_labels(model, rows_of(40), y))

    assert back.dtype.kind == kind
    np.testing.assert_array_equal(back, y)


@pytest.mark.parametrize(
    "make_model",
    [
        lambda: SoftmaxRegression(classes=[2, 0, 1]),
        lambda: LogisticRegression(max_iter=1000),
        lambda: make_pipeline(StandardScaler(with_mean=False), SoftmaxRegression()),
        lambda: RandomForestClassifier(5, random_state=0),
    ],
)
@pytest.mark.parametrize("kind", [np.asarray, pd.DataFrame, sp.csr_array, lambda X: X.tolist()])
def test_any_classifier_and_any_rows_serve(make_model, kind):
    X, y = load_iris(return_X_y=True)
    X = np.round(X)
    model = make_model()
    rows = kind(X)
    model.fit(rows, y)

    np.testing.assert_array_equal(
        crossent.decode_labels(model, rows, crossent.encode_labels(model, rows, y)), y
    )


@given(
    q=st.integers(1, 6),
    n=st.integers(0, 60),
    seed=st.integers(0, 2**32),
    sharpness=st.sampled_from([0.01, 1.0, 50.0]),
    bits=st.sampled_from([None, 3, 16, 28]),
)
@settings(deadline=None, max_examples=150)
def test_decoding_gives_back_what_was_encoded(q, n, seed, sharpness, bits):
    rng = np.random.default_rng(seed)
    model = Table(rng.dirichlet(np.full(q, sharpness), size=max(n, 1)))
    y = rng.integers(0, q, size=n)

    coded = crossent.encode_labels(model, rows_of(n), y, precision_bits=bits)

    assert crossent.decode_labels(model, rows_of(n), coded).tolist() == y.tolist()


def test_degenerate_probabilities_cost_what_they_must_and_come_back():
    n = 400
    p = np.tile([1 - 1e-12, 1e-12, 0.0], (n, 1))
    p[::2] = 1 / 3
    y = np.zeros(n, dtype=int)
    y[1], y[3] = 1, 2  # of probability 1e-12, and of none at all
    model = Table(p)

    coded = crossent.encode_labels(model, rows_of(n), y)

    assert crossent.decode_labels(model, rows_of(n), coded).tolist() == y.tolist()
    # 200 thirds, and two counts of 1 out of 2^18.
    expected = 200 * math.log2(3) + 2 * 18
    assert 8 * len(read_header(coded).payload) <= expected + 0.1 + OVERHEAD_BITS


def test_an_absent_class_of_a_softmax_regression_can_be_sent():
    X, y = load_iris(return_X_y=True)
    model = SoftmaxRegression(classes=[0, 1, 2, 3]).fit(X, y)
    y = y.copy()
    y[7] = 3

    coded = crossent.encode_labels(model, X, y)

    np.testing.assert_array_equal(crossent.decode_labels(model, X, coded), y)


def test_an_alphabet_of_65536_classes_is_coded():
    q = 65_536
    p = np.random.default_rng(0).dirichlet(np.full(q, 0.01), size=3)
    model, y = Table(p), np.array([q - 1, 0, 777])

    coded = crossent.encode_labels(model, rows_of(3), y)

    assert crossent.decode_labels(model, rows_of(3), coded).tolist() == y.tolist()
    assert read_header(coded).precision_bits == 28


def test_no_labels_are_a_file_too(irises):
    model, X, _ = irises
    coded = crossent.encode_labels(model, X[:0], [])

    assert crossent.decode_labels(model, X[:0], coded).tolist() == []
    assert len(coded) == 66 + 4


def test_every_flipped_bit_is_noticed(irises):
    model, X, y = irises
    X, y = X[::10], y[::10]
    coded = crossent.encode_labels(model, X, y)
    assert crossent.decode_labels(model, X, coded).tolist() == y.tolist()

    for place in range(8 * len(coded)):
        damaged = bytearray(coded)
        damaged[place // 8] ^= 1 << place % 8
        with pytest.raises(CodeError):
            crossent.decode_labels(model, X, bytes(damaged))


def test_every_truncation_and_every_extension_is_noticed(irises):
    model, X, y = irises
    coded = crossent.encode_labels(model, X, y)

    for end in range(len(coded)):
        with pytest.raises(CodeError):
            crossent.decode_labels(model, X, coded[:end])
        with pytest.raises(CodeError):
            crossent.decode_labels(model, X, coded[end:] + coded[:end] if end else coded + b"\0")


def with_seal(content):
    """What a forger would write, or a mistake in the encoder: the checksum is right."""
    return content + hashlib.blake2b(content, digest_size=16).digest()


def test_a_wrong_payload_with_the_right_checksum_is_not_decoded(irises):
    model, X, y = irises
    content = crossent.encode_labels(model, X, y)[:-16]

    for place in range(8 * (50 + 8), 8 * len(content)):
        damaged = bytearray(content)
        damaged[place // 8] ^= 1 << place % 8
        with pytest.raises(CodeError, match=r"damaged|cut off|hash"):
            crossent.decode_labels(model, X, with_seal(bytes(damaged)))


def test_a_header_that_contradicts_itself_is_refused(irises):
    model, X, y = irises
    content = bytearray(crossent.encode_labels(model, X, y)[:-16])
    none_in_a_block, many, other_version = content.copy(), content.copy(), content.copy()
    none_in_a_block[22:26] = bytes(4)
    many[14:22] = struct.pack("<Q", 2**60)
    other_version[8] = 2
    for bits in (29, 255, 1):  # more than the coder has, and too few for three classes
        precision = content.copy()
        precision[9] = bits
        with pytest.raises(CodeError, match="contradicts itself"):
            read_header(with_seal(bytes(precision)))

    with pytest.raises(CodeError, match="contradicts itself"):
        read_header(with_seal(bytes(none_in_a_block)))
    with pytest.raises(CodeError, match="contradicts itself"):
        read_header(with_seal(bytes(many)))
    with pytest.raises(CodeError, match="contradicts itself"):
        read_header(with_seal(bytes(content[:40])))
    with pytest.raises(CodeError, match="in format 2"):
        read_header(with_seal(bytes(other_version)))
    with pytest.raises(CodeError, match="no file of coded labels"):
        read_header(gzip.compress(b"labels"))


def test_the_file_is_laid_out_as_documented():
    p = np.array([[0.75, 0.25], [0.5, 0.5]])
    coded = crossent.encode_labels(Table(p), rows_of(2), [0, 1], precision_bits=2)
    counts = np.array([[3, 1], [2, 2]], dtype="<u4").tobytes()  # of the free 2: 1.5 + .5, 1 + 1
    x = 2**31 // 2 * 4 + 2 + 2**31 % 2  # push 1 of (2, 2)
    x = x // 3 * 4 + x % 3  # push 0 of (3, 1)

    def hashed(content, size):
        return hashlib.blake2b(content, digest_size=size).digest()

    content = struct.pack("<8sBBIQI", b"\x89CEL\r\n\x1a\n", 1, 2, 2, 2, 16_384)
    content += fingerprint(Table(p)) + hashed(np.array([0, 1], dtype="<i8").tobytes(), 8)
    content += hashed(counts, 8) + x.to_bytes(5, "big")

    assert coded == content + hashed(content, 16)


def test_another_model_is_refused_before_anything_is_decoded(irises):
    model, X, y = irises
    coded = crossent.encode_labels(model, X, y)

    for other in (SoftmaxRegression(C=2.0).fit(X, y), SoftmaxRegression().fit(X, y + 1)):
        with pytest.raises(CodeError, match=r"coded with another model \(fingerprint [0-9a-f]{32}"):
            crossent.decode_labels(other, X, coded)
    with pytest.raises(CodeError, match="3 classes; this one has"):
        crossent.decode_labels(SoftmaxRegression().fit(X, y > 0), X, coded)


def test_other_rows_are_refused(irises):
    model, X, y = irises
    coded = crossent.encode_labels(model, X, y)

    with pytest.raises(CodeError, match="150 labels were coded and X has 149 rows"):
        crossent.decode_labels(model, X[1:], coded)
    with pytest.raises(CodeError, match="rows 0 to 149 are not those"):
        crossent.decode_labels(model, X[::-1], coded)
    moved = X.copy()
    moved[149, 3] += 0.1
    with pytest.raises(CodeError, match="the same model computes differently here"):
        crossent.decode_labels(model, moved, coded)


def test_probabilities_of_another_device_are_refused_if_a_count_differs(monkeypatch):
    p = np.random.default_rng(5).dirichlet(np.ones(10), size=200)
    y = np.random.default_rng(6).integers(0, 10, size=200)
    model = Table(p)
    coded = crossent.encode_labels(model, rows_of(200), y)
    name = fingerprint(model)
    changed = p.copy()
    changed[123] = p[123] * [1 + 2e-6, *[1] * 9]
    changed[123] /= changed[123].sum()
    assert (quantise(changed) != quantise(p)).any()

    monkeypatch.setattr(Table, "predict_proba", lambda _, X: changed[X[:, 0].astype(int)])

    assert fingerprint(Table(p)) == name
    with pytest.raises(CodeError, match="probabilities for rows 0 to 199"):
        crossent.decode_labels(Table(p), rows_of(200), coded)


def test_last_bits_of_a_softmax_rarely_matter(irises):
    # Counts of 18 bits: rounding of 1e-15 reaches one of 450 borders with probability 2e-7.
    model, X, y = irises
    coded = crossent.encode_labels(model, X, y)
    sums_in_another_order = np.asfortranarray(X)

    assert (crossent.decode_labels(model, sums_in_another_order, coded) == y).all()


def test_blocks_have_their_own_hashes_and_share_one_stream(monkeypatch, digits):
    model, X, y = digits
    whole = read_header(crossent.encode_labels(model, X, y))
    monkeypatch.setattr(transmission, "_BLOCK_ROWS", 500)
    coded = crossent.encode_labels(model, X, y)
    monkeypatch.undo()  # the receiver takes the size from the file

    header = read_header(coded)
    assert len(header.blocks) == 4
    assert len(header.payload) == pytest.approx(len(whole.payload), abs=1)
    np.testing.assert_array_equal(crossent.decode_labels(model, X, coded), y)
    moved = X.copy()
    moved[1200] = moved[1201]
    with pytest.raises(CodeError, match="rows 1000 to 1499"):
        crossent.decode_labels(model, moved, coded)


def test_large_files_use_the_compiled_coder_and_give_the_same_bytes(monkeypatch):
    rng = np.random.default_rng(1)
    p = rng.dirichlet(np.ones(5), size=1000)
    X = rng.integers(0, 1000, size=(70_000, 1)).astype(float)
    y = rng.integers(0, 5, size=70_000)
    compiled = crossent.encode_labels(Table(p), X, y)

    np.testing.assert_array_equal(crossent.decode_labels(Table(p), X, compiled), y)
    monkeypatch.setattr(transmission, "is_worth_compiling", lambda *_: False)
    assert crossent.encode_labels(Table(p), X, y) == compiled


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda m, X, y: crossent.encode_labels(m, X, y[1:]), "X has 150 rows and y has 149"),
        (lambda m, X, y: crossent.encode_labels(m, X, y + 1), "the class 3 in row 100"),
        (lambda m, X, y: crossent.encode_labels(m, X, np.eye(3)[y]), "y holds distributions"),
        (
            lambda m, X, y: crossent.encode_labels(m, X, y, precision_bits=1),
            "`precision_bits` is 1",
        ),
        (lambda _, X, y: crossent.encode_labels(Ridge().fit(X, y), X, y), "a Ridge cannot code"),
        (lambda _, X, y: crossent.encode_labels(SoftmaxRegression(), X, y), "fitted classifier"),
        (lambda m, X, _: crossent.decode_labels(m, X, "abc"), "`data` is a str; it must be bytes"),
        (lambda m, X, _: crossent.decode_labels(m, X, 10**15), "`data` is a int; it must be"),
        (lambda *_: read_header(None), "`data` is a NoneType; it must be bytes"),
    ],
)
def test_what_cannot_be_used_is_refused_with_its_value(irises, call, words):
    with pytest.raises(InputError, match=words):
        call(*irises)


@pytest.mark.parametrize("shape", [(4, 2), (4, 4), (1, 3), (3, 4), (12,)])
def test_probabilities_of_another_shape_than_rows_and_classes_are_refused(shape):
    class Wrong(Table):
        def predict_proba(self, _):
            return np.full(shape, 1 / shape[-1])

    model = Wrong(np.eye(3))
    with pytest.raises(InputError, match="4 rows and 3 classes have shape"):
        crossent.encode_labels(model, rows_of(4), [0, 1, 1, 0])


def test_a_models_own_nan_is_refused():
    with pytest.raises(InputError, match=r"entry \(0, 1\) is nan"):
        crossent.encode_labels(Table(np.array([[1.0, math.nan]])), rows_of(1), [0])


# Fingerprints


def test_a_fingerprint_survives_saving_and_what_has_no_effect(tmp_path, irises):
    model, X, y = irises
    crossent.save(model, tmp_path / "m.skops")
    scaled = make_pipeline(StandardScaler(), SoftmaxRegression()).fit(X, y)
    crossent.save(scaled, tmp_path / "p.skops")

    assert fingerprint(crossent.load(tmp_path / "m.skops")) == fingerprint(model)
    assert fingerprint(crossent.load(tmp_path / "p.skops")) == fingerprint(scaled)
    assert fingerprint(SoftmaxRegression(n_threads=1, verbose=0).fit(X, y)) == fingerprint(model)
    forest = RandomForestClassifier(3, random_state=0).fit(X, y)
    again = RandomForestClassifier(3, random_state=0, n_jobs=2).fit(X, y)
    assert fingerprint(forest) == fingerprint(again)


def test_a_fingerprint_is_the_same_in_another_process(irises):
    code = (
        "from sklearn.datasets import load_iris; from sklearn.ensemble import *;"
        "from crossent.labels import fingerprint;"
        "X, y = load_iris(return_X_y=True);"
        "print(fingerprint(RandomForestClassifier(3, random_state=0).fit(X, y)).hex())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    forest = RandomForestClassifier(3, random_state=0).fit(*load_iris(return_X_y=True))

    assert done.stdout.strip() == fingerprint(forest).hex()


def test_a_fingerprint_changes_with_anything_that_predictions_need(irises):
    model, X, y = irises
    found = {fingerprint(model)}
    for change in ("coef_", "intercept_"):
        other = SoftmaxRegression().fit(X, y)
        values = getattr(other, change).copy()
        values.flat[0] = np.nextafter(values.flat[0], 9)
        setattr(other, change, values)
        found.add(fingerprint(other))
    renamed = SoftmaxRegression().fit(X, np.array(names)[y])
    found.add(fingerprint(renamed))
    found.add(fingerprint(make_pipeline(StandardScaler(), SoftmaxRegression()).fit(X, y)))
    for seed in (0, 1):
        found.add(fingerprint(RandomForestClassifier(3, random_state=seed).fit(X, y)))
        found.add(fingerprint(make_pipeline(StandardScaler(with_mean=bool(seed)), model)))

    assert len(found) == 9


def test_values_that_read_alike_have_other_fingerprints():
    alike = [1, 1.0, True, "1", b"1", [1], (1,), {1: None}, {"1": None}, np.int64(1), np.float32(1)]
    alike += [np.array([1, 2]), np.array([[1, 2]]), np.array([1.0, 2.0]), [1, 2], ["a", "b"]]
    alike += [["ab"], [["a"], "b"], None, np.array(["1"], dtype=object), {}, {"a": {}}, [{}, "a"]]
    alike += [sp.csr_array([[1]]), sp.csc_array([[1]]), sp.csr_array([[0]]), int, len, fingerprint]

    assert len({fingerprint(value) for value in alike}) == len(alike)


def test_the_order_of_a_dictionary_does_not_matter():
    assert fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1})
    assert fingerprint({"a", "b", "c"}) == fingerprint({"c", "b", "a"})


def test_a_model_that_holds_itself_is_refused():
    endless = []
    endless.append(endless)
    with pytest.raises(InputError, match="holds itself"):
        fingerprint(endless)


# The table


def test_code_lengths_are_those_of_each_way(digits):
    model, X, y = digits
    found = code_lengths(model, X, y)
    coded = crossent.encode_labels(model, X, y)
    frequencies = np.bincount(y) / len(y)

    assert (found.n_labels, found.n_classes) == (1797, 10)
    assert found.wire_bits == 8 * len(coded)
    assert found.payload_bits == 8 * len(read_header(coded).payload)
    # Sums of 1797 terms in another order; the model's own surprisal in nats.
    assert found.model_bits == pytest.approx(model.surprisal(X, y).sum() / math.log(2), rel=1e-11)
    assert found.model_bits <= found.rounded_bits <= found.model_bits + 1797 * 1.5e-5
    by_hand = -1797 * sum(f * math.log2(f) for f in frequencies)
    assert found.frequency_bits == pytest.approx(by_hand, rel=1e-12)
    assert found.frequency_bits / 1797 == pytest.approx(3.3217754, abs=1e-7)
    assert found.fixed_bits == 4 * 1797
    assert found.zstd_bits is not None
    file = bytes(y.tolist())  # a byte a label
    assert found.gzip_bits == 8 * len(gzip.compress(file, 9))
    assert found.zstd_bits == 8 * len(compressors.zstd_bytes(file))


def test_the_rows_of_the_table_hold_bits_and_bits_a_label(digits):
    model, X, y = digits
    found = code_lengths(model, X, y)
    rows = {name: (bits, each) for name, bits, each in found.rows()}

    assert rows["on the wire"] == (found.wire_bits, found.wire_bits / 1797)
    assert rows["fixed length"] == (4 * 1797, 4.0)
    assert list(rows)[2] == "mean -log₂ p of the model"


def test_compressors_make_what_their_programs_read():
    labels = np.random.default_rng(0).integers(0, 10, size=1000).astype(np.uint8).tobytes()

    assert gzip.decompress(compressors.gzip_bytes(labels)) == labels
    coded = compressors.zstd_bytes(labels)
    assert coded.startswith(b"\x28\xb5\x2f\xfd")  # RFC 8878, section 3.1.1
    assert compressors._zstd().decompress(coded) == labels
    known = compressors.zstd_bytes(labels, dictionary=labels)
    assert len(known) < 60 < len(coded)
    assert (
        compressors._zstd().decompress(
            known, zstd_dict=compressors._zstd().ZstdDict(labels, is_raw=True).as_prefix
        )
        == labels
    )


def test_without_zstd_there_is_no_number_for_it(monkeypatch, irises):
    monkeypatch.setattr(compressors, "_zstd", lambda: None)

    found = code_lengths(*irises)

    assert found.zstd_bits is None
    assert found.rows()[-1] == ("zstd -19 of the label file", None, None)


def test_a_label_of_probability_zero_costs_infinitely_much_but_not_on_the_wire():
    found = code_lengths(Table(np.array([[1.0, 0.0]])), rows_of(1), [1])

    assert found.model_bits == math.inf
    assert found.payload_bits <= 17 + 39


def test_lengths_of_no_labels_are_zero(irises):
    model, X, _ = irises
    found = code_lengths(model, X[:0], [])

    assert (found.model_bits, found.frequency_bits, found.fixed_bits) == (0, 0, 0)
    assert found.rows()[0] == ("on the wire", 8 * 70, None)
