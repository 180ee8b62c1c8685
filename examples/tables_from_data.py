"""Write the tables of docs/tables.md: what people's own files look like.

    python examples/tables_from_data.py FOLDER [CASE ...]

Reads the folder that CROSSENT_DATA names. The cases are ``banking77`` (a column of text),
``football`` (teams, tournament, date, neutral ground, year; the class is who won), ``ferplus``
(ten people's votes for each picture), ``letter`` (ARFF, 16,000 rows and 4,000 to test) and
``mnist_png`` (a folder of 70,000 PNG files). Prints the command that fits each.
"""

import argparse
import csv
import os
import shlex
import shutil
from pathlib import Path

import numpy as np

VOTES = ("neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt")


def banking77(source, folder):
    """The two CSV files as they are: a question, and which of 77 intents it has."""
    for name in ("train.csv", "test.csv"):
        shutil.copyfile(source / "banking77" / name, folder / f"banking77_{name}")
    return ["banking77_train.csv", "--test", "banking77_test.csv", "-C", "10"]


def football(source, folder):
    """Home, draw or away, from what is known before the match."""
    columns = ("date", "home_team", "away_team", "tournament", "neutral")
    with (source / "international_football" / "results.csv").open(encoding="utf-8") as file:
        matches = [row for row in csv.DictReader(file) if row["home_score"].isdigit()]
    with (folder / "football.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*columns, "year", "result"])
        for row in matches:
            ahead = int(row["home_score"]) - int(row["away_score"])
            result = "home" if ahead > 0 else "away" if ahead < 0 else "draw"
            writer.writerow([*(row[name] for name in columns), row["date"][:4], result])
    return ["football.csv", "--target", "result"]


def ferplus(source, folder):
    """Votes over eight emotions, and 16 synthetic features that know something of them.

    The features are the square roots of the vote shares, turned by a random matrix, and noise;
    the pictures themselves are not at hand. Rows without a vote for any of the eight stay in.
    """
    rng = np.random.default_rng(0)
    turn = rng.normal(size=(len(VOTES), 16))
    with (source / "ferplus_votes" / "fer2013new.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    votes = np.array([[int(row[name]) for name in VOTES] for row in rows], dtype=float)
    shares = votes / np.maximum(votes.sum(axis=1, keepdims=True), 1)
    features = np.sqrt(shares) @ turn + rng.normal(scale=0.7, size=(len(rows), 16))
    for part, name in (("Training", "ferplus_train.csv"), ("PrivateTest", "ferplus_test.csv")):
        with (folder / name).open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow([*(f"x{j}" for j in range(16)), *VOTES])
            for row, x in zip(rows, features.round(4).tolist(), strict=True):
                if row["Usage"] == part:
                    writer.writerow([*x, *(row[name] for name in VOTES)])
    return [
        "ferplus_train.csv", "--target-columns", ",".join(VOTES), "--drop-unlabelled",
        "--test", "ferplus_test.csv",
    ]  # fmt: skip


def letter(source, folder):
    """The ARFF file's rows as CSV; the last 4,000 of 20,000 are for the test, as is usual."""
    lines = (source / "uci" / "letter.arff").read_text(encoding="utf-8").splitlines()
    start = next(i for i, line in enumerate(lines) if line.strip().lower() == "@data")
    names = [
        line.split()[1].strip("'") for line in lines[:start] if line[:10].lower() == "@attribute"
    ]
    rows = [line for line in lines[start + 1 :] if line.strip() and not line.startswith("%")]
    for name, part in (("letter_train.csv", rows[:16_000]), ("letter_test.csv", rows[16_000:])):
        (folder / name).write_text("\n".join([",".join(names), *part]) + "\n", encoding="utf-8")
    return ["letter_train.csv", "--test", "letter_test.csv", "--target", names[-1]]


def mnist_png(source, folder):
    """training/0…9/*.png and testing/0…9/*.png."""
    from idx_to_folders import write_images

    for part, prefix in (("training", "train"), ("testing", "t10k")):
        images = next((source / "mnist").glob(f"{prefix}-images-idx3-ubyte*"))
        write_images(images, folder / "mnist_png" / part, None)
    return ["mnist_png"]


CASES = {f.__name__: f for f in (banking77, football, ferplus, letter, mnist_png)}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("cases", nargs="*", help=f"some of {', '.join(CASES)} [all]")
    options = parser.parse_args()
    source = Path(os.environ.get("CROSSENT_DATA", ""))
    if not os.environ.get("CROSSENT_DATA"):
        parser.error("set CROSSENT_DATA to the folder with the data")
    options.folder.mkdir(parents=True, exist_ok=True)
    for name in options.cases or CASES:
        arguments = CASES[name](source, options.folder)
        print(shlex.join(["crossent", "fit", *arguments]))


if __name__ == "__main__":
    main()
