"""Answer the questions of the claims that are not about a single layer, each from its definition.

An answer is a function of the arguments of an example. If a question has more than one right answer, there is a predicate
instead: a function of the document's answer and of the arguments, which returns what is wrong, or None.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from oracle.layers import LAYERS

Answer = Callable[..., Any]

# -- graphs of scalars ------------------------------------------------------------------------------------------------


def _eight_nodes(inputs: Any, weights: Any, biases: Any, target: Any, shifts: Any) -> list[Any]:
    """Compute the outputs of the nodes, each plus a shift. The derivative with respect to a shift is a node's gradient."""
    one, two = inputs[0] + shifts[0], inputs[1] + shifts[1]
    hidden = [one, two]
    for layer in (0, 2):
        a, b = hidden[-2:]
        for i in (layer, layer + 1):
            hidden.append(jax.nn.sigmoid(biases[i] + weights[i, 0] * a + weights[i, 1] * b) + shifts[2 + i])
    out = jax.nn.sigmoid(biases[4] + weights[4, 0] * hidden[4] + weights[4, 1] * hidden[5]) + shifts[6]
    return [*hidden, out, (out - target) ** 2 / 2 + shifts[7]]


def graph_results(inputs: Any, weights: Any, biases: Any, target: Any) -> Any:
    """Compute the eight outputs."""
    return jnp.stack(_eight_nodes(inputs, weights, biases, target, jnp.zeros(8)))


def graph_gradients(inputs: Any, weights: Any, biases: Any, target: Any) -> Any:
    """Compute the derivative of the loss with respect to the output of each node."""
    return jax.grad(lambda s: _eight_nodes(inputs, weights, biases, target, s)[-1])(jnp.zeros(8))


def graph_weight_gradients(inputs: Any, weights: Any, biases: Any, target: Any) -> Any:
    """Compute the derivative of the loss with respect to each weight."""
    return jax.grad(lambda w: _eight_nodes(inputs, w, biases, target, jnp.zeros(8))[-1])(weights)


def node_5_by_node_4(inputs: Any, weights: Any, biases: Any, target: Any) -> Any:
    """Compute the derivative of the output of node 5 with respect to the output of node 4."""
    return jax.grad(lambda s: _eight_nodes(inputs, weights, biases, target, jnp.zeros(8).at[3].set(s))[4])(0.0)


def chain_gradients(weights: Any, x: float) -> Any:
    """Compute the derivatives of tanh(w_n ... tanh(w_1 x)) with respect to its weights."""

    def z(w: Any) -> Any:
        a = jnp.asarray(x)
        for i in range(len(weights)):
            a = jnp.tanh(w[i] * a)
        return a

    return jax.grad(z)(weights)


def order_of_computation(said: list[int], parents: Mapping[int, tuple[int, ...]]) -> str | None:
    """Check that every node comes exactly once, and after all its parents."""
    if sorted(said) != sorted(parents):
        return "every node must come exactly once"
    late = [(p, n) for n in parents for p in parents[n] if said.index(p) > said.index(n)]
    return f"node {late[0][1]} comes before its parent {late[0][0]}" if late else None


def visited_once(said: int, parents: Mapping[int, tuple[int, ...]]) -> str | None:
    """Check that there are at most as many visits as nodes and edges."""
    most = len(parents) + sum(map(len, parents.values()))
    return None if said <= most else f"at most {most} (nodes and edges)"


# -- networks ---------------------------------------------------------------------------------------------------------


def mlp_output(x: Any, targets: Any, weights: list[Any], biases: list[Any]) -> Any:
    """Apply affine maps, each with a sigmoid after it. Each row is a sample."""
    for w, b in zip(weights, biases, strict=True):
        x = jax.nn.sigmoid(jnp.einsum("nd,dm->nm", x, w) + b)
    return x


def mlp_weight_gradients(x: Any, targets: Any, weights: list[Any], biases: list[Any]) -> Any:
    """Compute the gradients of half the sum of squared differences with respect to the weights."""

    def loss(ws: list[Any]) -> Any:
        return ((mlp_output(x, targets, ws, biases) - targets) ** 2).sum() / 2

    return jnp.concatenate([g.ravel() for g in jax.grad(loss)(weights)])


def small_network(x: Any, w1: Any, b1: Any, w2: Any, b2: Any, first: Any = 0.0, second: Any = 0.0) -> Any:
    """Run the 3-4-2 network. ``first`` and ``second`` are added to its linear units."""
    hidden = jax.nn.sigmoid(x @ w1 + b1 + first)
    return jnp.tanh(hidden @ w2 + b2 + second)


def _small_loss(y: Any, **network: Any) -> Any:
    return ((y - small_network(**network)) ** 2).mean()


def minus_gradient_at_the_first_unit(y: Any, **network: Any) -> Any:
    """Compute minus the derivative of the mean squared error with respect to the first linear unit."""
    return -jax.grad(lambda shift: _small_loss(y, **network, first=shift))(jnp.zeros((1, 4)))


def minus_gradient_at_the_second_unit(y: Any, **network: Any) -> Any:
    """Compute minus the derivative of the mean squared error with respect to the second linear unit."""
    return -jax.grad(lambda shift: _small_loss(y, **network, second=shift))(jnp.zeros((1, 2)))


def ten_epochs(x: Any, y: Any, epochs: int, **parameters: Any) -> Any:
    """Return the outputs before each step of gradient descent on the mean squared error, with rate 0.1."""
    outputs = []
    for _ in range(epochs):
        outputs.append(small_network(x, **parameters)[0])
        slopes = jax.grad(lambda p: _small_loss(y, x=x, **p))(parameters)
        parameters = {name: parameters[name] - 0.1 * slopes[name] for name in parameters}
    return jnp.stack(outputs)


def nearer_each_epoch(x: Any, y: Any, **parameters: Any) -> Any:
    """Return 1 if gradient descent comes nearer to the target in each of ten epochs, else 0."""
    distances = jnp.abs(ten_epochs(x, y, 10, **parameters) - y).sum(axis=1)
    return jnp.all(distances[1:] < distances[:-1]).astype(float)


def weights_change(x: Any, y: Any, **parameters: Any) -> Any:
    """Return 1 if the gradient of each weight matrix is not 0, else 0."""
    slopes = jax.grad(lambda p: _small_loss(y, x=x, **p))(parameters)
    return jnp.array(bool(jnp.any(slopes["w1"] != 0) and jnp.any(slopes["w2"] != 0)), float)


def descent_on_a_line(x: Any, y: Any, step: float, limit: int, threshold: float) -> Any:
    """Minimise half the mean squared error, starting at 0. Return the parameters and the number of steps."""
    w, steps = jnp.zeros(x.shape[1]), 0
    for _ in range(limit):
        move = step * jax.grad(lambda v: ((x @ v - y) ** 2).mean() / 2)(w)
        w, steps = w - move, steps + 1
        if jnp.abs(move).max() < threshold:
            break
    return jnp.append(w, steps)


def _halved(x: Any) -> Any:
    return LAYERS["max_pool2d"].mathematics(x, kernel_size=2)


def conv_relu_pool(x: Any, w: Any, b: Any) -> Any:
    """Run a convolution that keeps the size, a ReLU, and 2 x 2 max pooling."""
    return LAYERS["conv_relu_pool"].mathematics(x, w, b, padding=tuple((k - 1) // 2 for k in w.shape[2:]))


def _scores(x: Any, w1: Any, b1: Any, w2: Any, b2: Any, w3: Any, b3: Any) -> Any:
    flat = conv_relu_pool(x, w1, b1).reshape(len(x), -1)
    return jax.nn.relu(flat @ w2 + b2) @ w3 + b3


def convnet_scores(y: Any, reg: float, **given: Any) -> Any:
    """Run conv - relu - pool - affine - relu - affine."""
    return _scores(**given).ravel()


def convnet_loss(y: Any, reg: float, **given: Any) -> Any:
    """Compute the softmax cross-entropy plus half of reg times the sum of the squared weights."""
    log_p = jax.nn.log_softmax(_scores(**given))
    penalty = sum((given[name] ** 2).sum() for name in ("w1", "w2", "w3"))
    return -log_p[jnp.arange(len(y)), y].mean() + reg / 2 * penalty


def convnet_gradients(y: Any, reg: float, x: Any, **parameters: Any) -> Any:
    """Compute the gradients of the loss with respect to all parameters, one after the other."""
    slopes = jax.grad(lambda p: convnet_loss(y, reg, x=x, **p))(parameters)
    return jnp.concatenate([slopes[name].ravel() for name in ("w1", "b1", "w2", "b2", "w3", "b3")])


def residual_unit(x: Any, w1: Any, w2: Any) -> Any:
    """Compute relu(x + A2 relu(A1 x))."""
    return jax.nn.relu(x + jax.nn.relu(x @ w1) @ w2)


def residual_unit_gradient(x: Any, w1: Any, w2: Any, dy: Any) -> Any:
    """Compute the gradient of the residual unit with respect to x."""
    return jax.vjp(lambda v: residual_unit(v, w1, w2), x)[1](dy)[0]


def residual_unit_gate(x: Any, w1: Any, w2: Any) -> Any:
    """Return 1 at the places where the output of the unit depends on its last sum, else 0."""
    total = x + jax.nn.relu(x @ w1) @ w2
    return jax.grad(lambda s: jax.nn.relu(total + s).sum())(jnp.zeros_like(total))


def residual_block(x: Any, w1: Any, w2: Any, w3: Any = None, shortcut: Any = None, stride: int = 1) -> Any:
    """Run the block with two kernels, or the bottleneck if there is a third."""
    name, kernels = ("residual_block", (w1, w2)) if w3 is None else ("bottleneck_block", (w1, w2, w3))
    y = LAYERS[name].mathematics(x, *kernels, w_shortcut=shortcut, stride=stride)
    return y[0] if isinstance(y, tuple) else y


# -- parts of layers --------------------------------------------------------------------------------------------------


def batch_norm_by_variance(a: Any, gamma: Any, dy: Any, eps: float) -> Any:
    """Compute the derivative of batch normalisation with respect to the variance."""

    def of_variance(v: Any) -> Any:
        return (gamma * (a - a.mean(0)) / jnp.sqrt(v + eps) * dy).sum()

    return jax.grad(of_variance)(a.var(0))


def batch_norm_by_mean(a: Any, gamma: Any, dy: Any, eps: float) -> Any:
    """Compute the derivative of batch normalisation with respect to the mean, on which the variance depends."""

    def of_mean(m: Any) -> Any:
        return (gamma * (a - m) / jnp.sqrt(((a - m) ** 2).mean(0) + eps) * dy).sum()

    return jax.grad(of_mean)(a.mean(0))


def moments_after_normalisation(x: Any) -> Any:
    """Compute the mean, variance and fourth moment of (x - mean) / standard deviation."""
    z = (x - x.mean()) / x.std()
    return jnp.stack([jnp.round(z.mean(), 12), (z**2).mean(), (z**4).mean()])


def shift_changes_the_average(x: Any) -> Any:
    """Return 1 if rolling a window by one place changes its average, else 0."""
    return jnp.array(float(jnp.abs(jnp.roll(x, 1).mean() - x.mean()) > 1e-12))


def gradient_lost_in_pooling(x: Any, kernel_size: int) -> Any:
    """Return 1 if the gradient that arrives at x sums to less than the gradient of the pooled maps, else 0."""
    y, pullback = jax.vjp(lambda v: LAYERS["max_pool2d"].mathematics(v, kernel_size=kernel_size), x)
    return jnp.array(float(pullback(jnp.ones_like(y))[0].sum() < y.size))


def sums_of_windows(said: Any, dy: Any) -> str | None:
    """Check that each 2 x 2 block of the answer sums to its entry of dy."""
    n, c, h, w = said.shape
    sums = said.reshape(n, c, h // 2, 2, w // 2, 2).sum((3, 5))
    return None if np.array_equal(sums, dy) else f"the blocks must sum to {dy.tolist()}, not to {sums.tolist()}"


def share_kept_by_pooling(x: Any) -> Any:
    """Divide the number of outputs of 2 x 2 max pooling by the number of inputs."""
    return jnp.array(jax.eval_shape(_halved, x).size / x.size)


def features_after_pooling(input_dim: Any, num_filters: int) -> int:
    """Count the features after num_filters convolutions that keep the size and 2 x 2 max pooling."""
    return int(jax.eval_shape(_halved, jnp.zeros((1, num_filters, *input_dim[1:]))).size)


# -- published figures and text ---------------------------------------------------------------------------------------

# The blocks in conv2_x to conv5_x: He, Zhang, Ren, Sun: Deep Residual Learning for Image Recognition (2016), table 1.
DEPTHS = {34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}
# num_params of resnet34, resnet50, resnet101 and resnet152 in torchvision's documentation.
PARAMETERS = {34: 21_797_672, 50: 25_557_032, 101: 44_549_160, 152: 60_192_808}


def multiplications(kernels: list[tuple[int, int, int]]) -> int:
    """Count the multiplications per pixel of kernels, each given as (channels in, channels out, side)."""
    return sum(n * m * side**2 for n, m, side in kernels)


def through_jacobian(jacobian: Any, dz: Any) -> Any:
    """Apply the pullback of y = J x."""
    return jax.vjp(lambda x: jacobian @ x, jnp.zeros(jacobian.shape[1]))[1](dz)[0]


def terminated(said: tuple[str, ...]) -> str | None:
    """Check that every C statement ends in a semicolon."""
    bare = [line for line in said if not line.rstrip().endswith(";")]
    return f"there must be a semicolon after {bare[0]!r}" if bare else None


def none_at_all(said: tuple[str, ...]) -> str | None:
    """Check that the answer is empty."""
    return f"there must be none, but there is {', '.join(said)}" if said else None


def fan_out(x: Any) -> Any:
    """Compute the gradient of an input of a sigmoid and a tanh whose outputs are summed."""
    return jax.grad(lambda v: (jax.nn.sigmoid(v) + jnp.tanh(v)).sum())(x)


def parses(said: str) -> str | None:
    """Check that the header of a Python function parses if it gets a body."""
    try:
        ast.parse(f"{said}\n    pass\n")
    except SyntaxError as error:
        return f"the header does not parse: {error.msg}"
    return None


def no_error(said: Any) -> str | None:
    """Accept every answer: only an exception is wrong."""
    return None


QUESTIONS: dict[str, Answer] = {
    "the results of the eight-node graph": graph_results,
    "the gradients of the eight-node graph": graph_gradients,
    "the gradient of node 4": lambda **given: graph_gradients(**given)[3],
    "the derivative of node 5 with respect to node 4": node_5_by_node_4,
    "the weight gradients of the eight-node graph": graph_weight_gradients,
    "the gradients of a chain of tanh layers": chain_gradients,
    "the output of an MLP": mlp_output,
    "the weight gradients of an MLP": mlp_weight_gradients,
    "the number of parameters of an MLP": lambda widths: sum(n * m + m for n, m in pairwise(widths)),
    "the gradient through a Jacobian": through_jacobian,
    "the standard deviation of a column": lambda x: jnp.std(x),
    "mean, variance and fourth moment after normalisation": moments_after_normalisation,
    "the gradient of batch normalisation with respect to its variance": batch_norm_by_variance,
    "the gradient of batch normalisation with respect to its mean": batch_norm_by_mean,
    "the Jacobian of softmax": lambda x: jax.jacobian(jax.nn.softmax)(x),
    "whether a shift inside a window changes the average": shift_changes_the_average,
    "whether the pullback of a pooling loses a part of the gradient": gradient_lost_in_pooling,
    "the share of activations that 2 x 2 pooling keeps": share_kept_by_pooling,
    "features after 2 x 2 pooling": features_after_pooling,
    "the residual unit": residual_unit,
    "the gradient of the residual unit": residual_unit_gradient,
    "the places at which the residual unit passes on a gradient": residual_unit_gate,
    "the basic residual block": residual_block,
    "the bottleneck residual block": residual_block,
    "fewer multiplications in a bottleneck of 256 channels": lambda: float(
        multiplications([(256, 64, 1), (64, 64, 3), (64, 256, 1)]) < multiplications([(256, 256, 3)] * 2)
    ),
    "the number of weighted layers": lambda layers: layers,
    "the published depths": lambda layers: DEPTHS[layers],
    "the published number of parameters": lambda layers: PARAMETERS[layers],
    "the published stride of the first stage": lambda layers: 1,
    "the published widths": lambda: (64, 128, 256, 512),
    "the gradient of an input that feeds two nodes": fan_out,
    "convolution, ReLU and 2 x 2 max pooling": conv_relu_pool,
    "the scores of the three-layer convnet": convnet_scores,
    "the loss of the three-layer convnet": lambda **given: convnet_loss(**given)[None],
    "the gradients of the three-layer convnet": convnet_gradients,
    "the shape of a 1 x 1 convolution's output": lambda num_filters: (1, num_filters, 1, 1),
    "standard deviation and mean of initial weights": lambda scale: jnp.array([1.0, 0.0]),
    "zeros on each side that keep the size": lambda size: (size - 1) / 2,
    "the sum of the example's products": lambda: 2.0 + 1.0 + (2.0 - 1.0) + 1.0,
    "batch gradient descent on a line": descent_on_a_line,
    "the parts of a CNN": lambda: ("input", "convolution", "pooling", "fully connected", "output"),
    "what K counts": lambda: "the number of kernels",
    "the output of the 3-4-2 network": lambda y, **network: small_network(**network),
    "the output of the 3-4-2 network, two decimals": lambda y, **network: jnp.round(small_network(**network), 2),
    "minus the gradient at the second linear unit": minus_gradient_at_the_second_unit,
    "minus the gradient at the first linear unit": minus_gradient_at_the_first_unit,
    "ten epochs of the 3-4-2 network": ten_epochs,
    "whether the 3-4-2 network comes nearer in every epoch": nearer_each_epoch,
    "whether the weights change": weights_change,
    "the target of the text": lambda: jnp.array([[-0.85, 0.72]]),
    "the last node of the training graph": lambda: "MSE",
}  # fmt: skip

PREDICATES: dict[str, Callable[..., str | None]] = {
    "an order of computation": order_of_computation,
    "the number of visits of a sort": visited_once,
    "the sums of a gradient's windows": sums_of_windows,
    "C statements end in a semicolon": terminated,
    "allocated and not freed": none_at_all,
    "names used before they are defined": none_at_all,
    "listings without a return": none_at_all,
    "the header parses": parses,
    "a call without an error": no_error,
}
