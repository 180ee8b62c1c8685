"""Fetching, from a web server of this machine in place of the published addresses."""

import builtins
import gzip
import hashlib
import http.server
import threading

import numpy as np
import pytest

from crossent import datasets
from crossent.datasets import fetch, images
from crossent.errors import DatasetError

pooch = pytest.importorskip("pooch")

LABELS = bytes([0, 0, 8, 1, 0, 0, 0, 3, 7, 1, 2])
PICTURES = bytes([0, 0, 8, 3, 0, 0, 0, 3, 0, 0, 0, 1, 0, 0, 0, 2, 0, 51, 102, 153, 204, 255])
CONTENT = {file: PICTURES if "images" in file else LABELS for file in images.FILES}
SHA256 = {file: hashlib.sha256(data).hexdigest() for file, data in CONTENT.items()}


class Server:
    """Serves a dictionary of files and keeps a list of what was asked for."""

    def __init__(self, files):
        self.files = files
        self.asked = []
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                server.asked.append(self.path)
                data = server.files.get(self.path.rpartition("/")[2])
                self.send_response(404 if data is None else 200)
                self.send_header("Content-Length", str(len(data or b"")))
                self.end_headers()
                self.wfile.write(data or b"")

            def log_message(self, *arguments):
                pass

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}/"
        self.thread = threading.Thread(
            target=self.http.serve_forever, kwargs={"poll_interval": 0.01}
        )
        self.thread.start()

    def stop(self):
        self.http.shutdown()
        self.http.server_close()
        self.thread.join()


@pytest.fixture
def server(monkeypatch):
    monkeypatch.delenv("CROSSENT_DATA", raising=False)
    for variable in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    server = Server({f"{file}.gz": gzip.compress(data) for file, data in CONTENT.items()})
    publish(monkeypatch, server.url)
    yield server
    server.stop()


def publish(monkeypatch, *mirrors):
    publication = images.Publication(mirrors=mirrors, sha256=SHA256)
    monkeypatch.setitem(images.PUBLICATIONS, "mnist", publication)


def assert_loaded(found):
    # 51 is a fifth of 255.
    expected = np.array([[0, 0.2], [0.4, 0.6], [0.8, 1]], np.float32)
    np.testing.assert_array_equal(found.X_train, expected, strict=True)
    assert found.y_train.tolist() == [7, 1, 2]


def test_files_are_fetched_once_and_then_read_from_the_cache(server, tmp_path):
    assert_loaded(datasets.load("mnist", data_home=tmp_path))
    assert sorted(server.asked) == sorted(f"/{file}.gz" for file in images.FILES)
    cached = sorted(path.name for path in (tmp_path / "mnist").iterdir())
    assert cached == sorted(f"{file}.gz" for file in images.FILES)

    server.asked.clear()
    assert_loaded(datasets.load("mnist", data_home=tmp_path))
    assert server.asked == []


def test_the_default_cache_is_the_users_and_needs_no_option(server, tmp_path, monkeypatch):
    monkeypatch.setattr(pooch, "os_cache", lambda project: tmp_path / "cache" / project)

    assert_loaded(datasets.load("mnist"))

    assert len(list((tmp_path / "cache" / "crossent" / "mnist").iterdir())) == 4


def test_a_data_set_that_crossent_data_lacks_is_fetched(server, tmp_path, monkeypatch):
    (tmp_path / "data").mkdir()
    monkeypatch.setenv("CROSSENT_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(pooch, "os_cache", lambda project: tmp_path / "cache" / project)

    assert_loaded(datasets.load("mnist"))


def test_a_given_data_home_stands_before_crossent_data(server, tmp_path, monkeypatch):
    (tmp_path / "data" / "mnist").mkdir(parents=True)  # would be an error: its files are missing
    monkeypatch.setenv("CROSSENT_DATA", str(tmp_path / "data"))

    assert_loaded(datasets.load("mnist", data_home=tmp_path / "home"))


def test_a_damaged_cached_file_is_fetched_again_and_said_so(server, tmp_path, caplog):
    datasets.load("mnist", data_home=tmp_path)
    damaged = tmp_path / "mnist" / "train-images-idx3-ubyte.gz"
    damaged.write_bytes(damaged.read_bytes()[:20])
    server.asked.clear()

    assert_loaded(datasets.load("mnist", data_home=tmp_path))

    assert server.asked == ["/train-images-idx3-ubyte.gz"]
    assert str(damaged) in caplog.text
    assert "Fetching it again" in caplog.text


def test_the_second_mirror_serves_where_the_first_does_not(server, tmp_path, monkeypatch):
    empty = Server({})
    try:
        publish(monkeypatch, empty.url, server.url)
        assert_loaded(datasets.load("mnist", data_home=tmp_path))
    finally:
        empty.stop()

    assert len(empty.asked) == len(server.asked) == 4


@pytest.mark.parametrize(
    ("served", "word"),
    [
        (gzip.compress(PICTURES[:-1] + b"\x00", mtime=0), "SHA-256"),
        (gzip.compress(PICTURES, mtime=0)[:-5], "truncated"),
        (b"<html>Please log in to this hotel's network</html>", "SHA-256"),
        (None, "404"),
    ],
    ids=["another content", "truncated", "a web page", "absent"],
)
def test_what_is_not_the_published_file_never_enters_the_cache(server, tmp_path, served, word):
    server.files["train-images-idx3-ubyte.gz"] = served

    with pytest.raises(DatasetError, match="could not be fetched") as caught:
        datasets.load("mnist", data_home=tmp_path)

    assert server.url in str(caught.value)
    assert word in str(caught.value)
    assert "CROSSENT_DATA" in str(caught.value)
    assert list((tmp_path / "mnist").iterdir()) == []


def test_without_a_network_the_error_says_what_to_do(server, tmp_path):
    server.stop()  # nothing listens at its port any more

    with pytest.raises(DatasetError) as caught:
        datasets.load("mnist", data_home=tmp_path)

    assert "train-images-idx3-ubyte.gz of mnist could not be fetched" in str(caught.value)
    assert "a folder called 'mnist'" in str(caught.value)
    assert "CROSSENT_DATA" in str(caught.value)


def test_a_cache_that_cannot_be_written_is_reported_with_the_remedy(server, tmp_path):
    (tmp_path / "file").write_text("in the way")

    with pytest.raises(DatasetError, match=r"Not a directory.*CROSSENT_DATA"):
        datasets.load("mnist", data_home=tmp_path / "file")


@pytest.fixture
def without_pooch(monkeypatch):
    original = builtins.__import__

    def refuse(name, *arguments, **options):
        if name == "pooch":
            raise ImportError(name)
        return original(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", refuse)


def test_without_pooch_the_error_says_what_to_install(without_pooch, monkeypatch, tmp_path):
    monkeypatch.delenv("CROSSENT_DATA", raising=False)

    for data_home in (None, tmp_path):
        with pytest.raises(DatasetError, match=r"pooch.*pip install 'crossent\[cli\]'") as caught:
            datasets.load("mnist", data_home=data_home)
        assert "CROSSENT_DATA" in str(caught.value)


def test_files_already_in_data_home_need_no_pooch(server, tmp_path, request):
    datasets.load("mnist", data_home=tmp_path)
    request.getfixturevalue("without_pooch")

    assert_loaded(datasets.load("mnist", data_home=tmp_path))


def test_every_published_file_has_an_address_and_a_digest():
    for name in ("mnist", "fashion_mnist"):
        publication = images.PUBLICATIONS[name]
        assert set(publication.sha256) == set(images.FILES)
        assert len(set(publication.sha256.values())) == 4
        assert all(url.startswith("http") and url.endswith("/") for url in publication.mirrors)
    assert fetch.cache_folder("mnist", None).name == "mnist"
