"""The computation graph: Kahn's order, accumulation, pruning, both ways of parameters, pictures, refusals."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from impl import functional as F
from impl import nn
from impl.graph import Apply, Graph, GraphError, Input, kahn


def feeds(rng=None):
    rng = rng or np.random.default_rng(0)
    return {
        "x": rng.standard_normal((5, 3)), "y": rng.standard_normal((5, 2)),
        "w1": rng.standard_normal((3, 4)), "b1": rng.standard_normal(4), "w2": rng.standard_normal((4, 2)), "b2": rng.standard_normal(2),
    }  # fmt: skip


def network():
    """The 3-4-2 network of document 003, its parameters nodes of their own."""
    n = {name: Input(name) for name in feeds()}
    hidden = Apply(F.sigmoid, Apply(F.affine, n["x"], n["w1"], n["b1"]), name="hidden")
    out = Apply(F.tanh, Apply(F.affine, hidden, n["w2"], n["b2"]), name="out")
    return Graph(Apply(F.mse_loss, out, n["y"], name="cost"))


def test_gradients_equal_jax_grad():
    def cost(p, x, y):
        out = jnp.tanh(jax.nn.sigmoid(x @ p["w1"] + p["b1"]) @ p["w2"] + p["b2"])
        return ((out - y) ** 2).mean()

    given = feeds()
    wanted = ["w1", "b1", "w2", "b2", "x"]
    values, gradients = network().run(given, wanted)
    with jax.enable_x64(True):
        parameters = {name: given[name] for name in wanted if name != "x"}
        loss, expected = jax.value_and_grad(cost)(parameters, given["x"], given["y"])
        expected["x"] = jax.grad(cost, argnums=1)(parameters, given["x"], given["y"])
    assert values["cost"] == pytest.approx(float(loss))
    for name in wanted:
        np.testing.assert_allclose(gradients[name], expected[name], rtol=1e-10, atol=1e-13)


def test_a_node_that_feeds_several_and_one_parent_twice_accumulate():
    x = Input("x")
    doubled = Apply(F.add, x, x)
    both = Apply(F.add, Apply(F.sigmoid, doubled), Apply(F.tanh, doubled))
    _, gradients = Graph(Apply(F.mse_loss, both, Input("y"))).run({"x": np.array([0.3]), "y": np.array([0.0])}, ["x"])
    with jax.enable_x64(True):
        expected = jax.grad(lambda v: ((jax.nn.sigmoid(2 * v) + jnp.tanh(2 * v)) ** 2).sum())(jnp.array([0.3]))
    np.testing.assert_allclose(gradients["x"], expected, rtol=1e-12)


def test_parameters_inside_a_node_and_as_nodes_give_the_same():
    given = feeds()
    x, y = Input("x"), Input("y")
    inside = Graph(Apply(F.mse_loss, Apply(nn.Affine(3, 2), x, name="layer"), y))
    b = np.array([1.0, 2.0])
    _, one = inside.run(
        {"x": given["x"], "y": given["y"]}, ["layer", "x"], parameters={"layer": {"w": given["w1"][:, :2], "b": b}}
    )
    x, y = Input("x"), Input("y")
    outside = Graph(Apply(F.mse_loss, Apply(F.affine, x, Input("w"), Input("b")), y))
    _, two = outside.run({"x": given["x"], "y": given["y"], "w": given["w1"][:, :2], "b": b}, ["w", "b", "x"])
    np.testing.assert_array_equal(one["layer"]["w"], two["w"])
    np.testing.assert_array_equal(one["layer"]["b"], two["b"])
    np.testing.assert_array_equal(one["x"], two["x"])


def test_only_what_is_wanted_is_gone_back_through(monkeypatch):
    called = []
    original = type(F.affine).backward

    def watch(self, kept, dy, wanted=None, **configuration):
        called.append((self.name, tuple(wanted) if wanted is not None else None))
        return original(self, kept, dy, wanted, **configuration)

    monkeypatch.setattr(type(F.affine), "backward", watch)
    network().run(feeds(), ["w2"])
    assert called == [("mse_loss", ("prediction",)), ("tanh", ("x",)), ("affine", ("w",))]


def test_labels_of_a_loss_have_gradient_zero():
    """The output does not depend, as far as gradients go, on an array that takes none."""
    graph = Graph(Apply(F.cross_entropy, Input("logits"), Input("labels")))
    _, gradients = graph.run({"logits": np.ones((2, 3)), "labels": np.array([0, 1])}, ["logits", "labels"])
    assert gradients["logits"].shape == (2, 3)
    np.testing.assert_array_equal(gradients["labels"], [0, 0])


def test_jax_arrays_and_jit():
    given = {name: jnp.asarray(x, jnp.float32) for name, x in feeds().items()}
    graph = network()
    eager = graph.run(given, ["w1"])[1]["w1"]
    np.testing.assert_allclose(jax.jit(lambda f: graph.run(f, ["w1"])[1])(given)["w1"], eager, rtol=1e-6)


def test_a_long_chain_of_diamonds_is_ordered_in_a_blink():
    node = Input("x")
    for _ in range(200):
        node = Apply(F.add, Apply(F.relu, node), Apply(F.tanh, node))
    order = kahn(node)
    place = {n: i for i, n in enumerate(order)}
    assert len(order) == 601
    assert all(place[p] < place[n] for n in order for p in n.parents)


def test_pictures():
    graph = network()
    assert "out = tanh(affine2)" in str(graph)
    dot = graph.graphviz()
    assert dot.startswith("digraph {") and '"hidden" -> "affine2"' in dot
    svg = graph.svg()
    assert svg.count("<rect") == len(graph.order) and re.search(r"out: tanh", svg)


def cycle():
    a = Apply(F.relu, Input("x"), name="a")
    b = Apply(F.relu, a, name="b")
    a.connect(b)
    return Graph(b)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (cycle, "cycle through or before the nodes"),
        (lambda: network().run({k: v for k, v in feeds().items() if k != "b1"}), "node b1 is an input and was not fed"),
        (lambda: network().run(feeds() | {"z": np.ones(1)}), "z was fed but is no input"),
        (lambda: network().run(feeds() | {"w1": [1.0]}), "node w1: the feed must be"),
        (lambda: network().run(feeds() | {"w1": np.ones((9, 4))}), "node affine1: affine: x has 3 features"),
        (lambda: network().run(feeds() | {"y": np.ones((5, 9))}), "node cost: mse_loss"),
        (lambda: Graph(Apply(F.add, Input("x"), Input("x"))), "two nodes are called x"),
        (lambda: Apply(F.relu, np.ones(1)), "parent 1 must be a node"),
        (lambda: Apply("relu", Input("x")), "must be a rule or a module"),
        (lambda: Apply(nn.Affine(1, 1), Input("x"), Input("y"), name="m"), "m: a module takes one parent"),
        (lambda: Graph(Apply(F.relu, Input("x"))).run({"x": np.ones(2)}, ["x"]), "needs a single number, got shape"),
        (lambda: network().run(feeds(), ["z"]), "there is no node z"),
        (lambda: network().run(feeds(), parameters={"w1": {}}), "parameters are given for w1"),
    ],
)
def test_refusals_name_the_node(call, message):
    with pytest.raises(GraphError, match=message):
        call()
