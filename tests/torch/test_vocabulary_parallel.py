"""Classes divided among two and among four processes, against one process that has all.

One start of four processes (processes.py) serves all tests: they do every check and save what they
found, which is compared here.
"""

import functools
import math
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch.testing import assert_close

from crossent.errors import InputError
from crossent.torch import vocabulary_parallel_linear_cross_entropy, vocabulary_slice
from crossent.torch.vocabulary_engine import Share

SCRIPT = Path(__file__).with_name("processes.py")
# 200 rows and 52 classes in float64: sums of at most 10^4 terms, in another order. On GPUs the
# numbers of a row are float32.
TOLERANCE = {"gloo": 1e-12, "nccl": 1e-5}
PARALLEL = ("DDP", "FSDP2", "classes, DDP", "classes, FSDP2", "DTensor", "DTensor, FSDP2")


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    """``start(backend)``: what each process found; started once."""

    @functools.cache
    def findings(backend):
        ranks = 4 if backend == "gloo" else min(4, torch.cuda.device_count()) // 2 * 2
        if ranks < 2:
            pytest.skip("NCCL needs two GPUs")
        results = tmp_path_factory.mktemp(backend)
        command = [sys.executable, str(SCRIPT), backend, str(ranks), str(results)]
        made = subprocess.run(command, capture_output=True, text=True, env=dict(os.environ))
        assert made.returncode == 0, made.stderr[-4000:]
        files = [results / f"{rank}.pt" for rank in range(ranks)]
        return [torch.load(file, weights_only=False) for file in files]

    return findings


@pytest.fixture(params=["gloo", "nccl"])
def found(request, start):
    """(backend, what each process found)."""
    return request.param, start(request.param)


def cases(found):
    """(which case, outputs and gradients, those of one process, slice, tolerance)."""
    backend, ranks = found
    for rank in ranks:
        for case, (ours, theirs, own) in rank["values"].items():
            yield case, ours, theirs, own, TOLERANCE[backend]


def test_outputs_are_those_of_one_process(found):
    seen = set()
    for case, (outputs, _), (expected, _), _, rtol in cases(found):
        seen.add(case[:2])
        assert set(outputs) == set(expected), case
        for name, theirs in expected.items():
            message = f"{case}: {name}"
            ours = outputs[name].cpu()
            assert_close(ours, theirs, rtol=rtol, atol=rtol, equal_nan=True, msg=message)
    sizes = (2, 4) if found[0] == "gloo" else (len(found[1]),)
    assert {(n, kind) for n in sizes for kind in ("labels", "targets", "top-k")} <= seen


def test_gradients_are_those_of_one_process_of_weight_and_bias_the_own_part(found):
    for case, (_, ours), (_, theirs), own, rtol in cases(found):
        expected = [theirs[0], theirs[1][own], theirs[2][own]]
        for name, mine, whole in zip(("input", "weight", "bias"), ours, expected, strict=True):
            assert whole.abs().max() > 0.0
            atol = rtol * whole.abs().max().item()
            assert_close(mine, whole, rtol=rtol, atol=atol, msg=f"{case}: {name}")


def test_all_processes_get_the_same_bits_of_outputs_and_of_the_inputs_gradient(found):
    _, (first, *others) = found
    for case, ((outputs, gradients), _, _) in first["values"].items():
        if case[0] != len(others) + 1:
            continue
        for other in others:
            (their_outputs, their_gradients), _, _ = other["values"][case]
            assert torch.equal(gradients[0], their_gradients[0]), case
            for name, x in outputs.items():
                same = torch.equal(x.cpu().nan_to_num(), their_outputs[name].cpu().nan_to_num())
                assert same, (case, name)


@pytest.fixture
def four(start):
    """What four processes found on CPUs."""
    return start("gloo")


@pytest.mark.parametrize("path", [None, "cpu-recompute"])
@pytest.mark.parametrize("way", PARALLEL)
def test_a_step_in_parallel_has_the_gradients_of_the_step_of_one_process(four, way, path):
    expected_loss, expected = four[0]["training"]["expected", path]
    losses = []
    for rank in four:
        loss, gradients = rank["training"][way, path]
        losses.append(loss)
        assert set(gradients) == set(expected)
        for name, whole in expected.items():
            own = "classes" in way and name.startswith("head")
            theirs = whole[rank["training"]["slice"]] if own else whole
            atol = 1e-13 * theirs.abs().max().item()
            message = f"{way}: {name}"
            assert_close(gradients[name], theirs, rtol=1e-11, atol=atol, msg=message)
    # Each part of the data has as many rows, so that the mean of the means is the mean.
    assert_close(torch.stack(losses).mean(), expected_loss, rtol=1e-13, atol=0.0)


def test_processes_with_different_numbers_of_classes_make_their_logits_once(four):
    sizes = set()
    for rank in four:
        found = rank["products"]
        size = found["slice"].stop - found["slice"].start
        sizes.add(size)
        assert found["made"]["plain"] == found["rows"] * size
        assert found["made"]["more than the smallest slice"] == 2 * found["rows"] * size
    assert sizes == {12, 13}


MESSAGES = {
    "whole weight": r"InputError: `linear_weight` has shape \(52, 6\) on rank",
    "no classes": "InputError: `num_classes` is missing",
    "empty slice": "InputError: `num_classes` is 9, of which 4 processes get 3 each",
    "label": "InputError: `target` row 7 is 52; classes are 0…51",
    "other rows": "InputError: `input` row 0 is not the same on the 4 ranks",
    "other blocks": r"InputError: the ranks work in blocks of \[64, 198, 198, 198\]",
    "reference": "InputError: classes that are divided among processes need a path with an engine",
    "replicated": "InputError: `linear_weight` is a DTensor with placements",
    "second derivative": "NotImplementedError: .*first derivatives only",
    "not sharded here": "InputError: `linear_weight` is a DTensor, of which this process holds a",
}


@pytest.mark.parametrize("what", MESSAGES)
def test_what_is_wrong_on_all_processes_is_an_error_on_all(four, what):
    for rank in four:
        assert re.match(MESSAGES[what], rank["refusals"]["messages"][what])


def test_a_mean_over_no_rows_is_nan_on_all_processes(four):
    assert all(rank["refusals"]["all ignored"].isnan() for rank in four)


def test_sent_are_24_bytes_a_row_and_the_gradient_of_the_input(four):
    for rank in four:
        sent, rows = rank["communication"]["sent"], rank["communication"]["rows"]
        assert rows == 198
        assert sent["all_gather"] == 24 * rows + 16
        assert sent["all_reduce"] == 8 * 6 * rows


def test_half_precision_is_as_exact_as_its_rounding(four):
    for rank in four:
        loss, made, expected, theirs = rank["half precision"]
        # Products of 6 exact numbers in float32, 52 exponentials, a mean in float64.
        assert_close(loss.double(), expected, rtol=2e-6, atol=0.0)
        assert loss.dtype == torch.float32
        for ours, whole in zip(made, theirs, strict=True):
            assert ours.dtype == torch.bfloat16
            # Each of four parts is rounded to 2^-9 of itself, and so is their sum.
            error = (ours.double() - whole).norm() / whole.norm()
            assert error < 4 * 2.0**-9


# After a break of the graph PyTorch's compiler looks at .grad of what it goes on with.
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor:UserWarning")
@pytest.mark.filterwarnings("ignore::DeprecationWarning:torch")
def test_torch_compile_leaves_the_call_as_it_is():
    store = dist.HashStore()
    dist.init_process_group("gloo", store=store, rank=0, world_size=1)
    try:
        X, W = torch.eye(3, requires_grad=True), torch.ones(4, 3)

        def doubled(x):
            y = torch.tensor([0, 1, 2])
            return 2 * vocabulary_parallel_linear_cross_entropy(x, W, y, num_classes=4)

        loss = torch.compile(doubled, backend="eager")(X)
    finally:
        dist.destroy_process_group()
    assert loss.item() == pytest.approx(2 * math.log(4), rel=1e-6)


@pytest.mark.parametrize(("q", "ranks"), [(10, 4), (52, 4), (7, 2), (5, 1)])
def test_slices_are_those_of_chunk(q, ranks):
    chunks = torch.arange(q).chunk(ranks)
    for rank, chunk in enumerate(chunks):
        assert torch.arange(q)[Share(q, rank, ranks).own].tolist() == chunk.tolist()


def test_without_torch_distributed_the_error_says_what_to_call():
    with pytest.raises(InputError, match="init_process_group"):
        vocabulary_slice(10)
    with pytest.raises(InputError, match="init_process_group"):
        vocabulary_parallel_linear_cross_entropy(
            torch.ones(2, 3), torch.ones(4, 3), torch.tensor([0, 1]), num_classes=4
        )
