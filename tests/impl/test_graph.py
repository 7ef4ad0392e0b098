"""The computation graph: Kahn's order, accumulation, pruning, both ways of parameters, pictures, refusals."""

from xml.etree import ElementTree as Tree

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
    """The 3-4-2 network of document 003, with a node for each parameter."""
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


def test_a_module_is_asked_for_dx_only_if_that_leads_to_a_wanted_node():
    asked = []

    class Watched(nn.Linear):
        def vjp(self, *arguments, **options):
            y, state, back = super().vjp(*arguments, **options)
            return y, state, lambda dy, wants_dx=True: asked.append((self.name, wants_dx)) or back(dy, wants_dx)

    first, second = Watched(3, 3), Watched(3, 2)
    first.name, second.name = "first", "second"
    graph = Graph(Apply(F.mse_loss, Apply(second, Apply(first, Input("x"), name="a"), name="b"), Input("y")))
    given = {"x": np.ones((4, 3), np.float32), "y": np.zeros((4, 2), np.float32)}
    parameters = {"a": first.init(1)[0], "b": second.init(2)[0]}
    _, all_three = graph.run(given, ["a", "b", "x"], parameters=parameters)
    assert asked == [("second", True), ("first", True)]
    for wanted, expected in [("a", [("second", True), ("first", False)]), ("b", [("second", False)])]:
        asked.clear()
        _, gradients = graph.run(given, [wanted], parameters=parameters)
        assert asked == expected
        np.testing.assert_array_equal(gradients[wanted]["w"], all_three[wanted]["w"])


@pytest.mark.parametrize("seed", [np.random.default_rng(0), jax.random.key(0)], ids=["numpy", "jax"])
def test_two_dropouts_of_a_graph_drop_different_elements(seed):
    x = Input("x")
    graph = Graph(Apply(F.add, Apply(nn.Dropout(), x, name="a"), Apply(nn.Dropout(), x, name="b")))
    ones = np.ones((20, 20), np.float32)
    fed = jnp.asarray(ones) if not isinstance(seed, np.random.Generator) else ones
    values, _ = graph.run({"x": fed}, training=True, seed=seed)
    assert 0.4 < float((values["a"] == values["b"]).mean()) < 0.6


def test_labels_of_a_loss_have_gradient_zero():
    """An array that takes no gradient counts as one on which the output does not depend."""
    graph = Graph(Apply(F.cross_entropy, Input("logits"), Input("labels")))
    _, gradients = graph.run({"logits": np.ones((2, 3)), "labels": np.array([0, 1])}, ["logits", "labels"])
    assert gradients["logits"].shape == (2, 3)
    np.testing.assert_array_equal(gradients["labels"], [0, 0])


def test_jax_arrays_and_jit():
    given = {name: jnp.asarray(x, jnp.float32) for name, x in feeds().items()}
    graph = network()
    eager = graph.run(given, ["w1"])[1]["w1"]
    np.testing.assert_allclose(jax.jit(lambda f: graph.run(f, ["w1"])[1])(given)["w1"], eager, rtol=1e-6)
    np.testing.assert_allclose(eager, graph.run(feeds(), ["w1"])[1]["w1"], rtol=1e-4, atol=1e-6)


def test_a_long_chain_of_diamonds_visits_each_node_once():
    """There are 2**200 paths through it; only a visit per node can end."""
    node = Input("x")
    for _ in range(200):
        node = Apply(F.add, Apply(F.relu, node), Apply(F.tanh, node))
    order = kahn(node)
    place = {n: i for i, n in enumerate(order)}
    assert len(order) == 601
    assert all(place[p] < place[n] for n in order for p in n.parents)


def test_pictures_show_every_node_and_every_edge():
    graph = network()
    edges = {(p.name, n.name) for n in graph.order for p in n.parents}
    assert len(edges) == 10 and ("hidden", "affine2") in edges
    lines = str(graph).splitlines()
    assert len(lines) == len(graph.order) == 11 and "out = tanh(affine2)" in lines
    dot = graph.graphviz().splitlines()
    assert {tuple(line.strip().replace('"', "").split(" -> ")) for line in dot if "->" in line} == edges
    assert sum("shape=ellipse" in line for line in dot) == 6 and sum("shape=box" in line for line in dot) == 5
    svg = Tree.fromstring(graph.svg())
    drawn = {part: svg.findall(f"{{http://www.w3.org/2000/svg}}{part}") for part in ("rect", "path", "text")}
    assert {part: len(found) for part, found in drawn.items()} == {"rect": 11, "path": 10, "text": 11}
    corners = {(rect.get("x"), rect.get("y")) for rect in drawn["rect"]}
    assert len(corners) == 11, "two nodes are drawn at the same place"
    assert {"x", "out: tanh", "cost: mse_loss"} <= {text.text for text in drawn["text"]}


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
        (
            lambda: network().run(feeds() | {"z": np.ones(1)}),
            "z was fed but is not an input of the graph; its inputs are .*w1",
        ),
        (lambda: network().run(feeds() | {"w1": [1.0]}), "node w1: the feed must be"),
        (lambda: network().run(feeds() | {"w1": np.ones((9, 4))}), "node affine1: affine: x has 3 features"),
        (lambda: network().run(feeds() | {"y": np.ones((5, 9))}), "node cost: mse_loss"),
        (lambda: Graph(Apply(F.add, Input("x"), Input("x"))), "two nodes are called x"),
        (lambda: Apply(F.relu, np.ones(1)), "parent 1 must be a node"),
        (lambda: Apply("relu", Input("x")), "must be a rule or a module"),
        (lambda: Apply(nn.Affine(1, 1), Input("x"), Input("y"), name="m"), "m: a module takes one parent"),
        (lambda: Graph(Apply(F.relu, Input("x"))).run({"x": np.ones(2)}, ["x"]), "needs a single number, got shape"),
        (lambda: network().run(feeds(), ["z"]), "there is no node z; the nodes are .*affine1"),
        (lambda: network().run(feeds(), parameters={"w1": {}}), "parameters are given for w1"),
    ],
)
def test_refusals_name_the_node(call, message):
    with pytest.raises(GraphError, match=message):
        call()
