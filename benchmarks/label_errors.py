"""Wrong labels against human verdicts: our ranking and confident joint beside cleanlab's.

    python benchmarks/label_errors.py --data FOLDER [--peers FOLDER] [--report label_errors.html]

FOLDER holds ``label_errors`` and ``mnist`` (CROSSENT_DATA). PEERS holds cleanlab, made with
``pip install --no-deps --target PEERS -r benchmarks/requirements-labels.txt``; it is a peer here
and nothing that the package or its tests import.

A verified error is a row for which fewer than three workers chose the given label. Only rows that
a model had suspected were shown to workers, so areas under the curve over all rows are flattering:
they compare methods, and are no truth. Writes ``benchmarks/results/label_errors.json`` and, between
the markers in ``docs/calibration.md``, the table.
"""

import argparse
import json
import os
import sys
import time
import warnings
from importlib.metadata import version
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
from sklearn.metrics import average_precision_score, roc_auc_score

from crossent import SoftmaxRegression, datasets
from crossent.calibration import split_log_loss
from crossent.inspection import (
    Predictions,
    calibration_errors,
    confident_joint,
    predict_rows,
    surprising_rows,
)

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
from benchmarks.softmax_regression import machine  # noqa: E402

RESULTS = ROOT / "benchmarks" / "results" / "label_errors.json"
DOCS = ROOT / "docs" / "calibration.md"
BEGIN, END = "<!-- label errors: begin -->", "<!-- label errors: end -->"
ROUNDS = 7


def verdicts(folder, name):
    """Numbers of the judged rows, and those among them whose label is wrong."""
    records = json.loads((folder / f"{name}_mturk.json").read_text("utf-8"))
    judged = np.array([record["id"] for record in records])
    wrong = [record["id"] for record in records if record["mturk"]["given"] < 3]
    return judged, np.array(wrong)


def ranked(score, judged, wrong):
    """How well the score, larger for suspicious rows, finds the verified errors."""
    truth = np.isin(np.arange(len(score)), wrong)
    place = np.argsort(np.argsort(-score, kind="stable"))[wrong]
    return {
        "auc_all_rows": float(roc_auc_score(truth, score)),
        "auc_judged_rows": float(roc_auc_score(truth[judged], score[judged])),
        "average_precision": float(average_precision_score(truth, score)),
        "wrong_among_first_20": int((place < 20).sum()),
        "wrong_among_first_100": int((place < 100).sum()),
    }


def fastest(call):
    """Seconds of the fastest of some rounds, after one that does not count."""
    call()
    seconds = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - started)
    return min(seconds)


def ours(rows, judged, wrong):
    """Surprisal, and the rows that are confidently another class."""
    joint = confident_joint(rows)
    # Rows off the diagonal first, by surprisal, then the others.
    suspect = np.isin(np.arange(rows.labels.size), joint.suspects)
    return {
        "surprisal": ranked(rows.surprisal, judged, wrong),
        "suspects": {
            "rows": int(joint.suspects.size),
            "wrong_among_them": int(np.isin(joint.suspects, wrong).sum()),
            "average_precision": float(
                average_precision_score(
                    np.isin(np.arange(rows.labels.size), wrong),
                    rows.surprisal + suspect * (rows.surprisal.max() + 1),
                )
            ),
        },
        "estimated_wrong": joint.estimated_error_share * rows.labels.size,
        "seconds_confident_joint": fastest(lambda: confident_joint(rows)),
    }


def theirs(rows, judged, wrong):
    """Cleanlab's scores and its list of issues; None if it is not installed."""
    try:
        from cleanlab.filter import find_label_issues
        from cleanlab.rank import get_label_quality_scores
    except ImportError:
        return None
    p, y = np.exp(rows.log_probabilities), rows.labels
    p /= p.sum(axis=1, keepdims=True)
    found = {
        method: ranked(-get_label_quality_scores(y, p, method=method), judged, wrong)
        for method in ("self_confidence", "normalized_margin", "confidence_weighted_entropy")
    }
    issues = find_label_issues(y, p, return_indices_ranked_by="self_confidence", n_jobs=1)
    found["suspects"] = {
        "rows": len(issues),
        "wrong_among_them": int(np.isin(issues, wrong).sum()),
    }
    found["seconds_find_label_issues"] = fastest(lambda: find_label_issues(y, p, n_jobs=1))
    return found


def case(rows, judged, wrong):
    """Both, and the calibration of the probabilities."""
    log_p = rows.log_probabilities
    parts = split_log_loss(log_p, rows.labels, given="log_probabilities")
    errors = calibration_errors(rows, n_bins=15)
    return {
        "rows": int(rows.labels.size),
        "judged": int(judged.size),
        "verified_wrong": int(wrong.size),
        "log_loss": parts.log_loss,
        "calibration_part": parts.calibration,
        "temperature": parts.temperature,
        "expected_calibration_error_15_equal_mass": errors.expected,
        "crossent": ours(rows, judged, wrong),
        "cleanlab": theirs(rows, judged, wrong),
    }


def given_probabilities(folder, name):
    """Out-of-sample probabilities that came with the verdicts."""
    p = np.load(folder / f"{name}_test_set_pyx.npy")
    y = np.load(folder / f"{name}_test_set_original_labels.npy")
    with np.errstate(divide="ignore"):
        log_p = np.log(np.maximum(p, 1e-12) / np.maximum(p, 1e-12).sum(axis=1, keepdims=True))
    return Predictions.from_log_probabilities(log_p, y, classes=np.arange(p.shape[1]))


def report(path, rows, pixels):
    """The first 20 as thumbnails, in a file that needs no other."""
    from crossent.report import html
    from crossent.report.surprise import SurprisingRowsDisplay, row_images
    from crossent.report.svg import figure_style, inline_svg, new_axes

    found = surprising_rows(rows, k=20)
    with figure_style():
        display = SurprisingRowsDisplay(found, row_images(pixels, found, (28, 28)))
        svg = inline_svg(
            display.plot(ax=new_axes(display.figure_size)).figure_,
            prefix="suspicious",
            label="The 20 most surprising labels of the MNIST test set.",
        )
    body = html.section("The 20 most surprising labels of the MNIST test set", html.figure(svg, ""))
    Path(path).write_text(html.page("Suspicious labels", body), "utf-8")


def table(results):
    """Markdown: one line for each set of probabilities and method."""
    lines = [
        "| probabilities | ranking | AUC, all rows | AUC, judged rows | average precision | wrong "
        "among first 20 | seconds |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, found in results["cases"].items():
        shown = f"{name} ({found['verified_wrong']} of {found['judged']} judged wrong)"
        for tool in ("crossent", "cleanlab"):
            for method, numbers in (found[tool] or {}).items():
                if not (isinstance(numbers, dict) and "auc_all_rows" in numbers):
                    continue
                key = next(k for k in found[tool] if k.startswith("seconds"))
                lines.append(
                    f"| {shown} | {tool}: {method.replace('_', ' ')} "
                    f"| {numbers['auc_all_rows']:.4f} | {numbers['auc_judged_rows']:.3f} "
                    f"| {numbers['average_precision']:.3f} | {numbers['wrong_among_first_20']} "
                    f"| {found[tool][key]:.3f} |"
                )
    return "\n".join(lines)


def into_docs(text):
    """Put the table between its markers."""
    page = DOCS.read_text("utf-8")
    head, rest = page.split(BEGIN)
    _, tail = rest.split(END)
    DOCS.write_text(f"{head}{BEGIN}\n{text}\n{END}{tail}", "utf-8")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=os.environ.get("CROSSENT_DATA", "."))
    parser.add_argument("--peers", type=Path)
    parser.add_argument("--report", type=Path)
    arguments = parser.parse_args()
    if arguments.peers:
        sys.path.append(str(arguments.peers))
    os.environ["CROSSENT_DATA"] = str(arguments.data)
    warnings.simplefilter("ignore")
    folder = Path(arguments.data) / "label_errors"
    mnist, news = verdicts(folder, "mnist"), verdicts(folder, "20news")
    data = datasets.load("mnist")
    model = SoftmaxRegression().fit(data.X_train, data.y_train)
    assert model.certificate_.converged
    strong = given_probabilities(folder, "mnist")
    cases = {
        "MNIST, given": (strong, *mnist),
        "MNIST, softmax regression": (predict_rows(model, data.X_test, data.y_test), *mnist),
        "20 newsgroups, given": (given_probabilities(folder, "20news"), *news),
    }
    results = {
        "commit": machine.commit(),
        "date": machine.now(),
        "machine": machine.describe(1),
        "versions": {name: version(name) for name in ("numpy", "scikit-learn", "crossent")},
        "cases": {name: case(*parts) for name, parts in cases.items()},
    }
    if results["cases"]["MNIST, given"]["cleanlab"] is not None:
        results["versions"]["cleanlab"] = version("cleanlab")
    assert results["cases"]["MNIST, given"]["crossent"]["surprisal"]["auc_all_rows"] >= 0.99
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    into_docs(table(results))
    print(table(results))
    if arguments.report:
        report(arguments.report, strong, data.X_test)


if __name__ == "__main__":
    main()
