"""Outputs besides the loss, and their gradients, against torch.distributions and log_softmax."""

import pytest
import torch
from torch.distributions import Categorical

from crossent.errors import InputError
from crossent.torch import LinearCrossEntropyResult, linear_cross_entropy, softmax_cross_entropy

PATHS = ("cpu-blocks", "cpu-held", "cpu-recompute", "reference")
COMPUTE = ("row_loss", "log_partition", "entropy", "accuracy")
every_path = pytest.mark.parametrize("path", PATHS)


def near(ours, theirs):
    largest = theirs.abs().max().item()
    torch.testing.assert_close(ours, theirs, rtol=5e-13, atol=5e-13 * largest)


@pytest.fixture
def found_and_expected(problem):
    """All outputs of a path, and the same from logits, for the rows that are in use."""

    def make(path, **options):
        given = problem("labels")
        chosen = torch.randint(53, (29, 3), generator=torch.Generator().manual_seed(2))
        used = given.target != -100
        found = given.call(
            linear_cross_entropy,
            compute=COMPUTE,
            top_k=4,
            chosen=chosen,
            path=path,
            **options,
        )
        z = given.logits()[used]
        log_p = z.log_softmax(dim=1)
        top = z.topk(4, dim=1).indices
        expected = LinearCrossEntropyResult(
            loss=given.expected(),
            row_loss=-log_p.gather(1, given.target[used][:, None])[:, 0],
            log_partition=z.logsumexp(dim=1),
            entropy=Categorical(logits=z).entropy(),
            accuracy=(z.argmax(dim=1) == given.target[used]).double().mean(),
            top_classes=top,
            top_log_probabilities=log_p.gather(1, top),
            chosen_log_probabilities=log_p.gather(1, chosen[used]),
        )
        return given, used, found, expected

    return make


@every_path
def test_outputs_are_those_of_all_logits(found_and_expected, path):
    _, used, found, expected = found_and_expected(path)

    for name, value in expected._asdict().items():
        ours = getattr(found, name)
        if value is None:
            assert ours is None
        elif value.ndim == 0:
            near(ours, value)
        elif value.dtype == torch.int64:
            assert torch.equal(ours[used], value)
        else:
            near(ours[used], value)


@every_path
@pytest.mark.parametrize(
    "name",
    [
        "row_loss",
        "log_partition",
        "entropy",
        "top_log_probabilities",
        "chosen_log_probabilities",
    ],
)
@pytest.mark.parametrize("beside_the_loss", [False, True])
def test_outputs_have_gradients_alone_and_beside_the_loss(
    found_and_expected, path, name, beside_the_loss
):
    given, used, found, expected = found_and_expected(path)

    def total(result, rows):
        value = getattr(result, name)[rows]
        weights = torch.linspace(-1.0, 2.0, value.numel(), dtype=torch.float64)
        some = (value * weights.reshape(value.shape)).sum()
        return some + 3.0 * result.loss if beside_the_loss else some

    ours = torch.autograd.grad(total(found, used), given.layer)
    theirs = torch.autograd.grad(total(expected, slice(None)), given.layer)

    for one, other in zip(ours, theirs, strict=True):
        near(one, other)


@every_path
@pytest.mark.parametrize("options", [{"logit_softcap": 2.0, "temperature": 0.6}, {"z_loss": 0.1}])
def test_an_entropy_in_the_objective_has_the_right_gradient_under_every_option(
    problem, path, options
):
    given = problem("labels", ignored=False)
    found = given.call(linear_cross_entropy, compute=["entropy"], path=path, **options)
    z = given.logits(options.get("logit_softcap"), options.get("temperature", 1.0))
    theirs = given.expected(**options) - 0.1 * Categorical(logits=z).entropy().mean()

    ours = found.loss - 0.1 * found.entropy.mean()

    near(ours, theirs)
    pairs = zip(
        torch.autograd.grad(ours, given.layer),
        torch.autograd.grad(theirs, given.layer),
        strict=True,
    )
    for one, other in pairs:
        near(one, other)


@every_path
def test_an_ignored_row_has_no_loss_and_no_other_number(found_and_expected, path):
    _, used, found, _ = found_and_expected(path)

    assert not used.all()
    assert (found.row_loss[~used] == 0.0).all()
    assert (found.top_classes[~used] == -1).all()
    for name in ("log_partition", "entropy", "top_log_probabilities", "chosen_log_probabilities"):
        assert getattr(found, name)[~used].isnan().all()


@every_path
def test_of_equal_logits_the_first_class_is_the_best(path):
    X, W = torch.ones(2, 1), torch.tensor([[1.0], [3.0], [3.0], [0.0]])

    found = linear_cross_entropy(
        X, W, torch.tensor([1, 2]), compute=["accuracy"], top_k=1, path=path
    )

    assert found.top_classes.tolist() == [[1], [1]]
    assert found.accuracy.item() == 0.5


@every_path
def test_the_accuracy_weighs_rows_by_their_weights(path):
    X, W = torch.ones(3, 1), torch.tensor([[2.0], [1.0]])
    options = {"sample_weight": torch.tensor([1.0, 2.0, 5.0]), "path": path}

    found = linear_cross_entropy(X, W, torch.tensor([0, 1, 0]), compute=["accuracy"], **options)

    assert found.accuracy.item() == 0.75


def test_row_outputs_have_the_targets_shape(problem):
    given = problem("labels", n=24)
    X, y = given.input.reshape(2, 3, 4, 6), given.target.reshape(2, 3, 4)

    found = linear_cross_entropy(X, given.linear_weight, y, compute=COMPUTE, top_k=5)
    single = linear_cross_entropy(
        X[0, 0, 0], given.linear_weight, y[0, 0, 0], compute=COMPUTE, top_k=5
    )

    assert found.row_loss.shape == found.entropy.shape == (2, 3, 4)
    assert found.top_classes.shape == (2, 3, 4, 5)
    assert single.loss.shape == single.row_loss.shape == single.entropy.shape == ()
    assert torch.equal(single.top_classes, found.top_classes[0, 0, 0])


def test_given_logits_have_the_same_outputs(found_and_expected):
    given, used, found, expected = found_and_expected("cpu-recompute")
    again = softmax_cross_entropy(
        given.logits(), given.target, compute=COMPUTE, top_k=4, max_workspace_bytes=10**6
    )

    near(again.entropy[used], expected.entropy)
    assert torch.equal(again.top_classes, found.top_classes)
    near(again.loss, expected.loss)


def test_accuracy_needs_labels(problem):
    with pytest.raises(InputError, match="accuracy; it needs one class label"):
        problem("targets").call(linear_cross_entropy, compute=["accuracy"])


@pytest.mark.parametrize("kind", ["labels", "targets"])
@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_what_is_done_to_the_outputs_does_not_reach_the_backward_pass(problem, kind, reduction):
    given = problem(kind, ignored=False)
    names = ("row_loss", "log_partition", "entropy")
    options = {"reduction": reduction, "compute": names, "top_k": 2, "path": "cpu-recompute"}
    expected = torch.autograd.grad(given.expected(), given.layer)

    found = given.call(linear_cross_entropy, **options)
    with torch.no_grad():
        for name in (*names, "top_classes", "top_log_probabilities"):
            getattr(found, name).zero_()

    assert found.loss.abs().min() > 0.0
    for one, other in zip(
        torch.autograd.grad(found.loss.mean(), given.layer), expected, strict=True
    ):
        near(one, other)
