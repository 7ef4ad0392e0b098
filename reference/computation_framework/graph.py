"""Restate the claims of document 000 about the computation graph."""

from __future__ import annotations

from typing import Any

import numpy as np

from reference.claim import Claim, gradient
from reference.computation_framework.mlp import affine, sigmoid_of

Array = Any


# The parents of each node. Nodes 1 and 2 are inputs, 3 to 7 are sigmoid neurons, and 8 is the loss 0.5 (x - E)^2.
PARENTS: dict[int, tuple[int, ...]] = {
    1: (), 2: (), 3: (1, 2), 4: (1, 2), 5: (3, 4), 6: (3, 4), 7: (5, 6), 8: (7,),
}  # fmt: skip


def graph_forward(inputs: Array, weights: Array, biases: Array, target: float) -> Array:
    """Compute the result array, nodes 1 to 8. weights[i - 3] are the weights of node i, in the order of its parents."""
    results = dict(zip((1, 2), inputs, strict=True))
    for i in range(3, 8):
        x = np.array([results[p] for p in PARENTS[i]])
        results[i] = sigmoid_of(biases[i - 3] + (weights[i - 3] * x).sum())
    results[8] = 0.5 * (results[7] - target) ** 2
    return np.array([results[i] for i in range(1, 9)])


def graph_backward(inputs: Array, weights: Array, biases: Array, target: float) -> Array:
    """Compute the gradient array: 0, but 1 at the loss; then every node, last node first, adds to its parents."""
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
    """Compute grad[5] sigmoid'(a5) w_52 + grad[6] sigmoid'(a6) w_62, with the second weights of nodes 5 and 6."""
    out = graph_forward(inputs, weights, biases, target)
    grad = graph_backward(inputs, weights, biases, target)
    total = 0.0
    for i in (5, 6):
        s = sigmoid_of(out[2] * weights[i - 3][0] + out[3] * weights[i - 3][1] + biases[i - 3])
        total = total + grad[i - 1] * s * (1 - s) * weights[i - 3][1]
    return np.array(total)


def weight_named_by_the_derivative(inputs: Array, weights: Array, biases: Array, target: float) -> Array:
    """Compute the derivative of node 5 with respect to node 4 as the document calls it: w_ip, and p is the parent's number."""
    out = graph_forward(inputs, weights, biases, target)
    w_5 = {1: weights[2][0], 2: weights[2][1]}  # the forward formula numbers the weights by their place in the input
    p = 4
    s = sigmoid_of(biases[2] + w_5[1] * out[2] + w_5[2] * out[3])
    return np.array(s * (1 - s) * w_5[p])


def weight_by_place(inputs: Array, weights: Array, biases: Array, target: float) -> Array:
    """Compute the same derivative with the place of node 4 among the parents of node 5."""
    out = graph_forward(inputs, weights, biases, target)
    s = sigmoid_of(biases[2] + weights[2][0] * out[2] + weights[2][1] * out[3])
    return np.array(s * (1 - s) * weights[2][PARENTS[5].index(4)])


def graph_weight_gradients(inputs: Array, weights: Array, biases: Array, target: float) -> Array:
    """Compute dL/dw of each node after the sweep, only from the node's own gradient and inputs."""
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
        "In the network of eight nodes, every parent has a smaller number than its children. So the "
        "numbers are an order of computation.",
        question="an order of computation",
        says=lambda parents: list(range(1, 9)),
        examples=({"parents": PARENTS},),
    ),
    Claim(
        "000/1.1-forward",
        "1.1 forward and gradients",
        "One sweep from node 3 to node 8 fills the result array: first the sigmoid neurons, then half the"
        " squared difference.",
        formula="Fun(i, x) = sigmoid(b_i + sum_j w_ij x_j), i in 3..7;  Fun(8, x) = 0.5 (x - E)^2",
        question="the results of the eight-node graph",
        says=graph_forward,
        examples=GRAPH,
    ),
    Claim(
        "000/1.1-backward",
        "1.1 forward and gradients",
        "The gradients are set to 0 and the gradient of the loss to 1. Then one backward sweep adds to "
        "the gradient of each parent. It computes the derivative of the loss with respect to the output "
        "of every node.",
        formula="grad[p] += grad[i] dcFun(i, x, p)",
        question="the gradients of the eight-node graph",
        says=graph_backward,
        examples=GRAPH,
    ),
    Claim(
        "000/1.1-node4",
        "1.1 forward and gradients",
        "The gradient of node 4 is a sum over its children 5 and 6. Each term is the gradient of the "
        "child times its slope times its second weight.",
        formula="grad[4] = grad[5] sigmoid'(a5) w_52 + grad[6] sigmoid'(a6) w_62",
        question="the gradient of node 4",
        says=gradient_of_node_4,
        examples=GRAPH,
    ),
    Claim(
        "000/1.1-weight-index",
        "1.1 forward and gradients",
        "The derivative of a node with respect to its parent p is the slope of the node times w_ip. p is "
        "the number of the parent, which the sweep passes.",
        formula="dcFun(i, x, p) = sigmoid'(b_i + sum_j w_ij x_j) w_ip",
        question="the derivative of node 5 with respect to node 4",
        says=weight_named_by_the_derivative,
        examples=GRAPH,
        corrected=weight_by_place,
        correction="In w_ij, j counts the places in the input vector of the node: the example writes w_52 for parent"
        " 4 of node 5. So p must be translated into the place of the parent among the parents.",
        consequence="Node 5 has two weights. A program that asks for its weight number 4 stops, or reads past the end.",
    ),
    Claim(
        "000/1.2-inside",
        "1.2 parameter update",
        "If the gradient of a node's output is known, the gradients of its parameters follow from this node only.",
        formula="dL/dA_W = dL/dA_out dA_out/dA_W",
        question="the weight gradients of the eight-node graph",
        says=graph_weight_gradients,
        examples=GRAPH,
    ),
    Claim(
        "000/1.2-node",
        "1.2 parameter update",
        "A parameter can itself be an input node. Then it gets its gradient from the same sweep as any other parent.",
        layer="affine",
        question="dw of affine",
        says=gradient(affine, 1),
        examples=({"x": (1, 1), "w": (1, 1)}, *PRODUCT),
    ),
)
