"""The write-up's first cells: the same images, whichever way they are stored."""

import numpy as np
import pytest

from crossent import datasets

PIXELS = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)  # two images of 2 rows and 3 columns


@pytest.mark.parametrize("names", [("0", "1"), ("1", "0")])
def test_a_folder_of_images_and_an_idx_file_give_the_same_rows(names, tmp_path):
    image = pytest.importorskip("PIL.Image")
    for name in names:  # the order in which folders are made must not matter
        folder = tmp_path / "png" / "training" / name
        folder.mkdir(parents=True)
        image.fromarray(PIXELS[int(name)]).save(folder / "1.png")
    images = tmp_path / "train-images-idx3-ubyte"
    images.write_bytes(bytes([0, 0, 8, 3, *[0, 0, 0, 2] * 2, 0, 0, 0, 3, *range(12)]))
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, 2, 0, 1]))

    pictures = datasets.open_dataset(tmp_path / "png")
    original = datasets.open_dataset(images)

    assert pictures.image_shape == original.image_shape == (2, 3)
    assert pictures.y_train.tolist() == original.y_train.tolist() == [0, 1]
    np.testing.assert_array_equal(np.rint(255 * pictures.X_train), PIXELS.reshape(2, 6))
    np.testing.assert_array_equal(np.rint(255 * original.X_train), PIXELS.reshape(2, 6))
