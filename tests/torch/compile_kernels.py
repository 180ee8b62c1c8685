"""Compile every Triton kernel for a GPU that need not be there; print what came out as JSON."""

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import triton
from triton.backends.compiler import GPUTarget
from triton.backends.nvidia import compiler as nvidia
from triton.compiler import ASTSource

from crossent.kernels import (
    triton_exponentials,
    triton_filter,
    triton_gathered,
    triton_gradient,
    triton_settle,
)
from crossent.kernels.triton_jit import _HOPPER, _OTHERS, TileShape

HALF = {"x": "*bf16", "w": "*bf16", "bias": "*bf16", "stored": "*bf16", "out": "*bf16"}
FLOATS = [
    "shift",
    "numbers",
    "u",
    "y",
    "c",
    "total",
    "largest",
    "moment",
    "spread",
    "targets",
    "top_values",
    "gain",
    "softmax",
    "slope",
    "label_values",
    "chosen_values",
    "vector",
    "dense",
    "factor",
]
TYPES = {
    **dict.fromkeys(FLOATS, "*fp32"),
    "labels": "*i64",
    "chosen": "*i64",
    "top_classes": "*i32",
    "redo": "*i32",
    "marked": "*i32",
    "e": "*bf16",
}
FILTER = {
    **dict.fromkeys(["probability", "scale", "largest", "sums"], "*fp32"),
    "e": "*bf16",
    "level": "*i8",
    "dropped": "*i8",
    "out": "*fp32",
}
GATHERED = {
    **dict.fromkeys(["a", "b", "out"], "*bf16"),
    **dict.fromkeys(["scale", "outer", "mean"], "*fp32"),
    **dict.fromkeys(["numbers", "counts"], "*i32"),
}
GROUP = TileShape(128, 64, 64, warps=8, stages=3)
INNER = {"COLUMNS": 256, "INNER": 64, "a_row": 1}
STRIDES = (
    "x_stride",
    "w_stride",
    "stored_stride",
    "out_stride",
    "y_stride",
    "e_stride",
    "d",
    "stride",
    "numbers_stride",
    "a_inner",
    "b_stride",
)
FAST = {  # what a call without options asks for
    "bias": None, "u": None, "y": None, "c": None, "moment": None, "spread": None, "targets": None,
    "top_values": None, "top_classes": None, "CAPPED": False, "SLOPE": False, "TOP": 0,
    "slope": None, "chosen": None, "chosen_values": None, "vector": None, "dense": None,
}  # fmt: skip
EVERYTHING = {"CAPPED": True, "SLOPE": True, "TOP": 2}


def constants(shape, **more):
    sizes = {"ROWS": shape.rows, "CLASSES": shape.classes, "FEATURES": shape.features}
    rest = {"GROUP": shape.group, "DESCRIPTORS": shape.descriptors, "PRECISION": "ieee"}
    return {**sizes, **rest, "KIND": triton.language.float32, **more}


def compiled(kernel, types, constexprs, shape, capability):
    signature, attributes, values = {}, {}, {}
    for i, parameter in enumerate(kernel.params):
        name = parameter.name
        if name in constexprs:
            signature[name], values[name] = "constexpr", constexprs[name]
            continue
        signature[name] = types.get(name, "i32")
        if signature[name].startswith("*") or name in STRIDES:
            attributes[(i,)] = [["tt.divisibility", 16]]
    source = ASTSource(kernel, signature, values, attributes)
    target = GPUTarget("cuda", capability, 32)
    options = {"num_warps": shape.warps, "num_stages": shape.stages}
    made = triton.compile(source, target=target, options=options)
    ptx = made.asm["ptx"]
    return {
        "wgmma": ptx.count("wgmma.mma_async"),
        "bulk_copies": ptx.count("cp.async.bulk.tensor"),
        "shared_bytes": made.metadata.shared,
        "spilled_bytes": spilled(ptx, capability),
    }


def spilled(ptx, capability):
    """What ptxas says it had to put into memory for want of registers."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "kernel.ptx")
        path.write_text(ptx, "utf-8")
        name = "sm_90a" if capability == 90 else f"sm_{capability}"
        command = [nvidia.get_ptxas(capability).path, "-v", f"--gpu-name={name}", str(path)]
        done = subprocess.run(
            [*command, "-o", str(Path(folder, "kernel.cubin"))],
            capture_output=True,
            text=True,
            check=True,
        )
    return sum(int(count) for count in re.findall(r"(\d+) bytes spill stores", done.stderr))


def main(capability):
    shapes = _HOPPER if capability >= 90 else _OTHERS
    product, reading = shapes
    pointers = TYPES | HALF
    kind = "descriptors" if product.descriptors else "pointers"
    products = pointers
    if product.descriptors:
        tiles = {"x": product.rows, "w": product.classes}
        products = pointers | {
            name: f"tensordesc<bf16[{size}, {product.features}]>" for name, size in tiles.items()
        }
    exponential, gradient = triton_exponentials._kernel, triton_gradient._kernel
    given = {"w": None}
    jobs = {
        f"exponentials {kind}": (exponential, products, FAST | {"redo": None}, product),
        "exponentials redone": (exponential, products, FAST, product),
        "exponentials with everything": (exponential, pointers, EVERYTHING, reading, given),
        f"gradient {kind}": (gradient, products, FAST | {"c": None}, product),
        "gradient with everything": (gradient, pointers, EVERYTHING, reading, given),
        "scale rows": (triton_settle._kernel, TYPES, {}, reading),
        "column peaks": (triton_filter._peaks_kernel, FILTER, {}, GROUP),
        "level masses": (triton_filter._levels_kernel, FILTER, {"LEVELS": 32}, GROUP),
        "dropped columns": (triton_filter._dropped_kernel, FILTER, {}, product),
        "gathered product": (triton_gathered._kernel, GATHERED, INNER | {"scale": None}, GROUP),
    }
    if capability < 90:  # one generation has them all
        jobs = {name: job for name, job in jobs.items() if "pointers" in name}
    found = {}
    for name, (kernel, types, flags, shape, *more) in jobs.items():
        known = {parameter.name for parameter in kernel.params}
        wanted = constants(shape, **flags, **(more[0] if more else {}))
        own = {key: value for key, value in wanted.items() if key in known}
        found[name] = compiled(kernel, types, own, shape, capability)
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main(int(sys.argv[1]))
