"""Logits held from the forward to the backward pass: three products, whatever comes from above."""

import pytest
import torch

from crossent.errors import InputError
from crossent.torch import explain, linear_cross_entropy

ROOM = 10**6
"""More than the logits of these problems take, 29·53 numbers of 8 bytes, and their blocks."""

OPTIONS = {
    "plain": {},
    "smoothing": {"label_smoothing": 0.1},
    "cap and smoothing": {"logit_softcap": 2.0, "label_smoothing": 0.1, "temperature": 0.7},
    "z-loss": {"z_loss": 0.1},
}


def counted(monkeypatch):
    """How many logits, by n·q, products with W have made since; a list of one number."""
    made = [0]
    from crossent.torch.tiles import Tiles

    fill = Tiles.fill

    def counting(self, out, *rest):
        made[0] += out.numel()
        fill(self, out, *rest)

    monkeypatch.setattr(Tiles, "fill", counting)
    return made


@pytest.mark.parametrize("kind", ["labels", "targets", "top-k"])
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_each_rows_own_gradient_from_above_takes_no_second_product_of_logits(
    problem, monkeypatch, kind, options
):
    given = problem(kind, weights=True)
    above = torch.linspace(-1.0, 2.0, len(given.input), dtype=torch.float64)
    theirs = torch.autograd.grad(given.expected("none", **options) @ above, given.layer)
    plan = given.call(explain, reduction="none", max_workspace_bytes=ROOM, **options)
    made = counted(monkeypatch)

    rows = given.call(linear_cross_entropy, reduction="none", max_workspace_bytes=ROOM, **options)
    ours = torch.autograd.grad(rows @ above, given.layer)

    assert (plan.path, plan.products) == ("cpu-held", 3)
    used = int((given.distributions().sum(dim=1) > 0).sum())
    assert made[0] == used * len(given.linear_weight)
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-11, atol=1e-15)


def test_held_logits_serve_other_outputs_and_any_number_of_passes(problem):
    given = problem("labels")
    options = {"compute": ("entropy", "log_partition"), "top_k": 2, "max_workspace_bytes": ROOM}
    assert given.call(explain, **options).path == "cpu-held"
    found = given.call(linear_cross_entropy, **options)
    again = given.call(linear_cross_entropy, **options | {"path": "reference"})

    def combined(result, scale):
        terms = (result.loss, result.entropy, result.log_partition, result.top_log_probabilities)
        return sum(scale**i * x.nan_to_num().sum() for i, x in enumerate(terms))

    for scale in (0.3, -2.0, 0.3):  # the graph is used again, with other gradients from above
        ours = torch.autograd.grad(combined(found, scale), given.layer, retain_graph=True)
        theirs = torch.autograd.grad(combined(again, scale), given.layer, retain_graph=True)
        for one, other in zip(ours, theirs, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-11, atol=1e-15)


def test_nothing_is_held_where_one_number_comes_from_above_or_nothing_at_all(problem):
    given = problem("labels")

    plain = given.call(explain, max_workspace_bytes=ROOM)
    with torch.no_grad():
        idle = given.call(explain, reduction="none", max_workspace_bytes=ROOM)

    assert plain.path == "cpu-blocks"
    assert "one number" in plain.reasons["cpu-held"]
    assert idle.path == "cpu-blocks"
    assert "No gradient" in idle.reasons["cpu-held"]


def test_without_room_the_logits_are_made_again_and_the_plan_says_how_much_room(problem):
    given = problem("labels", n=400)
    needed = 400 * 53 * 8

    tight = given.call(explain, reduction="none", max_workspace_bytes=needed - 1)
    default = given.call(explain, reduction="none")

    assert tight.path == default.path == "cpu-recompute"
    assert f"takes {needed} bytes" in default.reasons["cpu-held"]
    with pytest.raises(InputError, match=f"takes {needed} bytes"):
        given.call(linear_cross_entropy, path="cpu-held", max_workspace_bytes=needed - 1)


def test_who_asks_by_name_need_not_say_how_much_memory(problem):
    given = problem("labels")

    plan = given.call(explain, reduction="none", path="cpu-held")

    assert plan.path == "cpu-held"
    assert plan.workspace_bytes > plan.logits_bytes


def test_a_tensor_changed_between_the_passes_is_noticed(problem):
    given = problem("labels")
    rows = given.call(linear_cross_entropy, reduction="none", path="cpu-held")
    with torch.no_grad():
        given.linear_weight.add_(1.0)

    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        rows.sum().backward()


def test_labels_far_below_the_largest_logit_keep_their_digits_when_held(problem):
    """The block's sums are made again with another shift, and so are the logits that are held."""
    given = problem("labels", dtype=torch.float32, scale=20.0, ignored=False)
    with torch.no_grad():
        given.target[:] = given.logits().argmin(dim=1)
    theirs = torch.autograd.grad(given.expected("none").sum(), given.layer)

    rows = given.call(linear_cross_entropy, reduction="none", path="cpu-held")
    ours = torch.autograd.grad(rows.sum(), given.layer)

    # Logits of some thousand, rounded to 2⁻²⁴ of that, stand in an exponent.
    for one, other in zip(ours, theirs, strict=True):
        error = (one.double() - other.double()).norm() / other.double().norm()
        assert error < 3000 * 2.0**-24 * 4
    assert given.expected("none").max() > 200  # or the shift would have done


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_blocks_of_rows_of_different_sizes_follow_each_other_in_the_same_memory(
    problem, threads, options, monkeypatch
):
    threads(1)  # one tile after the other: what is overwritten too early is so each time
    monkeypatch.setattr("crossent.torch.blocks.TILE_BYTES", 2**16)
    given = problem("labels", n=150, d=5, q=700, ignored=False)
    tiles = 3 * 2**18 if "logit_softcap" in options else 0  # beside the block itself
    room = {"path": "cpu-blocks", "max_workspace_bytes": 420_000 + tiles}
    theirs = torch.autograd.grad(given.expected(**options), given.layer)
    plan = given.call(explain, **room, **options)

    ours = torch.autograd.grad(given.call(linear_cross_entropy, **room, **options), given.layer)

    assert plan.blocks["rows"] < 96  # 150 rows in multiples of 16: not all blocks are equal
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-11, atol=1e-15)
