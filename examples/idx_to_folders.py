"""Write an IDX data set such as MNIST as a folder of PNG files: training/0…9/ and testing/0…9/.

    python examples/idx_to_folders.py $CROSSENT_DATA/mnist/train-images-idx3-ubyte.gz mnist_png
    crossent fit mnist_png --model mnist.skops --report mnist.html

The labels and the test images are found beside the images. Needs crossent[images].
"""

import argparse
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from crossent.datasets import read_idx_pair


def write_images(images_file, folder, most):
    """One PNG for each image, in the folder of its label; named by its row."""
    images, labels = read_idx_pair(images_file)
    images, labels = images[:most], labels[:most]
    for label in np.unique(labels):
        (folder / str(label)).mkdir(parents=True, exist_ok=True)

    def write(row):
        Image.fromarray(images[row]).save(folder / str(labels[row]) / f"{row:05d}.png")

    with ThreadPoolExecutor() as pool:
        list(pool.map(write, range(len(images))))
    return len(images)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("images", type=Path, help="the training images, in IDX format")
    parser.add_argument("folder", type=Path, help="folder to write to")
    parser.add_argument("--rows", type=int, help="most images of each set [all]")
    options = parser.parse_args()
    sets = {"training": options.images}
    test = options.images.with_name(options.images.name.replace("train", "t10k"))
    if test != options.images and test.exists():
        sets["testing"] = test
    for name, file in sets.items():
        written = write_images(file, options.folder / name, options.rows)
        print(f"{options.folder / name}: {written} images")


if __name__ == "__main__":
    main()
