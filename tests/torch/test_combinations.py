"""Options in combinations that nobody thought of, drawn at random, on every path.

The loss and its outputs are written out here in float64, class by class; autograd makes their
gradients. What one option alone does is in test_values.py.
"""

import math
import random
from dataclasses import dataclass, field

import pytest
import torch

from crossent.errors import InputError
from crossent.torch import PATHS, linear_cross_entropy

CPU = ("cpu-blocks", "cpu-held", "cpu-recompute", "reference")
CUDA = tuple(path.name for path in PATHS if path.name in ("cuda-library", "cuda-exponentials"))
ROW_OUTPUTS = ("row_loss", "log_partition", "entropy")


@dataclass
class Drawn:
    """A call whose layer requires gradients, but for what is frozen."""

    X: torch.Tensor
    W: torch.Tensor
    b: torch.Tensor | None
    y: torch.Tensor
    options: dict = field(default_factory=dict)

    @property
    def learnt(self):
        return [x for x in (self.X, self.W, self.b) if x is not None and x.requires_grad]

    def found(self, path):
        result = linear_cross_entropy(
            self.X, self.W, self.y, linear_bias=self.b, path=path, **self.options
        )
        return {"loss": result} if isinstance(result, torch.Tensor) else result._asdict()


def draw(seed, dtype):
    rng = random.Random(seed)
    generator = torch.Generator().manual_seed(seed)
    n, d, q = rng.choice([1, 2, 5, 17, 40]), rng.choice([1, 3, 8]), rng.choice([1, 2, 7, 33, 70])

    def maybe(chance):
        return rng.random() < chance

    def normal(*shape):
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    def positive(*shape):
        return torch.rand(shape, generator=generator, dtype=torch.float64)

    X, W, b = normal(n, d) * rng.choice([1.0, 0.01, 6.0]), normal(q, d), None
    if maybe(0.6):
        b = normal(q)
    options, pool = {}, torch.arange(q)
    if q > 2 and maybe(0.3):
        options["classes"] = pool = torch.randperm(q, generator=generator)[: rng.randint(2, q - 1)]
    m, kind = len(pool), rng.choice(["labels", "labels", "targets", "top-k"])
    if b is not None and m > 5 and maybe(0.5):
        b[pool[0]] = -math.inf  # excluded; no target is there
    used = pool[1:] if m > 5 else pool
    if kind == "targets":
        y = normal(n, q).softmax(dim=1)
        y[:, pool[0]] = 0.0 if m > 5 else y[:, pool[0]]
    elif kind == "labels":
        y = used[torch.randint(len(used), (n,), generator=generator)]
        y[positive(n) < rng.choice([0.0, 0.2, 0.8])] = -100
    else:
        k = min(len(used), rng.choice([1, 2, 4]))
        y = used[positive(n, len(used)).topk(k, dim=1).indices]
        options["target_probabilities"] = positive(n, k)
        y[positive(n, k) < rng.choice([0.0, 0.4])] = -100
    _draw_options(options, maybe, rng, positive, n, q)
    if b is not None and b.isinf().any():
        options.pop("label_smoothing", None)  # would cost infinitely much
    if maybe(0.3):
        options["chosen"] = pool[torch.randint(m, (n, 2), generator=generator)]
    if maybe(0.3):
        options["top_k"] = rng.randint(1, min(m, 4))
    frozen = rng.choice([None, None, 0, 1, 2])
    layer = [None if x is None else x.to(dtype) for x in (X, W, b)]
    for place, x in enumerate(layer):
        if x is not None and place != frozen:
            x.requires_grad_()
    return Drawn(*layer, y, options)


def _draw_options(options, maybe, rng, positive, n, q):
    if maybe(0.4):
        options["weight"] = positive(q)
    if maybe(0.4):
        options["sample_weight"] = positive(n)
        options["sample_weight"][n // 2 :] *= float(maybe(0.7))
    for name, values in {
        "label_smoothing": (0.1, 0.5, 1.0),
        "z_loss": (0.05,),
        "logit_softcap": (1.5, 20.0),
        "temperature": (0.5, 2.0),
        "max_workspace_bytes": (5000, 20_000, 10**6),
    }.items():
        if maybe(0.35):
            options[name] = rng.choice(values)
    options["reduction"] = rng.choice(["mean", "mean", "sum", "none"])
    if maybe(0.4):
        options["compute"] = tuple(rng.sample(ROW_OUTPUTS, rng.randint(1, 3)))


def numbered(labels, classes):
    """Class numbers as places in `classes`; −100 stays."""
    places = {int(label): place for place, label in enumerate(classes)} | {-100: -100}
    return torch.tensor([places[int(label)] for label in labels.flatten()]).view(labels.shape)


def expected(drawn):
    """The outputs by their formulas in float64, and which rows are used."""
    o = {"label_smoothing": 0.0, "z_loss": 0.0, "temperature": 1.0, **drawn.options}
    classes = o.get("classes", torch.arange(len(drawn.W)))
    z = drawn.X.double() @ drawn.W[classes].double().T
    if drawn.b is not None:
        z = z + drawn.b[classes].double()
    cap = o.get("logit_softcap")
    if cap is not None:
        z = torch.where(z.isinf(), z, cap * torch.tanh(z / cap))
    z = z / o["temperature"]
    (n, q), y = z.shape, drawn.y
    if y.is_floating_point():
        y, used = y[:, classes].double(), torch.ones(n, dtype=torch.bool)
    else:
        labels = numbered(y, classes).view(n, -1)
        p = o.get("target_probabilities", torch.ones(labels.shape)).double() * (labels >= 0)
        used = (labels >= 0).any(dim=1)
        y = torch.zeros(n, q, dtype=torch.float64).scatter_add(1, labels.clamp(min=0), p)
    c = o.get("weight", torch.ones(len(drawn.W)))[classes].double()
    s = o.get("sample_weight", torch.ones(n)).double() * used
    log_p, ell = z.log_softmax(dim=1), z.logsumexp(dim=1)
    t = ((1.0 - o["label_smoothing"]) * y + o["label_smoothing"] / q) * c
    rows = -torch.where(t == 0.0, 0.0, t * log_p).sum(dim=1) + o["z_loss"] * (y @ c) * ell**2
    rows = torch.where(used, rows, 0.0) * s
    top = z.detach().sort(dim=1, descending=True, stable=True).indices[:, : o.get("top_k", 0)]
    outputs = {
        "loss": rows if o["reduction"] == "none" else rows.sum(),
        "row_loss": rows,
        "log_partition": ell,
        "entropy": -(log_p.exp() * torch.where(log_p.isinf(), 0.0, log_p)).sum(dim=1),
    }
    if o["reduction"] == "mean":
        outputs["loss"] = rows.sum() / (s * (y @ c)).sum()
    wanted = {"loss", *o.get("compute", ())}
    outputs = {name: x for name, x in outputs.items() if name in wanted}
    if "top_k" in o:
        outputs["top_log_probabilities"] = log_p.gather(1, top)
    if "chosen" in o:
        outputs["chosen_log_probabilities"] = log_p.gather(1, numbered(o["chosen"], classes))
    return outputs, used


def total(outputs, used):
    """A number in which every finite entry of every output counts differently, and squared too."""
    terms = []
    for number, (name, x) in enumerate(sorted(outputs.items())):
        x = x if name in ("loss", "row_loss") else x[used]
        x = torch.where(x.isfinite(), x, 0.0).double()
        w = torch.linspace(-1.0, 2.0, max(x.numel(), 1), dtype=torch.float64)[: x.numel()]
        terms.append((number + 1) * ((x + 0.1 * x * x) * w.view(x.shape)).sum())
    return torch.stack(terms).sum()


def near(ours, theirs, tolerance, scale=0.0):
    theirs = theirs.double()
    finite = theirs.isfinite()
    torch.testing.assert_close(
        ours.double().where(~finite, 0), theirs.where(~finite, 0), equal_nan=True
    )
    largest = max(1.0, scale, theirs[finite].abs().amax().item() if finite.any() else 0.0)
    assert ((ours.double() - theirs)[finite].abs() <= tolerance * largest).all()


def check(seed, paths, dtype, tolerance):
    """How many paths served."""
    drawn = draw(seed, dtype)
    theirs, used = expected(drawn)
    if theirs["loss"].isnan().any() and used.any():
        return 0  # a mean whose weights are all zero
    gradients = torch.autograd.grad(
        total(theirs, used), drawn.learnt, allow_unused=True, materialize_grads=True
    )
    served = 0
    for path in paths:
        try:
            ours = drawn.found(path)
        except InputError as error:
            if "does not serve" in str(error) or "one row at a time" in str(error):
                continue
            raise
        served += 1
        for name, x in theirs.items():
            rows = slice(None) if name in ("loss", "row_loss") else used
            near(ours[name][rows] if x.ndim else ours[name], x[rows] if x.ndim else x, tolerance)
        found = torch.autograd.grad(
            total({name: ours[name] for name in theirs}, used),
            drawn.learnt,
            allow_unused=True,
            materialize_grads=True,
        )
        scale = max(g.abs().amax().item() for g in gradients)
        for mine, their in zip(found, gradients, strict=True):
            near(mine, their, tolerance, scale)
    return served


@pytest.mark.parametrize("start", range(0, 240, 40))
def test_any_combination_is_the_formula_on_every_path(start):
    # Sums of at most 100 terms that are at most some thousands, in float64.
    served = [check(seed, CPU, torch.float64, 1e-10) for seed in range(start, start + 40)]

    assert sum(served) >= 60


@pytest.mark.parametrize("start", range(0, 40, 20))
def test_any_combination_is_the_formula_on_the_paths_for_gpus(start):
    pytest.importorskip("triton")
    # Logits of some tens in float32, 2^-24 of them off, and squares of outputs of some hundreds.
    served = [check(seed, CUDA, torch.float32, 2e-4) for seed in range(start, start + 20)]

    assert sum(served) >= 15
