"""The tables of docs/linear_cross_entropy.md, from benchmarks/results/linear_cross_entropy.json."""

from pathlib import Path
from typing import Any

from benchmarks.softmax_regression.table import write_parts

DOCUMENT = Path(__file__).parents[1] / "docs" / "linear_cross_entropy.md"
Found = dict[str, Any]


def write_tables(found: Found) -> None:
    """Write every table between its marks."""
    makers = {
        "stamp": stamp,
        "speed": speed,
        "options": options,
        "combinations": combinations,
        "ignored": ignored,
        "memory": memory,
        "accuracy": accuracy,
        "gpu": gpu,
    }
    parts = {f"linear-{name}": make(found) for name, make in makers.items()}
    write_parts(DOCUMENT, parts)


def table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(row) + " |" for row in lines)


def shape_of(case: Found) -> str:
    return " × ".join(str(size) for size in case["shape"])


def verdict(holds: bool) -> str:
    return "yes" if holds else "**no**"


def stamp(found: Found) -> str:
    """Where and when the sections were measured; those of one run in one sentence."""
    runs: dict[str, list[str]] = {}
    for name, where in found["stamps"].items():
        load = ", ".join(f"{x:.1f}" for x in where["load"])
        when = (
            f"commit {where['commit']}, {where['date'][:16]}, load {load}, best of "
            f"{where['rounds']} rounds"
        )
        runs.setdefault(when, []).append(name)
    where = next(iter(found["stamps"].values()))
    versions = ", ".join(f"{name} {number}" for name, number in where["versions"].items())
    sections = "; ".join(f"{', '.join(names)}: {when}" for when, names in runs.items())
    cores = f"{where['threads']} threads of {where['cores']} cores"
    return f"{where['cpu']}, {cores}; {versions}. {sections}."


def speed(found: Found) -> str:
    rows = []
    for case in found["speed"]:
        times = {name: f"{t['best_s']:.3f}" for name, t in case["times"].items()}
        rows.append(
            [
                shape_of(case),
                times["three products"],
                times["crossent"],
                f"{case['share_of_limit']:.1%}",
                verdict(case["share_of_limit"] >= 0.97),
                f"{case['plan']['predicted_s']:.3f}",
                case["products_by"],
                times["crossent by torch.mm"],
                f"{case['share_by_torch']:.1%}",
                f"{case['share_of_limit_with_exp2']:.1%}",
                times["crossent, low memory"],
                times["PyTorch, chunked"],
                times["PyTorch, plain"],
                verdict(case["times_chunked"] >= 1.0),
            ]
        )
    head = [
        "n × d × q",
        "three products, s",
        "crossent, s",
        "share of the limit",
        "≥ 97 %",
        "predicted, s",
        "products by",
        "by torch.mm, s",
        "share by torch.mm",
        "share with exp2's rate",
        "low memory, s",
        "PyTorch chunked, s",
        "PyTorch plain, s",
        "not slower than chunked",
    ]
    return table(head, rows)


def options(found: Found) -> str:
    case = found["options"]
    free = {"class weights", "row weights", "smoothing", "smoothing and class weights"}
    free |= {"z-loss", "temperature", "bias", "log-partition and row losses"}
    rows = [
        [name, f"{extra:+.1%}", verdict(extra <= 0.03) if name in free else "–"]
        for name, extra in case["extra"].items()
    ]
    return table([f"option, at {shape_of(case)}", "more time", "≤ 3 %"], rows)


def combinations(found: Found) -> str:
    case = found["combinations"]
    rows = []
    for name, ratio in case["over_plain"].items():
        ours = not name.startswith("PyTorch")
        path = f"`{case['paths'][name]}`" if ours else "logits in memory"
        products = f"{case['products'][name]:g}" if ours else "3"
        rows.append([name, path, products, f"{ratio:.2f}"])
    head = [f"call, at {shape_of(case)}", "path", "products", "time over plain"]
    return table(head, rows)


def ignored(found: Found) -> str:
    case = found["ignored"]
    faster = case["times_faster"]
    return (
        f"With {case['ignored']:.0%} of the rows ignored a step at {shape_of(case)} is "
        f"{faster:.2f} times as fast (bar: 3 times; {'met' if faster >= 3 else '**not met**'})."
    )


def memory(found: Found) -> str:
    rows = []
    for case in found["memory"]:
        if not case["measured"]:
            continue
        names = ("crossent", "crossent, low memory", "PyTorch, chunked")
        sizes = [f"{case[name] / 1e6:.0f}" for name in names]
        share = case["crossent"] / case["logits_bytes"]
        rows.append(
            [
                shape_of(case),
                f"{case['logits_bytes'] / 1e6:.0f}",
                *sizes,
                f"{share:.3f}",
                verdict(share <= 0.1),
            ]
        )
    head = [
        "n × d × q",
        "logits, MB",
        "crossent, MB",
        "low memory, MB",
        "PyTorch chunked, MB",
        "share of the logits",
        "≤ 1/10",
    ]
    return table(head, rows)


def accuracy(found: Found) -> str:
    case = found["accuracy"]
    rows = []
    for name, errors in case.items():
        if name == "shape":
            continue
        names = ("gradients", "pytorch", "products", "rounded")
        ours, pytorch, products, rounded = (errors[k] for k in names)
        ratios = [a / b for a, b in zip(ours, rounded, strict=True)]
        rows.append(
            [
                name,
                f"{errors['loss']:.1e}",
                verdict(errors["loss"] <= 1e-6),
                " / ".join(f"{x:.1e}" for x in ours),
                " / ".join(f"{x:.1e}" for x in pytorch),
                " / ".join(f"{x:.1e}" for x in products),
                " / ".join(f"{x:.1e}" for x in rounded),
                " / ".join(f"{ratio:.2g}" for ratio in ratios),
                verdict(max(ratios) <= 1.2),
            ]
        )
    head = [
        f"logits, {shape_of(case)}",
        "loss",
        "≤ 1e-6",
        "∂X / ∂W",
        "PyTorch, float32",
        "rounded ∂logits, library products",
        "rounded exact gradients",
        "ours over rounded",
        "≤ 1.2",
    ]
    return table(head, rows)


def gpu(found: Found) -> str:
    case = found.get("gpu")
    if case is None:
        return "Not measured: no GPU was there."
    failed = [name for name, part in case.items() if isinstance(part, dict) and "failed" in part]
    case = {name: part for name, part in case.items() if name not in failed}
    rows = []
    shapes = (*filter(None, [case.get("largest")]), *case.get("grid", []))
    for shape in (shape for shape in shapes if "failed" not in shape):
        least = 0.95 if shape is case.get("largest") else 0.90
        share = shape["share_of_three_products"]
        times = {name: f"{1e3 * t['best_s']:.2f}" for name, t in shape["times"].items()}
        others = [f"{name} {ms}" for name, ms in times.items() if name != "three products"]
        rows.append(
            [
                shape_of(shape),
                times["three products"],
                "; ".join(others),
                f"{share:.1%}",
                verdict(share >= least),
            ]
        )
    head = ["n × d × q", "three products, ms", "others, ms", "share", "bar"]
    lines = [f"{case['device']}, bfloat16, forward and backward.", "", table(head, rows), ""]
    lines += [f"Not measured, because it failed: {', '.join(failed)}."] if failed else []
    if "forward" in case:
        share = case["forward"]["share_of_one_product"]
        lines.append(f"Forward alone: {share:.1%} of one product (bar 92 %).")
    if "filtered" in case:
        filtered = case["filtered"]
        ms = 1e3 * filtered["times"]["filtered"]["best_s"]
        pairs = zip(filtered["differences"], filtered["bound"], strict=True)
        sizes = ", ".join(f"{a:.1e} (bound {b:.1e})" for a, b in pairs)
        lines.append(
            f"Filtered: {ms:.2f} ms (bar 24 ms); ∂X and ∂W differ by {sizes}, as Frobenius norms; "
            f"held: {verdict(filtered['holds'])}."
        )
    if "kernel" in case:
        lines.append(kernel_sentence(case["kernel"]))
    return "\n".join(lines)


def kernel_sentence(kernel: Found) -> str:
    return (
        f"The kernel that stores exponentials: {kernel['best_tflops']:.0f} TFLOP/s with "
        f"{kernel['best']}, {kernel['share_of_library']:.1%} of the library's product; this says "
        f"`{kernel['prefer']}` should come first."
    )
