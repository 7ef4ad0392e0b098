"""Document 000, the computation graph: what it claims."""

from __future__ import annotations

from typing import Any

import numpy as np

from reference.claim import Claim, gradient
from reference.computation_framework.mlp import affine, sigmoid_of

Array = Any


# Node: its parents. 1 and 2 are inputs, 3 to 7 sigmoid neurons, 8 is the loss 0.5 (x - E)^2.
PARENTS: dict[int, tuple[int, ...]] = {
    1: (), 2: (), 3: (1, 2), 4: (1, 2), 5: (3, 4), 6: (3, 4), 7: (5, 6), 8: (7,),
}  # fmt: skip


def graph_forward(inputs: Array, weights: Array, biases: Array, target: float) -> Array:
    """The result array, nodes 1 to 8; weights[i - 3] are those of node i, in the order of its parents."""
    results = dict(zip((1, 2), inputs, strict=True))
    for i in range(3, 8):
        x = np.array([results[p] for p in PARENTS[i]])
        results[i] = sigmoid_of(biases[i - 3] + (weights[i - 3] * x).sum())
    results[8] = 0.5 * (results[7] - target) ** 2
    return np.array([results[i] for i in range(1, 9)])


def graph_backward(inputs: Array, weights: Array, biases: Array, target: float) -> Array:
    """The gradient array: cleared, 1 at the loss, then every node adds to each of its parents, last node first."""
    results = graph_forward(inputs, weights, biases, target)
    grad = np.zeros(9)
    grad[8] = 1
    for i in range(8, 2, -1):
        for position, parent in enumerate(PARENTS[i]):
            x = np.array([results[p - 1] for p in PARENTS[i]])
            if i == 8:
                derivative = x[0] - target
            else:
                s = sigmoid_of(biases[i - 3] + (weights[i - 3] * x).sum())
                derivative = s * (1 - s) * weights[i - 3][position]
            grad[parent] += grad[i] * derivative
    return grad[1:]


def gradient_of_node_4(inputs: Array, weights: Array, biases: Array, target: float) -> Array:
    """grad[5] sigmoid'(a5) w_52 + grad[6] sigmoid'(a6) w_62, the second weights of nodes 5 and 6."""
    out = graph_forward(inputs, weights, biases, target)
    grad = graph_backward(inputs, weights, biases, target)
    total = 0.0
    for i in (5, 6):
        s = sigmoid_of(out[2] * weights[i - 3][0] + out[3] * weights[i - 3][1] + biases[i - 3])
        total = total + grad[i - 1] * s * (1 - s) * weights[i - 3][1]
    return np.array(total)


def weight_named_by_the_derivative(inputs: Array, weights: Array, biases: Array, target: float) -> Array:
    """The derivative of node 5 by its parent 4 as the gradient function is called: w_ip with p the parent's number."""
    out = graph_forward(inputs, weights, biases, target)
    w_5 = {1: weights[2][0], 2: weights[2][1]}  # the forward formula numbers the weights by the place in the input
    p = 4
    s = sigmoid_of(biases[2] + w_5[1] * out[2] + w_5[2] * out[3])
    return np.array(s * (1 - s) * w_5[p])


def weight_by_place(inputs: Array, weights: Array, biases: Array, target: float) -> Array:
    """The same with the parent's place among the parents."""
    out = graph_forward(inputs, weights, biases, target)
    s = sigmoid_of(biases[2] + weights[2][0] * out[2] + weights[2][1] * out[3])
    return np.array(s * (1 - s) * weights[2][PARENTS[5].index(4)])


def graph_weight_gradients(inputs: Array, weights: Array, biases: Array, target: float) -> Array:
    """dL/dw of each node from its own gradient and inputs alone, after the sweep."""
    out = graph_forward(inputs, weights, biases, target)
    grad = graph_backward(inputs, weights, biases, target)
    rows = []
    for i in range(3, 8):
        x = np.array([out[p - 1] for p in PARENTS[i]])
        rows.append(grad[i - 1] * out[i - 1] * (1 - out[i - 1]) * x)
    return np.array(rows)


GRAPH = (
    {"inputs": (2,), "weights": (5, 2), "biases": (5,), "target": 1.0},
    {"inputs": (2,), "weights": (5, 2), "biases": (5,), "target": -0.5},
)


PRODUCT = ({"x": (2, 3), "w": (3, 2)},)

CLAIMS: tuple[Claim, ...] = (
    Claim(
        "000/1.1-order",
        "1.1 forward and gradients",
        "In the eight-node network every parent has a smaller number than its children, so the numbers are an order of "
        "computation.",
        question="an order of computation",
        says=lambda parents: list(range(1, 9)),
        examples=({"parents": PARENTS},),
    ),
    Claim(
        "000/1.1-forward",
        "1.1 forward and gradients",
        "One sweep from node 3 to node 8 fills the result array: sigmoid neurons, then half the squared difference.",
        formula="Fun(i, x) = sigmoid(b_i + sum_j w_ij x_j), i in 3..7;  Fun(8, x) = 0.5 (x - E)^2",
        question="the results of the eight-node graph",
        says=graph_forward,
        examples=GRAPH,
    ),
    Claim(
        "000/1.1-backward",
        "1.1 forward and gradients",
        "With the gradients cleared and 1 at the loss, one sweep back that adds to each parent gives the derivative of "
        "the loss by every node's output.",
        formula="grad[p] += grad[i] dcFun(i, x, p)",
        question="the gradients of the eight-node graph",
        says=graph_backward,
        examples=GRAPH,
    ),
    Claim(
        "000/1.1-node4",
        "1.1 forward and gradients",
        "The gradient of node 4 is the sum over its children 5 and 6 of their gradient times their slope times their "
        "second weight.",
        formula="grad[4] = grad[5] sigmoid'(a5) w_52 + grad[6] sigmoid'(a6) w_62",
        question="the gradient of node 4",
        says=gradient_of_node_4,
        examples=GRAPH,
    ),
    Claim(
        "000/1.1-weight-index",
        "1.1 forward and gradients",
        "The derivative of a node by its parent p is its slope times w_ip, where p is the parent's number, as the sweep "
        "passes it.",
        formula="dcFun(i, x, p) = sigmoid'(b_i + sum_j w_ij x_j) w_ip",
        question="the derivative of node 5 by node 4",
        says=weight_named_by_the_derivative,
        examples=GRAPH,
        corrected=weight_by_place,
        correction="w_ij counts j by the place in the node's input vector (the example writes w_52 for parent 4 of node "
        "5), so p must be translated into the parent's place among the parents.",
        consequence="Node 5 has two weights; asked for its weight number 4 a program stops, or reads past the end.",
    ),
    Claim(
        "000/1.2-inside",
        "1.2 parameter update",
        "A node's parameter gradient follows from the node alone, once its output's gradient is known.",
        formula="dL/dA_W = dL/dA_out dA_out/dA_W",
        question="the weight gradients of the eight-node graph",
        says=graph_weight_gradients,
        examples=GRAPH,
    ),
    Claim(
        "000/1.2-node",
        "1.2 parameter update",
        "A parameter that is an input node of its own gets its gradient from the same sweep as any other parent.",
        layer="affine",
        question="dw of affine",
        says=gradient(affine, 1),
        examples=({"x": (1, 1), "w": (1, 1)}, *PRODUCT),
    ),
)
