"""Restate the claims of document 003, "The principle of TensorFlow in brief".

The document builds a graph of Input, Linear, Sigmoid, Tanh and MSE nodes, orders it by Kahn's algorithm, and trains a
3-4-2 network.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from reference.claim import Claim, LayerFunction, constant, gradient, require, value

Array = Any

W1 = np.arange(1, 13).reshape(3, 4) / 10
W2 = np.arange(13, 21).reshape(4, 2) / 10
B1 = np.array([-2.0, -6.0, -1.0, -7.0])
B2 = np.array([-2.5, -5.0])
X = np.array([[1.0, 2.0, 3.0]])
Y_OF_THE_TEXT = np.array([[-0.85, 0.72]])
Y_OF_THE_RUN = np.array([[-0.85, 0.75]])
NETWORK = {"x": X, "w1": W1, "b1": B1, "w2": W2, "b2": B2}


# -- the nodes --------------------------------------------------------------------------------------------------------


class Node:
    """A node that knows its parents and registers itself as their child."""

    def __init__(self, *inbound: Node) -> None:
        self.inbound = list(inbound)
        self.outbound: list[Node] = []
        self.value: Any = None
        self.gradients: dict[Node, Any] = {}
        for node in inbound:
            node.outbound.append(self)

    def __repr__(self) -> str:
        return type(self).__name__

    def forward(self) -> None:
        """Do nothing, because an input already has its value."""

    def arriving(self) -> list[Array]:
        """Return the gradients that the children hold for this node."""
        return [child.gradients[self] for child in self.outbound]

    def backward(self) -> None:
        """Sum the gradients that the children of an input hold for it."""
        self.gradients = {self: sum(self.arriving())}


class Linear(Node):
    """A node that computes X W + b."""

    def forward(self) -> None:
        """Compute the product plus the bias."""
        x, w, b = (n.value for n in self.inbound)
        self.value = x @ w + b

    def backward(self) -> None:
        """Add g W^T, X^T g and the column sums of g over all children."""
        x, w, b = self.inbound
        self.gradients = {n: np.zeros_like(n.value) for n in self.inbound}
        for g in self.arriving():
            self.gradients[x] += g @ w.value.T
            self.gradients[w] += x.value.T @ g
            self.gradients[b] += g.sum(axis=0)


class Sigmoid(Node):
    """A node that computes 1 / (1 + exp(-x))."""

    def forward(self) -> None:
        """Compute the value."""
        with np.errstate(over="ignore"):
            self.value = 1.0 / (1.0 + np.exp(-self.inbound[0].value))

    def backward(self) -> None:
        """Add s (1 - s) g over all children."""
        self.gradients = {n: np.zeros_like(n.value) for n in self.inbound}
        for g in self.arriving():
            self.gradients[self.inbound[0]] += self.value * (1 - self.value) * g


class Tanh(Node):
    """A node that computes tanh x."""

    transposing = True

    def forward(self) -> None:
        """Compute the value."""
        self.value = np.tanh(self.inbound[0].value)

    def backward(self) -> None:
        """Add (1 + t)(1 - t) times the transposed g over all children."""
        self.gradients = {n: np.zeros_like(n.value) for n in self.inbound}
        for g in self.arriving():
            t = self.value
            self.gradients[self.inbound[0]] += (1 + t) * (1 - t) * (g.T if self.transposing else g)


class TanhCorrected(Tanh):
    """A Tanh node that does not transpose g."""

    transposing = False


class MSE(Node):
    """A node that computes the mean of (y - a)^2 over all elements."""

    def forward(self) -> None:
        """Reshape both inputs to one column and compute the mean; m is the number of rows of y before that."""
        y, a = (n.value.reshape(-1, 1) for n in self.inbound)
        self.m = self.inbound[0].value.shape[0]
        self.diff = y - a
        self.value = np.mean(self.diff**2)

    def backward(self) -> None:
        """Compute (2 / m) (y - a) and its negative, as columns."""
        self.gradients[self.inbound[0]] = (2 / self.m) * self.diff
        self.gradients[self.inbound[1]] = (-2 / self.m) * self.diff


class MSECorrected(MSE):
    """An MSE node whose gradient is divided by the number of elements and has the shape of its inputs."""

    def backward(self) -> None:
        """Compute (2 / number of elements) (y - a) and its negative."""
        y, a = self.inbound
        d = 2 / self.diff.size * self.diff.reshape(y.value.shape)
        self.gradients = {y: d, a: -d}


def topological_sort(inputs: list[Node], pick: Callable[[list[Node]], int] = lambda ready: 0) -> list[Node]:
    """Sort as printed: one sweep collects the edges as sets, and another takes the nodes without incoming edges.

    The document pops a node from a set. Here, ``pick`` chooses among the nodes that are ready.
    """
    edges: dict[Node, dict[str, set[Node]]] = {}
    waiting = list(inputs)
    while waiting:
        n = waiting.pop(0)
        edges.setdefault(n, {"in": set(), "out": set()})
        for m in n.outbound:
            edges.setdefault(m, {"in": set(), "out": set()})
            edges[n]["out"].add(m)
            edges[m]["in"].add(n)
            waiting.append(m)
    order, ready = [], list(inputs)
    while ready:
        n = ready.pop(pick(ready))
        order.append(n)
        for m in n.outbound:
            edges[n]["out"].remove(m)
            edges[m]["in"].remove(n)
            if not edges[m]["in"]:
                ready.append(m)
    return order


def sort_corrected(inputs: list[Node]) -> list[Node]:
    """Sort with counts: a parent that is named twice counts twice, and every node is met once."""
    met, waiting = set(inputs), list(inputs)
    while waiting:
        for m in waiting.pop().outbound:
            if m not in met:
                met.add(m)
                waiting.append(m)
    open_edges = {n: len(n.inbound) for n in met}
    order, ready = [], list(inputs)
    while ready:
        n = ready.pop(0)
        order.append(n)
        for m in n.outbound:
            open_edges[m] -= 1
            if not open_edges[m]:
                ready.append(m)
    return order


def forward_and_backward(order: list[Node]) -> None:
    """Sweep forward in order, then backward."""
    for n in order:
        n.forward()
    for n in reversed(order):
        n.backward()


def _graph_of(parents: Mapping[int, tuple[int, ...]]) -> dict[int, Node]:
    nodes: dict[int, Node] = {}
    for name in sorted(parents):
        nodes[name] = Node(*(nodes[p] for p in parents[name]))
    return nodes


def fan_out(x: Array) -> Array:
    """Compute the gradient of an input with a Sigmoid and a Tanh child, which both get a gradient of 1."""
    source = Node()
    source.value = x
    children = [Sigmoid(source), TanhCorrected(source)]
    for child in children:
        child.forward()
        above = Node()
        above.gradients = {child: np.ones_like(x)}
        child.outbound = [above]
        child.backward()
    source.backward()
    return np.asarray(source.gradients[source])


def _order_by(sort: Callable[[list[Node]], list[Node]]) -> Callable[..., list[int]]:
    def says(parents: Mapping[int, tuple[int, ...]]) -> list[int]:
        nodes = _graph_of(parents)
        names = {node: name for name, node in nodes.items()}
        return [names[n] for n in sort([n for n in nodes.values() if not n.inbound])]

    return says


def visits(parents: Mapping[int, tuple[int, ...]]) -> int:
    """Count the nodes that the first sweep takes from its queue."""
    nodes = _graph_of(parents)
    waiting, count = [n for n in nodes.values() if not n.inbound], 0
    while waiting:
        count += 1
        waiting.extend(waiting.pop(0).outbound)
    return count


def visits_corrected(parents: Mapping[int, tuple[int, ...]]) -> int:
    """Count the nodes if every node is met once."""
    return len(parents)


def diamonds(count: int) -> dict[int, tuple[int, ...]]:
    """Return a chain of diamonds: each node has two children, and both are parents of the next node."""
    parents: dict[int, tuple[int, ...]] = {0: ()}
    for i in range(count):
        parents |= {3 * i + 1: (3 * i,), 3 * i + 2: (3 * i,), 3 * i + 3: (3 * i + 1, 3 * i + 2)}
    return parents


# -- the training run -------------------------------------------------------------------------------------------------


def _network(
    x: Array, y: Array, w1: Array, b1: Array, w2: Array, b2: Array, corrected: bool
) -> tuple[list[Node], list[Node]]:
    feeds = [Node() for _ in range(6)]
    for node, v in zip(feeds, (x, y, w1, b1, w2, b2), strict=True):
        node.value = v
    n_x, n_y, n_w1, n_b1, n_w2, n_b2 = feeds
    hidden = Sigmoid(Linear(n_x, n_w1, n_b1))
    out = (TanhCorrected if corrected else Tanh)(Linear(hidden, n_w2, n_b2))
    (MSECorrected if corrected else MSE)(n_y, out)
    return feeds, [n_w1, n_b1, n_w2, n_b2]


def train(
    x: Array, y: Array, w1: Array, b1: Array, w2: Array, b2: Array, epochs: int, corrected: bool = False
) -> Array:
    """Return the outputs before each update, with learning rate 0.1."""
    feeds, trainables = _network(x, y, w1, b1, w2, b2, corrected)
    order = topological_sort(feeds)
    outputs = []
    for _ in range(epochs):
        forward_and_backward(order)
        outputs.append(next(n for n in order if isinstance(n, Tanh)).value[0].copy())
        for t in trainables:
            t.value = t.value - 0.1 * t.gradients[t]
    return np.array(outputs)


def train_corrected(**given: Any) -> Array:
    """Train with the gradients of the mean over all elements."""
    return train(**given, corrected=True)


def tenth_node(x: Array, y: Array, w1: Array, b1: Array, w2: Array, b2: Array) -> Array:
    """Return the recorded output, the value of node number 9, in an order in which y comes late."""
    feeds, _ = _network(x, y, w1, b1, w2, b2, corrected=False)
    target = feeds[1]

    def late(ready: list[Node]) -> int:
        others = [i for i, n in enumerate(ready) if n is not target]
        return others[0] if others else 0

    order = topological_sort(feeds, late)
    for n in order:
        n.forward()
    return np.asarray(order[9].value)


def output_node(x: Array, y: Array, w1: Array, b1: Array, w2: Array, b2: Array) -> Array:
    """Return the value of the Tanh node itself."""
    return train(x, y, w1, b1, w2, b2, 1)


def nearer_each_epoch(x: Array, y: Array, w1: Array, b1: Array, w2: Array, b2: Array) -> Array:
    """Return 1 if the recorded outputs come nearer to the target in every epoch, else 0."""
    distance = np.abs(train(x, y, w1, b1, w2, b2, 10) - y).sum(axis=1)
    return np.array(bool((np.diff(distance) < 0).all()), float)


def ascent_at_the_output(x: Array, y: Array, w1: Array, b1: Array, w2: Array, b2: Array) -> Array:
    """Compute (y - o)(1 - o^2), which is minus the gradient at the second linear node."""
    o = np.tanh(1 / (1 + np.exp(-(x @ w1 + b1))) @ w2 + b2)
    return (y - o) * (1 - o**2)


def ascent_at_the_hidden(x: Array, y: Array, w1: Array, b1: Array, w2: Array, b2: Array) -> Array:
    """Compute (W2 g^T)^T (1 - s) s, which is minus the gradient at the first linear node."""
    s = 1 / (1 + np.exp(-(x @ w1 + b1)))
    g = ascent_at_the_output(x, y, w1, b1, w2, b2)
    return (w2 @ g.T).T * (1 - s) * s


# -- the nodes as layers ----------------------------------------------------------------------------------------------


def _layer(node: type[Node], arrays: tuple[Array, ...]) -> tuple[Array, Any]:
    parents = [Node() for _ in arrays]
    for parent, x in zip(parents, arrays, strict=True):
        parent.value = x
    child = node(*parents)
    child.forward()

    def pullback(dy: Array) -> tuple[Array, ...]:
        above = Node()
        above.gradients = {child: dy}
        child.outbound = [above]
        child.backward()
        return tuple(child.gradients[p] for p in parents)

    return child.value, pullback


def affine(x: Array, w: Array, b: Array = None) -> tuple[Array, Any]:
    """Run the Linear node."""
    require(b is not None and x.ndim == 2, "a Linear node without a bias")
    if b.shape != (w.shape[1],):
        raise ValueError("b does not fit")
    return _layer(Linear, (x, w, b))


def sigmoid(x: Array) -> tuple[Array, Any]:
    """Run the Sigmoid node."""
    return _layer(Sigmoid, (x,))


def tanh(x: Array) -> tuple[Array, Any]:
    """Run the Tanh node."""
    return _layer(Tanh, (x,))


def tanh_corrected(x: Array) -> tuple[Array, Any]:
    """Run the Tanh node that does not transpose the gradient."""
    return _layer(TanhCorrected, (x,))


def _mse(node: type[MSE], prediction: Array, target: Array, reduction: str) -> tuple[Array, Any]:
    require(reduction == "mean" and prediction.ndim > 0 and prediction.size > 0, "this reduction")
    if prediction.shape != target.shape:
        raise ValueError("prediction and target differ in shape")
    y, backward = _layer(node, (target, prediction))

    def pullback(dy: Array) -> tuple[Array, Array]:
        by_target, by_prediction = backward(dy)  # the node is the last of its graph and uses no gradient from above
        return (dy * by_prediction).astype(prediction.dtype), (dy * by_target).astype(prediction.dtype)

    return np.asarray(y, prediction.dtype), pullback


def mse_loss(prediction: Array, target: Array, *, reduction: str = "mean") -> tuple[Array, Any]:
    """Run the MSE node."""
    return _mse(MSE, prediction, target, reduction)


def mse_loss_corrected(prediction: Array, target: Array, *, reduction: str = "mean") -> tuple[Array, Any]:
    """Run the MSE node whose gradient is divided by the number of elements."""
    return _mse(MSECorrected, prediction, target, reduction)


AS_WRITTEN: dict[str, LayerFunction] = {"affine": affine, "sigmoid": sigmoid, "tanh": tanh, "mse_loss": mse_loss}
CORRECTED: dict[str, LayerFunction] = AS_WRITTEN | {"tanh": tanh_corrected, "mse_loss": mse_loss_corrected}

RUN = NETWORK | {"y": Y_OF_THE_RUN}
TEXT = NETWORK | {"y": Y_OF_THE_TEXT}
PAIRS = (
    {"prediction": (1, 1), "target": (1, 1)},
    {"prediction": (1, 2), "target": (1, 2)},
    {"prediction": (3, 2), "target": (3, 2)},
)
GRAPHS = ({0: (), 1: (0,)}, {5: (), 4: (), 6: (4, 5), 7: (6,), 8: (6, 7, 5)}, diamonds(3))

CLAIMS: tuple[Claim, ...] = (
    Claim(
        "003/parameters",
        "network",
        "A 3-4-2 network has (3 x 4 + 4) + (4 x 2 + 2) = 26 parameters.",
        question="the number of parameters of an MLP",
        says=lambda widths: (3 * 4 + 4) + (4 * 2 + 2),
        examples=({"widths": [3, 4, 2]},),
    ),
    Claim(
        "003/forward",
        "network",
        "The forward pass applies a sigmoid to the first linear unit and a tanh to the second.",
        question="the output of the 3-4-2 network",
        says=lambda x, y, w1, b1, w2, b2: np.tanh(np.power(1 + np.exp((x @ w1 + b1) * -1), -1) @ w2 + b2),
        examples=(TEXT,),
    ),
    Claim(
        "003/backward-output",
        "network",
        "In the backward pass, the value at the output is (y - o)(1 - o^2). If it is added, the mean "
        "squared error becomes smaller.",
        formula="grad_os2 = (y - os2)(1 - os2^2)",
        question="minus the gradient at the second linear unit",
        says=ascent_at_the_output,
        examples=(TEXT,),
    ),
    Claim(
        "003/backward-hidden",
        "network",
        "At the hidden layer, this value goes through the second weights and is multiplied by s (1 - s).",
        formula="grad_os1 = (W2 grad_os2^T)^T (1 - os1) os1",
        question="minus the gradient at the first linear unit",
        says=ascent_at_the_hidden,
        examples=(TEXT,),
    ),
    Claim(
        "003/backward-weights",
        "network",
        "The document gives the gradients of the weights and biases.",
        why_not="the document leaves them out and prints an ellipsis",
    ),
    Claim(
        "003/components",
        "framework",
        "Deep-learning frameworks share five components.",
        why_not="it is a survey, and there is nothing to compute",
    ),
    Claim(
        "003/torch-output",
        "Torch",
        "The updateOutput of Sigmoid is 1 / (1 + exp(-x)).",
        layer="sigmoid",
        question="y of sigmoid",
        says=value(sigmoid),
        examples=({"x": (1,)}, {"x": (2, 3)}),
    ),
    Claim(
        "003/torch-gradient",
        "Torch",
        "The updateGradInput of Sigmoid is gradOutput (1 - z) z, and z is the stored output.",
        layer="sigmoid",
        formula="gradInput = gradOutput (1 - z) z",
        question="dx of sigmoid",
        says=lambda x, dy: dy * (1 - sigmoid(x)[0]) * sigmoid(x)[0],
        examples=({"x": (1,)}, {"x": (2, 3)}),
    ),
    Claim(
        "003/torch-inverse",
        "Torch",
        "The forward pass is output = f(input). The backward pass is input = f(output).",
        layer="sigmoid",
        formula="input = f(output)",
        question="dx of sigmoid",
        says=lambda x, dy: x,
        examples=({"x": np.zeros(1)}, {"x": (2,)}),
        corrected=gradient(sigmoid),
        correction="The backward pass is gradInput = f(gradOutput, output): it returns the gradient of the input, "
        "not the input.",
        consequence="A reader thinks that back-propagation inverts the function.",
    ),
    Claim(
        "003/torch-pictures",
        "Torch",
        "The document gives the formulas of sigmoid and its derivative.",
        why_not="the formulas were pictures, which are lost; the code below them is a separate claim",
    ),
    Claim(
        "003/torch-files",
        "Torch",
        "Nearly every file of Torch's nn package has these two functions.",
        why_not="it is about the source code of another project",
    ),
    Claim(
        "003/node",
        "Node",
        "A node registers itself with its parents, so that a parent can find the gradients of all its children.",
        question="an order of computation",
        says=_order_by(sort_corrected),
        examples=tuple({"parents": g} for g in GRAPHS),
    ),
    Claim(
        "003/input",
        "Input",
        "The gradient of an input is the sum of the gradients that its children hold for it.",
        question="the gradient of an input that feeds two nodes",
        says=fan_out,
        examples=({"x": (1,)}, {"x": (2, 3)}),
    ),
    Claim(
        "003/linear",
        "Linear",
        "Linear is X W + b.",
        layer="affine",
        question="y of affine",
        says=value(affine),
        examples=({"x": (2, 3), "w": (3, 2), "b": (2,)},),
    ),
    *(
        Claim(
            f"003/linear-d{name}",
            "Linear",
            f"The formula is the gradient of Linear with respect to {what}.",
            layer="affine",
            formula=formula,
            question=f"d{name} of affine",
            says=gradient(affine, i),
            examples=({"x": (1, 1), "w": (1, 1), "b": (1,)}, {"x": (2, 3), "w": (3, 2), "b": (2,)}),
        )
        for i, (name, what, formula) in enumerate(
            (("x", "X", "g W^T"), ("w", "W", "X^T g"), ("b", "b", "column sums of g"))
        )
    ),
    Claim(
        "003/sigmoid",
        "Sigmoid",
        "The gradient of Sigmoid is s (1 - s) g.",
        layer="sigmoid",
        question="dx of sigmoid",
        says=gradient(sigmoid),
        examples=({"x": (1,)}, {"x": (2, 3)}),
    ),
    Claim(
        "003/tanh",
        "Tanh",
        "The Tanh node computes tanh.",
        layer="tanh",
        question="y of tanh",
        says=value(tanh),
        examples=({"x": (2, 3)},),
    ),
    Claim(
        "003/tanh-gradient",
        "Tanh",
        "The gradient of Tanh is (1 + t)(1 - t) times the transposed gradient of the cost.",
        layer="tanh",
        formula="(1 + t)(1 - t) g^T",
        question="dx of tanh",
        says=gradient(tanh),
        examples=({"x": (1, 1)}, {"x": (1, 2)}, {"x": (2, 2)}),
        corrected=gradient(tanh_corrected),
        correction="The factor is g itself, elementwise, and not its transpose.",
        consequence="The elements of square gradients are mixed up, and other gradients do not fit. For a batch of "
        "one, this transpose repairs the MSE node below, which returns a column.",
        condition="g is a single number, a vector or symmetric",
        under=({"x": (1, 1)}, {"x": (3,)}),
        tried=True,
    ),
    Claim(
        "003/tanh-last",
        "Tanh",
        "Tanh is a cost function and should be the last node.",
        question="the last node of the training graph",
        says=lambda: "Tanh",
        corrected=lambda: "MSE",
        correction="Tanh is an activation. The cost of the run, and its last node, is MSE.",
        consequence="A network that ends in Tanh has no cost to minimise.",
    ),
    Claim(
        "003/mse",
        "MSE",
        "MSE is the mean of the squared differences over all elements.",
        layer="mse_loss",
        question="y of mse_loss",
        says=value(mse_loss),
        examples=PAIRS,
    ),
    Claim(
        "003/mse-gradient",
        "MSE",
        "The gradient of MSE is -(2 / m) (y - a), as a column, and m is the number of samples.",
        layer="mse_loss",
        formula="(-2 / m) diff",
        question="dprediction of mse_loss",
        says=gradient(mse_loss),
        examples=PAIRS,
        corrected=gradient(mse_loss_corrected),
        correction="The divisor is the number of elements, and the gradient has the shape of the inputs.",
        consequence="With k outputs, the gradient is k times too large, and it is a column that fits no other node. "
        "In the document's run, the learning rate is really 0.2.",
        condition="there is one output",
        under=({"prediction": (1, 1), "target": (1, 1)}, {"prediction": (3, 1), "target": (3, 1)}),
        tried=True,
    ),
    Claim(
        "003/mse-gradient-y",
        "MSE",
        "The gradient with respect to the target is the same with the opposite sign.",
        layer="mse_loss",
        formula="(2 / m) diff",
        question="dtarget of mse_loss",
        says=gradient(mse_loss, 1),
        examples=PAIRS,
        corrected=gradient(mse_loss_corrected, 1),
        correction="The divisor is the number of elements, and the gradient has the shape of the inputs.",
        consequence="The consequence is the same as for the claim above.",
        condition="there is one output",
        under=({"prediction": (1, 1), "target": (1, 1)}, {"prediction": (3, 1), "target": (3, 1)}),
        tried=True,
    ),
    Claim(
        "003/kahn-example",
        "Kahn",
        "Module 1 needs 3 and 4, and 3 needs 5 and then 2. So 5, 2, 3, 4, 1 is an order.",
        question="an order of computation",
        says=lambda parents: [5, 2, 3, 4, 1],
        examples=({"parents": {5: (), 2: (5,), 3: (2,), 4: (), 1: (3, 4)}},),
    ),
    Claim(
        "003/kahn-picture",
        "Kahn",
        "A figure shows the graph of the example.",
        why_not="the figure was a picture, which is lost; the dependencies that the text names are a separate claim",
    ),
    Claim(
        "003/kahn",
        "Kahn",
        "The sort orders every graph of nodes.",
        question="an order of computation",
        says=_order_by(topological_sort),
        examples=(*({"parents": g} for g in GRAPHS), {"parents": {0: (), 1: (0, 0)}}),
        corrected=_order_by(sort_corrected),
        correction="The sort must count the edges, because sets forget that a node may take one parent twice.",
        consequence="If a node is multiplied by itself, the sort stops: the second removal of the edge raises "
        "KeyError.",
        condition="no node takes a parent twice",
        under=tuple({"parents": g} for g in GRAPHS),
    ),
    Claim(
        "003/kahn-cost",
        "Kahn",
        "The sort is Kahn's algorithm, which meets every node and edge once.",
        question="the number of visits of a sort",
        says=visits,
        examples=({"parents": diamonds(1)}, {"parents": diamonds(6)}),
        corrected=visits_corrected,
        correction="The sort must remember which nodes it has already met before it puts them into the queue.",
        consequence="After n diamonds (residual blocks, for example), the first sweep visits a node 2^n times. With "
        "thirty diamonds, it never ends in practice.",
        condition="no two paths meet",
        under=({"parents": {0: (), 1: (0,), 2: (1,)}},),
    ),
    Claim(
        "003/tenth",
        "training",
        "Node number 9 of the order is the output of the network.",
        question="the output of the 3-4-2 network",
        says=tenth_node,
        examples=(RUN,),
        corrected=lambda **given: output_node(**given),
        correction="The program must record the value of the Tanh node itself.",
        consequence="Nodes are popped from a set. If y is the last node before the cost, the program records y as the"
        " output.",
    ),
    Claim(
        "003/initial",
        "training",
        "The first output is 0.72, -0.88.",
        question="the output of the 3-4-2 network, two decimals",
        says=constant([[0.72, -0.88]]),
        examples=(RUN,),
    ),
    Claim(
        "003/converges",
        "training",
        "In ten epochs, the output comes nearer to the target in every epoch.",
        question="whether the 3-4-2 network comes nearer in every epoch",
        says=nearer_each_epoch,
        examples=(RUN,),
    ),
    Claim(
        "003/run",
        "training",
        "The outputs of the ten epochs are those of gradient descent on the MSE with learning rate 0.1.",
        question="ten epochs of the 3-4-2 network",
        says=train,
        examples=(RUN | {"epochs": 2}, RUN | {"epochs": 10}),
        corrected=train_corrected,
        correction="The gradient of the mean over two outputs is half of what the MSE node returns.",
        consequence="The run moves twice as fast as its learning rate says. After nine updates, the output is "
        "(-0.706, 0.652) and not (-0.445, -0.041).",
        condition="only the first output is compared, before any update",
        under=(RUN | {"epochs": 1},),
    ),
    Claim(
        "003/target",
        "training",
        "The target of the run is the target of the text, -0.85, 0.72.",
        question="the target of the text",
        says=lambda: Y_OF_THE_RUN,
        corrected=lambda: Y_OF_THE_TEXT,
        correction="The target of the run is -0.85, 0.75.",
        consequence="The outputs do not approach the printed target.",
    ),
    Claim(
        "003/trainables",
        "training",
        "Both weight matrices change from epoch to epoch.",
        question="whether the weights change",
        says=lambda **given: np.array(1.0),
        examples=(RUN,),
    ),
    Claim(
        "003/heatmaps",
        "training",
        "Figures show the outputs and weights over the epochs.",
        why_not="the figures were pictures, which are lost; the numbers that they show are separate claims",
    ),
)
