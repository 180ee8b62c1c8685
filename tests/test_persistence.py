"""Model files: what goes in comes out to the bit, and nothing else is let in."""

import copy
import enum
import hashlib
import io
import json
import math
import os
import pickle
import stat
import threading
import zipfile
from pathlib import Path

import joblib
import numpy as np
import pytest
import scipy.sparse
import skops.io
from sklearn.base import BaseEstimator, clone
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

import crossent
from crossent.certificate import Certificate, Status, TracePoint
from crossent.errors import InputError, ModelFileError
from crossent.linear_model import SoftmaxRegression
from crossent.persistence import check_writable, load, model_file, save, write_atomically
from crossent.persistence.likeness import difference

X, Y = load_iris(return_X_y=True)


def stand_in(classes=None):
    """A small fitted estimator that carries everything a SoftmaxRegression may carry."""
    model = LogisticRegression()
    model.classes_ = np.array([0, 1, 2]) if classes is None else classes
    q = len(model.classes_)
    # A quiet NaN with a payload, a negative zero and a denormal: bits that careless writing loses.
    odd = np.array([0x7FF8_0000_0000_1234, 0x8000_0000_0000_0000, 1], np.uint64).view(np.float64)
    model.coef_ = np.asfortranarray(np.outer(np.arange(1, q + 1), [0.1, 1 / 3, math.pi]))
    model.coef_[0] = odd
    model.intercept_ = np.array([-math.inf, *np.linspace(0, 1, q - 1)])
    model.n_features_in_ = 3
    model.single_ = np.float32(0.1)
    model.certificate_ = Certificate(
        "stationary", 0.25, math.nan, math.inf, 5e-324, passes=7, status=Status.SEPARABLE
    )
    model.trace_ = [TracePoint(1, 0.5, 2.0, math.nan, 1e300), TracePoint(2, 1.5, 1.0, 0.1, 0.0)]
    model.absent_classes_ = np.array([], dtype=model.classes_.dtype)
    model.separable_ = None
    return model


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.skops"


@pytest.fixture
def saved(path):
    save(stand_in(), path)
    return path.read_bytes()


def there_and_back(model, path):
    save(model, path)
    return load(path)


def assert_same(found, expected):
    """Equal in type and to the bit, through containers, records and estimators."""
    assert type(found) is type(expected)
    if isinstance(expected, np.ndarray | np.generic):
        assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
        if expected.dtype == object:
            assert_same(found.tolist(), expected.tolist())
        else:
            assert found.tobytes() == expected.tobytes()
    elif isinstance(expected, list | tuple):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            assert_same(one, other)
    elif isinstance(expected, dict):
        assert_same(list(found), list(expected))
        assert_same(list(found.values()), list(expected.values()))
    elif isinstance(expected, Status) or expected is None:
        assert found is expected
    elif isinstance(expected, float) and math.isnan(expected):
        assert math.isnan(found)
    elif hasattr(expected, "__dict__") and not isinstance(expected, type):
        assert_same(vars(found), vars(expected))
    else:
        assert found == expected


def test_every_attribute_comes_back_to_the_bit(path):
    model = stand_in()

    assert_same(there_and_back(model, path), model)


@pytest.mark.parametrize(
    "classes",
    [
        np.array(["b", "a", "ü\U0001f34e"]),
        np.array(["b", "a", "c"], dtype=object),
        np.array([3, -1, 2], dtype=np.int8),
        np.array([2**40, -(2**62), 0]),
        np.array([255, 0, 7], dtype=np.uint8),
        np.array([True, False]),
        np.array([0.5, -0.0, 1e-300]),
        np.array([1, 2, 3], dtype=">i4"),
        np.array([b"x", b"yy"]),
        np.array([4, "four", 4.0], dtype=object),
    ],
    ids=lambda classes: str(classes.dtype),
)
def test_classes_of_any_dtype_keep_dtype_and_order(path, classes):
    found = there_and_back(stand_in(classes), path)

    assert_same(found.classes_, classes)
    assert_same(found.absent_classes_, classes[:0])


@pytest.mark.parametrize("status", Status)
def test_every_status_comes_back_as_the_member_itself(path, status):
    model = stand_in()
    model.certificate_ = Certificate("gap", 1.0, 1e-9, 1e-9, 1e-5, status=status)

    found = there_and_back(model, path)

    assert_same(found.certificate_, model.certificate_)
    assert found.certificate_.status is status


def test_a_status_is_in_the_file_by_name_so_that_its_sentence_may_be_reworded(path):
    save(stand_in(), path)

    with zipfile.ZipFile(path) as members:
        schema = members.read("schema.json").decode()

    assert "SEPARABLE" in schema
    assert Status.SEPARABLE.value[:20] not in schema


def test_a_pipeline_and_a_searched_model_predict_the_same_after_loading(path):
    pipeline = make_pipeline(StandardScaler(), LogisticRegression(max_iter=500)).fit(X, Y)
    search = GridSearchCV(pipeline, {"logisticregression__C": [0.1, 1.0]}, cv=3).fit(X, Y)

    for model in (pipeline, search.best_estimator_):
        found = there_and_back(model, path)
        np.testing.assert_array_equal(found.predict_proba(X), model.predict_proba(X))
        np.testing.assert_array_equal(found[0].scale_, model[0].scale_)


FRUIT = np.array(["apple", "fig", "pear"])


def distributions():
    targets = np.full((len(Y), 3), 0.05)
    targets[np.arange(len(Y)), Y] = 0.9
    return targets


def frame():
    pandas = pytest.importorskip("pandas")
    return pandas.DataFrame(X, columns=["sepal length", "sepal width", "petal length", "ü"])


# Fitted models that between them have every kind of fitted value.
FITS = {
    "labels": lambda: SoftmaxRegression().fit(X, Y),
    "names": lambda: SoftmaxRegression(class_weight={"fig": 2.0, "pear": 0.5}).fit(X, FRUIT[Y]),
    "objects": lambda: SoftmaxRegression().fit(X, FRUIT.astype(object)[Y]),
    "two classes": lambda: SoftmaxRegression(fit_intercept=False).fit(X, Y == 1),
    "distributions": lambda: SoftmaxRegression(C=np.inf).fit(X, distributions()),
    "frame": lambda: SoftmaxRegression(random_state=3).fit(frame(), Y),
    "absent class": lambda: SoftmaxRegression(classes=[0, 1, 2, 7]).fit(X.astype(np.float32), Y),
}


@pytest.mark.parametrize("fit", FITS.values(), ids=FITS.keys())
def test_a_softmax_regression_comes_back_to_the_bit_and_predicts_the_same(path, fit):
    model = fit()

    found = there_and_back(model, path)

    assert_same(found, model)
    assert found.schema_.dtypes == model.schema_.dtypes
    assert found.certificate_.status is model.certificate_.status
    rows = frame() if hasattr(model, "feature_names_in_") else X.astype(model.schema_.dtypes[0])
    np.testing.assert_array_equal(found.predict_proba(rows), model.predict_proba(rows))
    np.testing.assert_array_equal(found.predict(rows), model.predict(rows))


def test_a_pipeline_with_a_softmax_regression_comes_back(path):
    pipeline = make_pipeline(StandardScaler(), SoftmaxRegression()).fit(X, FRUIT[Y])
    search = GridSearchCV(pipeline, {"softmaxregression__C": [0.1, 1.0]}, cv=3).fit(X, FRUIT[Y])

    for model in (pipeline, search.best_estimator_):
        found = there_and_back(model, path)
        assert_same(found[-1], model[-1])
        np.testing.assert_array_equal(found.predict_proba(X), model.predict_proba(X))


def test_a_loaded_model_can_be_cloned_copied_and_fitted_again(path):
    model = SoftmaxRegression(C=0.1, class_weight={0: 2.0}).fit(X, Y)

    found = there_and_back(model, path)

    assert_same(clone(found).get_params(), model.get_params())
    assert_same(copy.deepcopy(found), model)
    assert_same(pickle.loads(pickle.dumps(found)), model)
    np.testing.assert_array_equal(clone(found).fit(X, Y).coef_, model.coef_)


def test_the_same_names_are_offered_at_the_top_of_the_package():
    assert crossent.save is save
    assert crossent.load is load


# Damage


def test_every_single_flipped_bit_is_refused(saved, path):
    for bit in range(8 * len(saved)):
        data = bytearray(saved)
        data[bit // 8] ^= 1 << bit % 8
        with pytest.raises(ModelFileError):
            model_file._opened(bytes(data), path)


def test_every_truncation_is_refused(saved, path):
    for length in range(len(saved)):
        with pytest.raises(ModelFileError):
            model_file._opened(saved[:length], path)


def test_bytes_added_removed_or_exchanged_anywhere_are_refused(saved, path):
    rng = np.random.default_rng(5)
    for place in rng.integers(0, len(saved), 300):
        for data in (
            saved[:place] + b"\x00" + saved[place:],
            saved[:place] + saved[place + 1 :],
            saved + saved[:place],
        ):
            with pytest.raises(ModelFileError):
                model_file._opened(data, path)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda _: b"", ["empty", "0 bytes"]),
        (lambda data: data[:-1], ["damaged", "Copy it again"]),
        (lambda data: data[: len(data) // 2], ["truncated", "Copy it again"]),
        (lambda data: data[:200] + b"\xff" + data[201:], ["damaged", "SHA-256"]),
        (lambda data: data[:-64] + data[-64:].upper(), ["damaged", "SHA-256"]),
        (lambda data: data.replace(b"crossent sha256", b"CROSSENT sha256"), ["seal"]),
    ],
)
def test_a_damaged_file_is_an_error_that_names_it_and_the_remedy(saved, path, damage, words):
    path.write_bytes(damage(saved))

    with pytest.raises(ModelFileError) as caught:
        load(path)

    for word in [str(path), *words]:
        assert word in str(caught.value)


def test_damage_under_a_correct_seal_is_an_error_of_ours_or_harmless(saved, path):
    # What a faulty program that seals would write. A flip may hit a time that nobody reads.
    rng = np.random.default_rng(7)
    refused = 0
    for bit in rng.choice(8 * (len(saved) - 80), 600, replace=False):
        data = bytearray(saved[:-64])
        data[bit // 8] ^= 1 << bit % 8
        try:
            assert_same(model_file._opened(model_file._with_digest(bytes(data)), path), stand_in())
        except ModelFileError:
            refused += 1

    assert refused > 300


# What is not ours


def resealed(data, *, header=None, member=None):
    """A file with members exchanged and a correct seal: what a forger or a later version writes."""
    buffer = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(data)) as old,
        zipfile.ZipFile(buffer, "w") as new,
    ):
        for name in old.namelist():
            content = old.read(name)
            if name == "crossent.json" and header is not None:
                content = header
            if member is not None and name == member[0]:
                content = member[1]
            if content:
                new.writestr(name, content)
        new.comment = b"crossent sha256 " + b"0" * 64
    content = buffer.getvalue()[:-64]
    return content + hashlib.sha256(content).hexdigest().encode()


def test_resealing_alone_changes_nothing(saved, path):
    path.write_bytes(resealed(saved))

    assert_same(load(path), stand_in())


def test_another_format_is_refused_with_the_version_that_wrote_it(saved, path):
    path.write_bytes(
        resealed(saved, header=json.dumps({"format": 2, "crossent": "9.8.7"}).encode())
    )

    with pytest.raises(ModelFileError, match=r"crossent 9\.8\.7 in format 2.*reads format 1") as e:
        load(path)

    assert str(path) in str(e.value)
    assert "Use crossent 9.8.7" in str(e.value)


@pytest.mark.parametrize("header", [b"", b"{", b"[]", b"{}", b"\xff", b'{"format": 1}'])
def test_a_header_that_says_nothing_is_refused(saved, path, header):
    path.write_bytes(resealed(saved, header=header))

    with pytest.raises(ModelFileError, match="no readable header"):
        load(path)


def test_the_header_says_what_wrote_the_file(path):
    save(stand_in(), path)

    with zipfile.ZipFile(path) as members:
        header = json.loads(members.read("crossent.json"))
        assert members.testzip() is None

    assert header["format"] == 1
    assert header["crossent"] == crossent.__version__
    assert header["model"] == "sklearn.linear_model._logistic.LogisticRegression"
    assert header["libraries"]["numpy"] == np.__version__


class Tripwire:
    """An object that leaves a mark if anything ever rebuilds it."""

    sprung: list[str] = []

    def __reduce__(self):
        return (Tripwire.sprung.append, ("rebuilt",))

    def __setstate__(self, state):
        Tripwire.sprung.append("state set")


@pytest.mark.parametrize(
    "dump",
    [
        lambda model, path: path.write_bytes(pickle.dumps(model)),
        lambda model, path: path.write_bytes(pickle.dumps(model, protocol=2)),
        lambda model, path: joblib.dump(model, path),
    ],
    ids=["pickle", "pickle protocol 2", "joblib"],
)
def test_a_pickle_is_refused_as_one_and_never_opened(path, dump):
    dump(Tripwire(), path)

    with pytest.raises(ModelFileError, match=r"pickle.*runs whatever code") as caught:
        load(path)

    assert str(path) in str(caught.value)
    assert Tripwire.sprung == []


def numpy_archive():
    buffer = io.BytesIO()
    np.savez(buffer, a=np.ones(3))
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("write", "words"),
    [
        (lambda path: joblib.dump(Tripwire(), path, compress=3), "not a model file"),
        (lambda path: path.write_bytes(pickle.dumps(Tripwire(), protocol=0)), "not a model file"),
        (lambda path: path.write_text("<html>"), "begins with the bytes 3c 68 74 6d 6c 3e"),
        (lambda path: skops.io.dump(stand_in(), path), "a skops file, but not one"),
        (lambda path: path.write_bytes(numpy_archive()), "a zip archive, but not a model"),
    ],
    ids=["compressed joblib", "old pickle", "web page", "skops", "npz"],
)
def test_a_foreign_file_is_refused_for_what_it_is(path, write, words):
    write(path)

    with pytest.raises(ModelFileError, match=words) as caught:
        load(path)

    assert "crossent.save" in str(caught.value)
    assert Tripwire.sprung == []


def test_a_missing_file_is_a_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nothing\.skops"):
        load(tmp_path / "nothing.skops")


class Foreign(BaseEstimator):
    """An estimator that is not on the list."""

    def __setstate__(self, state):
        Tripwire.sprung.append("state set")


def test_a_sealed_file_with_foreign_types_is_refused_before_anything_is_built(path):
    model = stand_in()
    model.extra_ = Foreign()
    model.function_ = os.system
    # What a forger has: skops, and the rule of the seal.
    path.write_bytes(model_file._sealed(skops.io.dumps(model), model_file._header(model)))

    with pytest.raises(ModelFileError, match="not trusted") as caught:
        load(path)

    assert "test_persistence.Foreign" in str(caught.value)
    assert "posix.system" in str(caught.value)
    assert "LogisticRegression" not in str(caught.value)
    assert Tripwire.sprung == []


@pytest.mark.parametrize("schema", [b"", b"{}", b"[1]", b"\x00", b'{"protocol": 99}'])
def test_a_sealed_file_that_makes_no_sense_is_refused(saved, path, schema):
    path.write_bytes(resealed(saved, member=("schema.json", schema)))

    with pytest.raises(ModelFileError, match="cannot be rebuilt"):
        load(path)


def test_a_status_of_a_later_version_is_refused_and_named(saved, path):
    with zipfile.ZipFile(io.BytesIO(saved)) as members:
        schema = members.read("schema.json").replace(b"SEPARABLE", b"BORED")
    path.write_bytes(resealed(saved, member=("schema.json", schema)))

    with pytest.raises(ModelFileError, match=r"KeyError: 'BORED'.*Use crossent"):
        load(path)


def test_the_names_that_are_trusted_are_names_of_ours():
    for name in model_file.TRUSTED:
        module, _, kind = name.rpartition(".")
        found = getattr(__import__(module, fromlist=[kind]), kind)
        assert f"{found.__module__}.{found.__qualname__}" == name


# Saving


def own_function(values):
    return values


@pytest.mark.parametrize(
    ("attribute", "name"),
    [(own_function, "own_function"), (Foreign(), "Foreign"), (os.system, "posix.system")],
)
def test_what_could_not_be_loaded_is_not_saved(path, attribute, name):
    model = stand_in()
    model.extra_ = attribute

    with pytest.raises(InputError, match=f"not trusted.*{name}"):
        save(model, path)

    assert not path.exists()


def test_a_pipeline_with_a_function_of_ones_own_is_refused_by_its_name(path):
    pipeline = make_pipeline(FunctionTransformer(own_function), StandardScaler())

    with pytest.raises(InputError, match="own_function"):
        save(pipeline, path)


@pytest.mark.parametrize("extra", [threading.Lock(), iter([]), np.array([(1, object())], "i,O")])
def test_what_skops_cannot_write_is_refused(path, extra):
    model = stand_in()
    model.extra_ = extra

    with pytest.raises(InputError, match="LogisticRegression holds"):
        save(model, path)

    assert list(path.parent.iterdir()) == []


@pytest.mark.parametrize("thing", [{"coef_": 1}, np.ones(3), LogisticRegression, None])
def test_only_estimators_are_saved(path, thing):
    with pytest.raises(InputError, match=f"a {type(thing).__name__} cannot be saved"):
        save(thing, path)


class Slotted:
    __slots__ = ("value",)

    def __init__(self, value):
        self.value = value


class Colour(enum.StrEnum):
    RED = "red"


@pytest.mark.parametrize(
    ("value", "place"),
    [
        ({False: 1.0, True: 2.0}, "extra_"),
        ({1: "one", "1": "text"}, "extra_"),
        ({"deep": [0, {"colour": Colour.RED}]}, r"extra_\['deep'\]\[1\]\['colour'\]"),
        ([1, Colour.RED], r"extra_\[1\]"),
    ],
)
def test_what_skops_would_change_in_silence_is_refused_by_its_place(path, value, place):
    model = stand_in()
    model.extra_ = value

    with pytest.raises(InputError, match=f"LogisticRegression.{place} would not come back"):
        save(model, path)

    assert not path.exists()


@pytest.mark.parametrize(
    ("one", "other", "place"),
    [
        (1, 1.0, "m"),
        (0.0, -0.0, "m"),
        (1, True, "m"),
        ((1, 2), (1, 3), "m[1]"),
        ((1, 2), [1, 2], "m"),
        ("a", np.str_("a"), "m"),
        (Slotted(1), Slotted(2), "m[1]['value']"),
        ((1, 2), (1, 2, 3), "m"),
        ({"a": 1}, {"b": 1}, "m"),
        ({1: 1}, {"1": 1}, "m"),
        (np.float32(1), np.float64(1), "m"),
        (np.array([1.0, 2.0]), np.array([1.0, np.nextafter(2, 3)]), "m"),
        (np.ones((2, 1)), np.ones((1, 2)), "m"),
        (np.zeros(2, np.int64), np.zeros(2, np.float64), "m"),
        (np.ones(2, ">f8"), np.ones(2, "<f8"), "m"),
        (np.array(["a", 1], object), np.array(["a", "1"], object), "m.values[1]"),
        (np.array([[None]]), np.array([None]), "m.shape"),
        (scipy.sparse.eye_array(2).tocsr(), 2 * scipy.sparse.eye_array(2).tocsr(), "m.values"),
        (scipy.sparse.csr_array([[1, 0]]), scipy.sparse.csr_array([[0, 1]]), "m.coords[1]"),
        ({1, 2}, {1, 3}, "m"),
        (slice(1, 2), slice(1, 3), "m"),
        (int, float, "m"),
        (os.getcwd, os.getpid, "m"),
        (TracePoint(1, 2.0, 3.0, 4.0, 5.0), TracePoint(1, 2.0, 3.5, 4.0, 5.0), "m.objective"),
        (LogisticRegression(C=1.0), LogisticRegression(C=2.0), "m.C"),
        (np.random.RandomState(1), np.random.RandomState(2), "m.state['key']"),
    ],
)
def test_likeness_sees_every_difference_and_only_those(one, other, place):
    assert difference(one, copy.deepcopy(one), "m") is None
    assert difference(other, copy.deepcopy(other), "m") is None
    assert difference(other, one, "m") == difference(one, other, "m")
    assert difference(one, other, "m") == place


def test_callbacks_are_left_out_and_stay_with_the_model(path):
    model = stand_in()
    model._skl_callbacks = [Foreign()]

    found = there_and_back(model, path)

    assert not hasattr(found, "_skl_callbacks")
    assert len(model._skl_callbacks) == 1
    assert_same(found.coef_, model.coef_)


# Writing


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("mask", [0o022, 0o077, 0o002])
def test_a_new_file_has_the_permissions_of_the_umask(path, mask):
    before = os.umask(mask)
    try:
        write_atomically(path, b"data")
    finally:
        os.umask(before)

    assert mode(path) == 0o666 & ~mask


def test_a_replaced_file_keeps_its_permissions_and_a_link_its_target(path, tmp_path):
    path.write_bytes(b"old")
    path.chmod(0o640)
    link = tmp_path / "link"
    link.symlink_to(path.name)

    write_atomically(link, b"new")

    assert link.is_symlink()
    assert path.read_bytes() == b"new"
    assert mode(path) == 0o640


@pytest.mark.parametrize("step", ["fsync", "replace"])
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_failure_leaves_the_old_file_and_nothing_else(path, monkeypatch, step, error):
    path.write_bytes(b"old")

    def fail(*arguments, **options):
        raise error

    monkeypatch.setattr(os if step == "fsync" else Path, step, fail)
    with pytest.raises(type(error)):
        write_atomically(path, b"new")

    assert path.read_bytes() == b"old"
    assert list(path.parent.iterdir()) == [path]


def test_the_data_are_on_the_disk_before_the_name_is(path, monkeypatch):
    steps = []
    sync, replace = os.fsync, Path.replace
    monkeypatch.setattr(os, "fsync", lambda file: (steps.append("sync"), sync(file))[1])
    monkeypatch.setattr(
        Path, "replace", lambda *paths: (steps.append("rename"), replace(*paths))[1]
    )

    write_atomically(path, b"new")

    assert steps == ["sync", "rename", "sync"]  # the file, its name, the folder


@pytest.mark.parametrize("function", [check_writable, lambda path: save(stand_in(), path)])
def test_a_place_that_cannot_be_written_is_an_error_that_names_it(tmp_path, function):
    with pytest.raises(FileNotFoundError, match=r"m\.skops: the folder '.*none' does not exist"):
        function(tmp_path / "none" / "m.skops")
    with pytest.raises(InputError, match="is a folder"):
        function(tmp_path)
    with pytest.raises(InputError, match="not a regular file"):
        function("/dev/null")
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_without_permission_names_the_file_that_was_asked_for(path, monkeypatch):
    # Root may write anywhere, so the system's refusal is played.
    def refuse(name, *arguments):
        raise PermissionError(13, "Permission denied", str(name))

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(PermissionError) as caught:
        check_writable(path)

    assert caught.value.filename == str(path)
    assert caught.value.errno == 13


def test_checking_a_place_leaves_no_trace(path):
    check_writable(path)
    assert list(path.parent.iterdir()) == []

    path.write_bytes(b"old")
    check_writable(path)
    assert path.read_bytes() == b"old"
    assert list(path.parent.iterdir()) == [path]
