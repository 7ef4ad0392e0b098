"""The 3-4-2 network of document 003 as a computation graph, with the weights that the document gives."""

from __future__ import annotations

import numpy as np

from impl import functional as F
from impl.graph import Apply, Graph, Input

# Document 003, section "training": the first weights and biases, the only sample, and its target.
START = {
    "w1": np.arange(1, 13).reshape(3, 4) / 10,
    "b1": np.array([-2.0, -6.0, -1.0, -7.0]),
    "w2": np.arange(13, 21).reshape(4, 2) / 10,
    "b2": np.array([-2.5, -5.0]),
}
SAMPLE = {"x": np.array([[1.0, 2.0, 3.0]]), "y": np.array([[-0.85, 0.75]])}


def minimal_graph() -> Graph:
    """Build the graph of tanh(sigmoid(x w1 + b1) w2 + b2) and of its mean squared error against y.

    Each of the four parameters, which hold 26 numbers together, is a node.
    Inputs: x (N, 3), y (N, 2), w1 (3, 4), b1 (4), w2 (4, 2), b2 (2). The node ``out`` holds the network's output
    (N, 2), and ``cost`` the loss, a single number. Source: document 003.

    >>> values, _ = minimal_graph().run(SAMPLE | START)
    >>> values["out"].round(2)
    array([[ 0.72, -0.88]])
    """
    x, y, w1, b1, w2, b2 = map(Input, ("x", "y", "w1", "b1", "w2", "b2"))
    hidden = Apply(F.sigmoid, Apply(F.affine, x, w1, b1, name="linear1"), name="hidden")
    out = Apply(F.tanh, Apply(F.affine, hidden, w2, b2, name="linear2"), name="out")
    return Graph(Apply(F.mse_loss, out, y, name="cost"))


def train_minimal(epochs: int = 10, rate: float = 0.1) -> dict[str, np.ndarray]:
    """Train on the document's sample by gradient descent, with learning rate ``rate``, and record every epoch.

    Returns out (epochs, 2), the outputs before each update, and w1 (epochs + 1, 12) and w2 (epochs + 1, 8), the weights
    before and after each. Raises ValueError for less than one epoch.

    >>> train_minimal(10)["out"][-1].round(3)
    array([-0.445, -0.041])
    """
    if epochs < 1:
        raise ValueError(f"epochs must be at least 1, got {epochs}")
    graph, parameters = minimal_graph(), dict(START)
    outputs, first, second = [], [parameters["w1"].ravel()], [parameters["w2"].ravel()]
    for _ in range(epochs):
        values, gradients = graph.run(SAMPLE | parameters, list(parameters))
        parameters = {name: parameters[name] - rate * gradients[name] for name in parameters}
        outputs.append(values["out"][0])
        first.append(parameters["w1"].ravel())
        second.append(parameters["w2"].ravel())
    return {"out": np.array(outputs), "w1": np.array(first), "w2": np.array(second)}
