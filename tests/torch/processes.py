"""What the processes of test_vocabulary_parallel.py do; a script, so that they can be started.

    python tests/torch/processes.py BACKEND RANKS RESULTS

Each process runs every check in the order of `CHECKS`, because they talk to each other in it, and
saves its findings for the tests to look at: differences are found there, not here.
"""

import sys
from pathlib import Path

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import Replicate, Shard, distribute_tensor
from torch.nn.parallel import DistributedDataParallel

from crossent.errors import InputError
from crossent.torch import (
    LinearCrossEntropy,
    linear_cross_entropy,
    vocabulary_parallel_linear_cross_entropy,
    vocabulary_slice,
)
from crossent.torch.tiles import Tiles

N, D, Q = 200, 6, 52  # 52 classes: 26 or 13 a process
OPTIONS = {
    "plain": {},
    "options": {"label_smoothing": 0.2, "z_loss": 0.02, "temperature": 1.7, "logit_softcap": 4.0},
    "none": {"reduction": "none", "label_smoothing": 0.1},
    "sum": {"reduction": "sum", "z_loss": 0.1},
    "recompute": {"path": "cpu-recompute"},
    "outputs": {"compute": ("row_loss", "log_partition", "entropy", "accuracy"), "top_k": 17},
}
WORKSPACE = 30_000
"""Bytes: blocks of 64 or 96 rows."""


def problem(kind, q=Q, dtype=torch.float64, seed=0, n=N):
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)

    X, W, b = normal(n, D), normal(q, D), normal(q)
    options = {
        "weight": torch.rand(q, generator=generator, dtype=torch.float64).to(dtype),
        "sample_weight": torch.rand(n, generator=generator, dtype=torch.float64).to(dtype),
    }
    y = torch.randint(q, (n,), generator=generator)
    if kind == "labels":
        y[[2, n - 1]] = -100
        options["chosen"] = torch.randint(q, (n, 3), generator=generator)
    if kind == "targets":
        y = normal(n, q).softmax(dim=1)
    if kind == "top-k":
        y = torch.rand(n, q, generator=generator).topk(4, dim=1).indices
        options["target_probabilities"] = torch.rand(n, 4, generator=generator).to(dtype)
        y[2], y[4, 1] = -100, -100
    return X, W, b, y, options


def fields(result):
    """Outputs by name, detached."""
    named = result._asdict() if hasattr(result, "_asdict") else {"loss": result}
    return {name: x.detach() for name, x in named.items() if x is not None}


def weighted_sum(result):
    """A number that every differentiable output has a part in, so that gradients meet all."""
    total = 0.0
    for number, x in enumerate(result if isinstance(result, tuple) else (result,)):
        if x is not None and x.requires_grad:
            up = torch.arange(1.0, x.numel() + 1, dtype=x.dtype).reshape(x.shape)
            total = total + (number + 1) * (x * up.to(x.device)).nan_to_num().sum()
    return total


def parallel(group, X, W, b, y, options, device):
    """Outputs and gradients of this process's slice."""
    own = vocabulary_slice(len(W), group=group)
    layer = [x.to(device).requires_grad_() for x in (X.clone(), W[own].clone(), b[own].clone())]
    on_device = {k: x.to(device) if isinstance(x, torch.Tensor) else x for k, x in options.items()}
    found = vocabulary_parallel_linear_cross_entropy(
        layer[0],
        layer[1],
        y.to(device),
        linear_bias=layer[2],
        num_classes=len(W),
        group=group,
        **on_device,
    )
    made = torch.autograd.grad(weighted_sum(found), layer)
    return fields(found), [x.cpu() for x in made]


def whole(X, W, b, y, options):
    """The same of one process."""
    options = {
        name: x for name, x in options.items() if name not in ("path", "max_workspace_bytes")
    }
    layer = [x.clone().requires_grad_() for x in (X, W, b)]
    found = linear_cross_entropy(layer[0], layer[1], y, linear_bias=layer[2], **options)
    return fields(found), list(torch.autograd.grad(weighted_sum(found), layer))


def check_values(groups, device):
    """Every kind of target and every option, among two and among four."""
    found = {}
    for group in groups:
        ranks = dist.get_world_size(group)
        for kind in ("labels", "targets", "top-k"):
            for name, options in OPTIONS.items():
                for q in (Q, Q - 1) if name in ("plain", "outputs") else (Q,):
                    X, W, b, y, rest = problem(kind, q)
                    given = {**rest, **options, "max_workspace_bytes": WORKSPACE}
                    if name == "outputs" and kind != "labels":
                        given["compute"] = ("row_loss", "entropy")
                    ours = parallel(group, X, W, b, y, given, device)
                    theirs = whole(X, W, b, y, given)
                    key = (ranks, kind, name, q)
                    found[key] = (ours, theirs, vocabulary_slice(q, group=group))
    return found


class Model(torch.nn.Module):
    """Rows of an embedding, a layer, and the loss with all classes or with this process's."""

    def __init__(self, group=None, as_dtensor=None, **options):
        super().__init__()
        torch.manual_seed(3)
        kind = {"dtype": torch.float64}
        self.embedding = torch.nn.Embedding(Q, D, **kind)
        self.hidden = torch.nn.Linear(D, D, **kind)
        self.head = LinearCrossEntropy(D, Q, bias=True, **options, **kind)
        self.group, self.mesh = group, as_dtensor
        if group is not None:
            own = vocabulary_slice(Q, group=group)
            for name, x in list(self.head.linear.named_parameters()):
                setattr(self.head.linear, name, torch.nn.Parameter(x.detach()[own].clone()))
        if self.mesh is not None:
            for name, x in list(self.head.linear.named_parameters()):
                part = distribute_tensor(x.detach(), self.mesh, [Shard(0)])
                setattr(self.head.linear, name, torch.nn.Parameter(part))

    def forward(self, tokens):
        x = torch.tanh(self.hidden(self.embedding(tokens)))
        if self.group is None and self.mesh is None:
            return self.head(x, tokens)
        linear = self.head.linear
        rest = {} if self.group is None else {"group": self.group, "num_classes": Q}
        options = {"shift": self.head.options["shift"], "path": self.head.options["path"]}
        return vocabulary_parallel_linear_cross_entropy(
            x, linear.weight, tokens, linear_bias=linear.bias, **rest, **options
        )


def trained(model, wrapped, tokens):
    """Loss of one step, parameters' gradients as whole tensors."""
    loss = wrapped(tokens)
    loss.backward()
    gradients = {}
    for name, x in model.named_parameters():
        gradients[name] = x.grad.full_tensor() if hasattr(x.grad, "full_tensor") else x.grad
    return loss.detach(), gradients


def check_training(_groups, device):
    """One step: data in parallel, classes in parallel, and both in a grid of two by two."""
    mesh = init_device_mesh(device.type, (2, 2), mesh_dim_names=("data", "classes"))
    every = init_device_mesh(device.type, (4,))
    data, classes = mesh["data"], mesh["classes"]
    tokens = torch.randint(Q, (8, 12), generator=torch.Generator().manual_seed(4)).to(device)
    quarter = tokens.chunk(4)[dist.get_rank()]
    half = tokens.chunk(2)[data.get_local_rank()]
    own = vocabulary_slice(Q, group=classes.get_group())
    found = {"slice": own}
    for path in (None, "cpu-recompute") if device.type == "cpu" else (None,):
        options = {"shift": 1, "path": path}
        model = Model(**options).to(device)
        found["expected", path] = trained(model, model, tokens)
        model = Model(**options).to(device)
        found["DDP", path] = trained(model, DistributedDataParallel(model), quarter)
        model = Model(**options).to(device)
        for part in (model.hidden, model.head, model):
            fully_shard(part, mesh=every)
        found["FSDP2", path] = trained(model, model, quarter)
        model = Model(classes.get_group(), **options).to(device)
        wrapped = DistributedDataParallel(model, process_group=data.get_group())
        found["classes, DDP", path] = trained(model, wrapped, half)
        model = Model(classes.get_group(), **options).to(device)
        for part in (model.hidden, model):
            fully_shard(part, mesh=data)
        found["classes, FSDP2", path] = trained(model, model, half)
        model = Model(as_dtensor=classes, **options).to(device)
        found["DTensor", path] = trained(model, model, tokens)
        model = Model(as_dtensor=classes, **options).to(device)
        for part in (model.hidden, model):
            fully_shard(part, mesh=data)
        found["DTensor, FSDP2", path] = trained(model, model, half)
    return found


def message_of(call):
    try:
        call()
    except (InputError, NotImplementedError) as error:
        return f"{type(error).__name__}: {error}"
    return "no error"


def check_refusals(_groups, device):
    """What is wrong on every process alike, so that none waits for another."""
    rank = dist.get_rank()
    X, W, _, y, _ = (x.to(device) if torch.is_tensor(x) else x for x in problem("labels"))
    own = vocabulary_slice(Q)

    def call(input=X, weight=W[own], target=y, **options):
        return vocabulary_parallel_linear_cross_entropy(
            input, weight, target, **{"num_classes": Q, **options}
        )

    def twice():
        x = X.clone().requires_grad_()
        torch.autograd.grad(call(x), x, create_graph=True)

    out_of_range = y.clone()
    out_of_range[7] = Q
    ignored = torch.full_like(y, -100)
    replicated = distribute_tensor(W, init_device_mesh(device.type, (4,)), [Replicate()])
    messages = {
        "whole weight": message_of(lambda: call(weight=W)),
        "no classes": message_of(lambda: call(num_classes=None)),
        "empty slice": message_of(lambda: vocabulary_slice(9)),
        "label": message_of(lambda: call(target=out_of_range)),
        "other rows": message_of(lambda: call(X + rank)),
        "other blocks": message_of(
            lambda: call(X.clone().requires_grad_(), max_workspace_bytes=WORKSPACE * (1 + rank))
        ),
        "reference": message_of(lambda: call(path="reference")),
        "replicated": message_of(lambda: call(weight=replicated)),
        "second derivative": message_of(twice),
        "not sharded here": message_of(lambda: linear_cross_entropy(X, replicated, y)),
    }
    return {"messages": messages, "all ignored": call(target=ignored)}


def check_communication(groups, _device):
    """Bytes that this process gave to others, and the rows that are not ignored."""
    X, W, _, y, _ = problem("labels")
    sent = {"all_gather": 0, "all_reduce": 0}
    originals = {name: getattr(dist, name) for name in sent}

    def counting(name, which):
        def call(*given, **rest):
            sent[name] += given[which].numel() * given[which].element_size()
            return originals[name](*given, **rest)

        return call

    dist.all_gather = counting("all_gather", 1)
    dist.all_reduce = counting("all_reduce", 0)
    try:
        own = vocabulary_slice(Q)
        layer = X.requires_grad_(), W[own].requires_grad_()
        vocabulary_parallel_linear_cross_entropy(*layer, y, num_classes=Q).backward()
    finally:
        for name, function in originals.items():
            setattr(dist, name, function)
    return {"sent": sent, "rows": int((y >= 0).sum()), "ranks": dist.get_world_size(groups[0])}


def check_half_precision(_groups, _device):
    """bfloat16, whose gradients are summed in float32."""
    X, W, _, y, _ = problem("labels", dtype=torch.bfloat16)
    own = vocabulary_slice(Q)
    layer = [x.clone().requires_grad_() for x in (X, W[own])]
    loss = vocabulary_parallel_linear_cross_entropy(*layer, y, num_classes=Q)
    exact = [x.double().requires_grad_() for x in (X, W)]
    expected = linear_cross_entropy(*exact, y)
    made, theirs = torch.autograd.grad(loss, layer), torch.autograd.grad(expected, exact)
    return loss.detach(), made, expected.detach(), (theirs[0], theirs[1][own])


def check_products(_groups, device):
    """Logits that each process makes in a step, where they do not have equally many classes."""
    made, fill = [0], Tiles.fill

    def counting(self, out, *rest):
        made[0] += out.numel()
        fill(self, out, *rest)

    X, W, b, y, _ = (x.to(device) if torch.is_tensor(x) else x for x in problem("labels", Q - 1))
    own = vocabulary_slice(Q - 1)
    layer = [x.requires_grad_() for x in (X, W[own].clone(), b[own].clone())]
    # Room for 112 of 198 rows with 12 classes, or for 96 with 13: two blocks or three.
    options = {"linear_bias": layer[2], "num_classes": Q - 1, "max_workspace_bytes": 32_500}
    Tiles.fill = counting
    found = {}
    for name, top_k in (("plain", 0), ("more than the smallest slice", 13)):
        made[0] = 0
        result = vocabulary_parallel_linear_cross_entropy(
            layer[0], layer[1], y, top_k=top_k, **options
        )
        getattr(result, "loss", result).backward()
        found[name] = made[0]
    Tiles.fill = fill
    return {"made": found, "rows": int((y != -100).sum()), "slice": own}


CHECKS = {
    "values": check_values,
    "training": check_training,
    "refusals": check_refusals,
    "products": check_products,
    "communication": check_communication,
    "half precision": check_half_precision,
}


def work(rank, backend, ranks, results):
    torch.set_num_threads(1)
    dist.init_process_group(
        backend, init_method=f"file://{results}/rendezvous", rank=rank, world_size=ranks
    )
    device = torch.device("cpu" if backend == "gloo" else f"cuda:{rank}")
    groups = [dist.group.WORLD]
    if ranks == 4:
        pairs = [dist.new_group([0, 1]), dist.new_group([2, 3])]
        groups.append(pairs[rank // 2])
    checks = CHECKS if ranks == 4 and backend == "gloo" else {"values": check_values}
    found = {name: check(groups, device) for name, check in checks.items()}
    torch.save(found, Path(results) / f"{rank}.pt")
    dist.barrier()
    dist.destroy_process_group()


def main():
    backend, ranks, results = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    mp.start_processes(work, (backend, ranks, results), nprocs=ranks, start_method="spawn")


if __name__ == "__main__":
    main()
