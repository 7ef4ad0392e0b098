"""Optimisers compared step by step with PyTorch's, schedules, clipping, batch gradient descent."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from impl import optim
from impl.tree import flat

SETTINGS = [
    (optim.SGD(rate=0.05), "SGD", {"lr": 0.05}),
    (optim.SGD(rate=0.05, momentum=0.9, weight_decay=0.01), "SGD", {"lr": 0.05, "momentum": 0.9, "weight_decay": 0.01}),
    (optim.SGD(rate=0.05, momentum=0.9, dampening=0.3), "SGD", {"lr": 0.05, "momentum": 0.9, "dampening": 0.3}),
    (optim.SGD(rate=0.05, momentum=0.9, nesterov=True), "SGD", {"lr": 0.05, "momentum": 0.9, "nesterov": True}),
    (optim.Adam(rate=0.01, weight_decay=0.1), "Adam", {"lr": 0.01, "weight_decay": 0.1}),
    (optim.Adam(rate=0.01, betas=(0.5, 0.9), eps=1e-3), "Adam", {"lr": 0.01, "betas": (0.5, 0.9), "eps": 1e-3}),
    (optim.AdamW(rate=0.01), "AdamW", {"lr": 0.01}),
    (optim.RMSProp(rate=0.01, weight_decay=0.1), "RMSprop", {"lr": 0.01, "weight_decay": 0.1}),
    (optim.RMSProp(rate=0.01, alpha=0.9, momentum=0.8), "RMSprop", {"lr": 0.01, "alpha": 0.9, "momentum": 0.8}),
    (optim.AdaGrad(rate=0.1, weight_decay=0.01), "Adagrad", {"lr": 0.1, "weight_decay": 0.01}),
]
IDS = [repr(s[0]) for s in SETTINGS]


def problem():
    rng = np.random.default_rng(0)
    start = {"a": {"w": rng.standard_normal((3, 2))}, "b": rng.standard_normal(4)}
    curvature = {"a.w": rng.uniform(0.5, 3, (3, 2)), "b": rng.uniform(0.5, 3, 4)}
    return start, curvature


@pytest.mark.framework("torch")
@pytest.mark.parametrize(("optimiser", "name", "options"), SETTINGS, ids=IDS)
def test_hundred_steps_are_those_of_pytorch(optimiser, name, options):
    import torch

    parameters, curvature = problem()
    tensors = {k: torch.tensor(v, requires_grad=True) for k, v in flat(parameters).items()}
    theirs = getattr(torch.optim, name)(list(tensors.values()), **options)
    slots = optimiser.init(parameters)
    for step in range(100):
        gradients = {
            "a": {"w": curvature["a.w"] * np.sin(parameters["a"]["w"] + step)},
            "b": curvature["b"] * parameters["b"],
        }
        parameters, slots = optimiser.update(gradients, slots, parameters)
        for k, t in tensors.items():
            c = torch.tensor(curvature[k])
            t.grad = (c * torch.sin(t.detach() + step)) if k == "a.w" else c * t.detach()
        theirs.step()
        for k, w in flat(parameters).items():
            np.testing.assert_allclose(w, tensors[k].detach().numpy(), rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize(("optimiser", "name", "options"), SETTINGS, ids=IDS)
def test_numpy_and_jitted_jax_agree_in_float32(optimiser, name, options):
    parameters, _ = problem()
    parameters = {"a": {"w": parameters["a"]["w"].astype("f4")}, "b": parameters["b"].astype("f4")}
    ours, theirs = parameters, jax.tree.map(jnp.asarray, parameters)
    slots, jax_slots = optimiser.init(ours), jax.tree.map(jnp.asarray, optimiser.init(ours))
    update = jax.jit(optimiser.update)
    for _ in range(10):
        g = {"a": {"w": ours["a"]["w"] * 2}, "b": ours["b"] * 3}
        ours, slots = optimiser.update(g, slots, ours, np.float32(0.01))
        theirs, jax_slots = update(
            {"a": {"w": theirs["a"]["w"] * 2}, "b": theirs["b"] * 3}, jax_slots, theirs, jnp.float32(0.01)
        )
    for k, w in flat(ours).items():
        assert w.dtype == np.float32 and flat(theirs)[k].dtype == jnp.float32
        np.testing.assert_allclose(w, flat(theirs)[k], rtol=2e-5, atol=1e-6)


def test_optax_drives_the_parameters_of_a_module():
    optax = pytest.importorskip("optax")
    from impl.models import mlp
    from impl.train import loss_and_gradients

    net = mlp([4, 8, 3])
    parameters, state = net.init(0)
    parameters = jax.tree.map(jnp.asarray, parameters)
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.standard_normal((30, 4)), jnp.float32)
    y = jnp.asarray(np.argmax(np.asarray(x)[:, :3], 1))
    tool = optax.adam(1e-2)
    slots = tool.init(parameters)

    @jax.jit
    def step(p, s):
        loss, _, g, _ = loss_and_gradients(net, p, state, x, y)
        move, s = tool.update(g, s, p)
        return optax.apply_updates(p, move), s, loss

    losses = []
    for _ in range(60):
        parameters, slots, loss = step(parameters, slots)
        losses.append(float(loss))
    assert losses[-1] < 0.3 * losses[0]


def test_schedules():
    assert [optim.constant(0.1)(s) for s in (0, 9)] == [0.1, 0.1]
    assert [optim.stepped(1.0, 10)(s) for s in (0, 9, 10, 25)] == pytest.approx([1, 1, 0.1, 0.01])
    rate = optim.cosine(1.0, 110, warmup=10)
    assert [rate(s) for s in (0, 9, 10, 60, 110, 999)] == pytest.approx([0.1, 1, 1, 0.5, 0, 0])


@pytest.mark.parametrize("xp", [np, jnp], ids=["numpy", "jax"])
def test_clipping_keeps_the_direction_and_bounds_the_norm(xp):
    g = {"a": xp.asarray([3.0, 4.0]), "b": xp.asarray([[12.0]])}
    small = optim.clipped(g, 100.0)
    np.testing.assert_allclose(small["a"], [3, 4])
    cut = optim.clipped(g, 1.3)
    norm = float(sum((v * v).sum() for v in cut.values())) ** 0.5
    assert norm == pytest.approx(1.3, rel=1e-5)
    np.testing.assert_allclose(cut["a"][1] / cut["a"][0], 4 / 3, rtol=1e-6)


def test_batch_gradient_descent_stops_at_threshold_and_at_limit():
    def bowl(p):
        return (p["w"] ** 2).sum() / 2, {"w": p["w"]}

    found, steps = optim.batch_gradient_descent(bowl, {"w": np.array([8.0])}, step=0.5, limit=100, threshold=0.1)
    assert (float(found["w"][0]), steps) == (0.0625, 7)
    found, steps = optim.batch_gradient_descent(bowl, {"w": np.array([8.0])}, step=0.5, limit=2, threshold=0.0)
    assert (float(found["w"][0]), steps) == (2.0, 2)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: optim.SGD(rate=-1), r"rate .*\[0, inf\), got -1"),
        (lambda: optim.SGD(momentum=1.0), r"momentum .*\[0, 1\), got 1.0"),
        (lambda: optim.SGD(nesterov=True), "Nesterov"),
        (lambda: optim.SGD(weight_decay=-1), "weight_decay .*-1"),
        (lambda: optim.Adam(betas=(0.9, 1.0)), r"betas\[1\] .*1.0"),
        (lambda: optim.Adam(eps=-1), "eps .*-1"),
        (lambda: optim.RMSProp(alpha=2), "alpha .*2"),
        (lambda: optim.RMSProp(weight_decay=-2), "weight_decay .*-2"),
        (lambda: optim.RMSProp(eps=-2), "eps .*-2"),
        (lambda: optim.AdaGrad(rate=-1), "rate .*-1"),
        (lambda: optim.AdaGrad(weight_decay=-1), "weight_decay .*-1"),
        (lambda: optim.stepped(1.0, 0), "every .*0"),
        (lambda: optim.cosine(1.0, 10, warmup=10), "warmup .*10.*10"),
        (lambda: optim.clipped({"w": np.ones(1)}, -1), "limit .*-1"),
        (lambda: optim.batch_gradient_descent(None, {}, step=1, limit=0, threshold=0), "limit .*0"),
        (lambda: optim.batch_gradient_descent(None, {}, step=-1, limit=1, threshold=0), "step .*-1"),
    ],
)
def test_refusals(call, message):
    with pytest.raises(ValueError, match=message):
        call()
