"""What a call holds at its highest, byte by byte, against the limit that was asked for."""

import weakref

import pytest
import torch
from torch.nn.functional import cross_entropy
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from crossent.torch import explain, linear_cross_entropy

N, D, Q = 384, 48, 6000
BUDGETS = {"cpu-blocks": 4_000_000, "cpu-held": 21_000_000, "cpu-recompute": 600_000}


class Peak(TorchDispatchMode):
    """The largest sum of bytes of tensors that were alive at the same time; one thread only."""

    def __init__(self):
        super().__init__()
        self.users, self.now, self.most = {}, 0, 0

    def _left(self, storage, size):
        self.users[storage] -= 1
        if self.users[storage] == 0:
            del self.users[storage]
            self.now -= size

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        found = func(*args, **(kwargs or {}))
        inside = {x.untyped_storage()._cdata for x in tree_leaves((args, kwargs)) if _held(x)}
        for x in tree_leaves(found):
            if not _held(x):
                continue
            storage = x.untyped_storage()
            key, size = storage._cdata, storage.nbytes()
            if key in inside and key not in self.users:
                continue  # a view of what was there before
            if key not in self.users:
                self.users[key] = 0
                self.now += size
                self.most = max(self.most, self.now)
            self.users[key] += 1
            weakref.finalize(x, self._left, key, size)
        return found


def _held(x):
    return isinstance(x, torch.Tensor)


@pytest.fixture(autouse=True)
def one_thread():
    """Then the caller's thread does all, and nothing is missed."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def layer(dtype, n=N, d=D, q=Q):
    generator = torch.Generator().manual_seed(5)
    X = torch.randn(n, d, generator=generator).to(dtype).requires_grad_()
    W = (torch.randn(q, d, generator=generator) / 7).to(dtype).requires_grad_()
    return X, W, torch.randint(q, (n,), generator=generator)


@pytest.mark.parametrize(
    ("path", "options"),
    [
        ("cpu-blocks", {}),
        ("cpu-blocks", {"logit_softcap": 5.0, "label_smoothing": 0.1}),
        ("cpu-held", {"reduction": "none"}),
        ("cpu-recompute", {}),
        ("cpu-recompute", {"reduction": "none", "label_smoothing": 0.1}),
    ],
    ids=["blocks", "kept logits", "held", "recompute", "recompute, rows"],
)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
def test_a_call_holds_no_more_than_its_workspace(dtype, path, options):
    X, W, y = layer(dtype)
    budget = BUDGETS[path] * (2 if dtype == torch.float64 else 1)
    options = {"path": path, "max_workspace_bytes": budget, **options}
    plan = explain(X, W, y, **options)

    with Peak() as peak:
        linear_cross_entropy(X, W, y, **options).sum().backward()

    # Not counted in the workspace: some float64 numbers for each row and class, and to look up
    # labels a row of X and one of W for each with their product. ∂W in float32 would be 6000 · 48.
    beside = 8 * (40 * N + 4 * Q) + 3 * 8 * N * D
    assert beside < 4 * Q * D
    assert plan.workspace_bytes <= budget
    assert peak.most <= plan.workspace_bytes + X.nbytes + W.nbytes + beside


@pytest.mark.parametrize("options", [{}, {"reduction": "none"}])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_with_few_classes_needs_no_limit_by_hand(dtype, options):
    X, W, y = layer(dtype, n=4096, d=512, q=20)  # two arrays as X in float32 are 16 MiB

    found = linear_cross_entropy(X, W, y, **options)

    expected = cross_entropy(
        X.double() @ W.double().T, y, reduction=options.get("reduction", "mean")
    )
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-5)
