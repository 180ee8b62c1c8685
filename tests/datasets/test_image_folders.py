import numpy as np
import pytest
from PIL import Image

from crossent.datasets import open_dataset, read_images
from crossent.datasets.reading import Reading
from crossent.errors import DatasetError, InputError


def write(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(pixels, dtype=np.uint8)).save(path)


def test_training_and_testing_folders_are_read_with_their_labels(tmp_path):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (6, 3, 4), dtype=np.uint8)
    for row, (part, label) in enumerate(
        [("training", 0), ("training", 7), ("training", 7), ("testing", 0), ("testing", 7)]
    ):
        write(tmp_path / part / str(label) / f"{row}.png", images[row])

    data = open_dataset(tmp_path)

    np.testing.assert_array_equal(data.X_train, images[:3].reshape(3, 12) / np.float32(255))
    np.testing.assert_array_equal(data.X_test, images[3:5].reshape(2, 12) / np.float32(255))
    assert data.X_train.dtype == np.float32
    assert data.y_train.tolist() == [0, 7, 7]
    assert data.y_test.tolist() == [0, 7]
    assert data.image_shape == (3, 4)
    assert data.feature_names[:2] == ("pixel_0_0", "pixel_0_1")
    assert data.names_train == ("training/0/0.png", "training/7/1.png", "training/7/2.png")


def test_class_folders_alone_are_the_training_rows(tmp_path):
    write(tmp_path / "cat" / "a.png", np.zeros((2, 2)))
    write(tmp_path / "dog" / "b.PNG", np.full((2, 2), 255))
    (tmp_path / "dog" / "notes.txt").write_text("not an image")
    (tmp_path / ".hidden").mkdir()

    data = open_dataset(tmp_path)

    assert data.y_train.tolist() == ["cat", "dog"]
    assert data.X_train.tolist() == [[0] * 4, [1] * 4]
    assert data.X_test is None
    assert data.remarks == ("1 files that are no images were passed over.",)


def test_colours_lie_beside_each_other_and_make_grey_images_coloured(tmp_path):
    write(tmp_path / "a" / "1.png", [[[10, 20, 30], [40, 50, 60]]])
    write(tmp_path / "b" / "2.png", [[7, 9]])

    data = open_dataset(tmp_path)

    assert data.image_shape == (1, 2, 3)
    assert (data.X_train * 255).round().tolist() == [[10, 20, 30, 40, 50, 60], [7] * 3 + [9] * 3]
    assert data.feature_names[1] == "pixel_0_0_green"


def test_images_are_stretched_to_the_size_asked_for(tmp_path):
    write(tmp_path / "a" / "1.png", np.full((4, 6), 100))
    write(tmp_path / "b" / "2.png", np.full((9, 3), 200))

    data = open_dataset(tmp_path, reading=Reading(image_size=(2, 5)))

    assert data.image_shape == (2, 5)
    assert (data.X_train * 255).round().tolist() == [[100] * 10, [200] * 10]
    assert "2 by 5" in data.preprocessing


def test_the_cameras_orientation_is_obeyed(tmp_path):
    image = Image.fromarray(np.array([[0, 255]], dtype=np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter, clockwise
    (tmp_path / "a").mkdir()
    image.save(tmp_path / "a" / "1.png", exif=exif)

    X, shape = read_images([tmp_path / "a" / "1.png"], size=None)

    assert shape == (2, 1)
    assert X.tolist() == [[0, 1]]


def test_sixteen_bits_keep_their_scale(tmp_path):
    Image.fromarray(np.array([[0, 65535, 65534]], dtype=np.uint16)).save(tmp_path / "1.png")

    X, _ = read_images([tmp_path / "1.png"], size=None)

    assert (X * 255).round().tolist() == [[0, 255, 254]]


def test_an_image_that_does_not_decode_is_named(tmp_path):
    write(tmp_path / "a" / "1.png", np.zeros((20, 20)))
    write(tmp_path / "b" / "2.png", np.random.default_rng(0).integers(0, 256, (20, 20)))
    whole = (tmp_path / "b" / "2.png").read_bytes()
    for broken in (whole[: len(whole) // 2], b"\x89PNG nothing", b""):
        (tmp_path / "b" / "2.png").write_bytes(broken)
        with pytest.raises(DatasetError, match=r"2\.png: the image cannot be decoded"):
            open_dataset(tmp_path)


def test_images_of_several_sizes_need_one_to_be_said(tmp_path):
    write(tmp_path / "a" / "1.png", np.zeros((2, 2)))
    write(tmp_path / "b" / "2.png", np.zeros((2, 3)))

    with pytest.raises(DatasetError) as caught:
        open_dataset(tmp_path)

    for word in ("2.png has 2 by 3", "1.png 2 by 2", "--image-size"):
        assert word in str(caught.value)


def test_a_folder_without_images_is_refused(tmp_path):
    (tmp_path / "a").mkdir()

    with pytest.raises(DatasetError, match="no folder in it holds images"):
        open_dataset(tmp_path)


def test_test_images_may_not_be_coloured_where_training_is_grey(tmp_path):
    write(tmp_path / "train" / "a" / "1.png", [[1, 2]])
    write(tmp_path / "test" / "a" / "1.png", [[[9, 9, 9], [30, 30, 30]]])

    data = open_dataset(tmp_path)  # they are made grey

    assert (data.X_test * 255).round().tolist() == [[9, 30]]


def test_columns_are_nothing_to_a_folder(tmp_path):
    with pytest.raises(InputError, match="columns were named"):
        open_dataset(tmp_path, reading=Reading(drop=("x",)))
