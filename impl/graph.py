"""Computation graphs: a sweep forward in Kahn's order, and a sweep back that accumulates the gradients.

>>> import numpy as np
>>> from impl import functional as F
>>> x, w, y = Input("x"), Input("w"), Input("y")
>>> graph = Graph(Apply(F.mse_loss, Apply(F.affine, x, w), y, name="cost"))
>>> print(graph)
w = input()
x = input()
y = input()
affine1 = affine(x, w)
cost = mse_loss(affine1, y)
>>> feeds = {"x": np.array([[2.0]]), "w": np.array([[3.0]]), "y": np.array([[5.0]])}
>>> values, gradients = graph.run(feeds, wanted=["w"])
>>> float(values["cost"]), gradients["w"]  # (2 w - 5)^2, whose derivative is 4 (2 w - 5)
(1.0, array([[4.]]))

A parameter may be a node itself, as w here (as in TensorFlow), or lie inside a node that holds a module (as in
PyTorch): ``Apply(Conv2d(1, 8, 3), x, name="conv")`` with ``parameters={"conv": {"w": ..., "b": ...}}``.
Source: document 000, section 1; document 003.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from impl.array import Array, is_array, namespace
from impl.nn import Module, Seed
from impl.nn.module import split
from impl.rule import Rule
from impl.tree import Tree


class GraphError(ValueError):
    """A graph cannot be built or run. The message names the node."""


class Node:
    """A node: it has a name, and parents in the order of its operation's arrays."""

    def __init__(self, name: str, parents: Sequence[Node] = ()) -> None:
        self.name = name
        self.parents: tuple[Node, ...] = ()
        self.connect(*parents)

    def connect(self, *parents: Node) -> None:
        """Set the parents. Cycles are looked for when the graph is built. Raises GraphError for what is not a node."""
        for i, parent in enumerate(parents):
            if not isinstance(parent, Node):
                raise GraphError(f"{self.name}: parent {i + 1} must be a node, got {type(parent).__name__}")
        self.parents = parents

    def __repr__(self) -> str:
        return f"{self.name} = {self.label}({', '.join(p.name for p in self.parents)})"

    @property
    def label(self) -> str:
        """Return what the node does, in one word."""
        return "input"


class Input(Node):
    """A node that is fed its value when the graph runs: data, or a parameter."""

    def __init__(self, name: str) -> None:
        super().__init__(name)


class Apply(Node):
    """A node that applies a rule or a module to the values of its parents.

    ``configuration`` is passed to the rule. Raises GraphError if the operation is neither a rule nor a module, and if a
    module has more than one parent or a configuration.
    """

    def __init__(self, operation: Rule | Module, *parents: Node, name: str = "", **configuration: Any) -> None:
        if not isinstance(operation, (Rule, Module)):
            raise GraphError(f"{name or 'node'}: the operation must be a rule or a module, got {operation!r}")
        if isinstance(operation, Module) and (len(parents) != 1 or configuration):
            raise GraphError(f"{name or 'node'}: a module takes one parent and no configuration")
        self.operation, self.configuration = operation, configuration
        super().__init__(name, parents)

    @property
    def label(self) -> str:
        """Return the name of the rule, or of the module's class."""
        return self.operation.name if isinstance(self.operation, Rule) else type(self.operation).__name__.lower()


class Graph:
    """A computation: an output node and everything that it depends on.

    ``order`` holds the nodes, each after its parents, and ``nodes`` the same by name. A node without a name gets its
    operation's name with a number. Raises GraphError for a cycle, and if two nodes have the same name.
    """

    def __init__(self, output: Node) -> None:
        self.output = output
        self.order = kahn(output)
        self._name_nodes()
        self.nodes = {node.name: node for node in self.order}

    def _name_nodes(self) -> None:
        taken: set[str] = set()
        for node in self.order:
            if node.name and node.name in taken:
                raise GraphError(f"two nodes are called {node.name}")
            taken.add(node.name)
        for node in self.order:
            number = 1
            while not node.name:
                name = f"{node.label}{number}"
                number += 1
                if name not in taken:
                    node.name = name
                    taken.add(name)

    def run(
        self,
        feeds: Mapping[str, Array],
        wanted: Sequence[str] = (),
        *,
        parameters: Mapping[str, Tree] | None = None,
        state: Mapping[str, Tree] | None = None,
        training: bool = False,
        seed: Seed = None,
    ) -> tuple[dict[str, Array], dict[str, Any]]:
        """Compute the values of all nodes, and the gradients of the output with respect to the wanted nodes.

        ``feeds`` holds the value of each input. ``parameters`` and ``state`` hold the trees of the nodes with modules,
        ``training`` and ``seed`` are passed to them; their new state is dropped. A gradient has the shape of its node's
        value; for a node with a module it is the tree of the gradients of its parameters. The sweep back visits only
        the nodes that lie between a wanted node and the output, and computes only the cotangents that lead there.

        Raises GraphError, with the name of the node, if a feed is missing, unknown or not an array, if a wanted node is
        unknown, if shapes do not fit, and if gradients are wanted of an output that is not a single number.
        """
        parameters, state = parameters or {}, state or {}
        self._check(feeds, wanted, parameters)
        values: dict[str, Array] = {}
        backs: dict[str, Any] = {}
        for node, own_seed in zip(self.order, split(seed, len(self.order)), strict=True):
            if not isinstance(node, Apply):
                values[node.name] = feeds[node.name]
                continue
            arrays = [values[parent.name] for parent in node.parents]
            try:
                if isinstance(node.operation, Rule):
                    y, backs[node.name] = node.operation.vjp(*arrays, **node.configuration)
                    values[node.name] = y[0] if isinstance(y, tuple) else y
                else:
                    own, kept = parameters.get(node.name, {}), state.get(node.name, {})
                    y, _, backs[node.name] = node.operation.vjp(own, kept, *arrays, training=training, seed=own_seed)
                    values[node.name] = y
            except (ValueError, TypeError) as error:
                raise GraphError(f"node {node.name}: {error}") from None
        return values, self._gradients(values, backs, wanted) if wanted else {}

    def _check(self, feeds: Mapping[str, Array], wanted: Sequence[str], parameters: Mapping[str, Tree]) -> None:
        inputs = [node.name for node in self.order if isinstance(node, Input)]
        for name in inputs:
            if name not in feeds:
                raise GraphError(f"node {name} is an input and was not fed")
        for name, x in feeds.items():
            if name not in inputs:
                raise GraphError(f"{name} was fed but is not an input of the graph; its inputs are {', '.join(inputs)}")
            if not is_array(x):
                raise GraphError(f"node {name}: the feed must be a NumPy or JAX array, got {type(x).__name__}")
        for name in wanted:
            if name not in self.nodes:
                raise GraphError(f"there is no node {name}; the nodes are {', '.join(self.nodes)}")
        for name in parameters:
            node = self.nodes.get(name)
            if not (isinstance(node, Apply) and isinstance(node.operation, Module)):
                raise GraphError(f"parameters are given for {name}, which is not a node with a module")

    def _gradients(self, values: dict[str, Array], backs: dict[str, Any], wanted: Sequence[str]) -> dict[str, Any]:
        """Sweep back. A node's gradient is complete when it is reached, because its children come later in the order."""
        out = values[self.output.name]
        if out.ndim:
            raise GraphError(f"node {self.output.name}: a gradient needs a single number, got shape {tuple(out.shape)}")
        needed = self._leading_to(wanted)
        gradients: dict[str, Array] = {self.output.name: namespace(out).ones_like(out)}
        inside: dict[str, Tree] = {}
        for node in reversed(self.order):
            if not isinstance(node, Apply) or node.name not in needed or node.name not in gradients:
                continue
            dy = gradients[node.name]
            if isinstance(node.operation, Rule):
                open_to = [
                    array
                    for array, parent in zip(node.operation.arrays, node.parents, strict=False)
                    if parent.name in needed
                ]
                cotangents = backs[node.name](dy, wanted=open_to)
            else:
                dx, inside[node.name] = backs[node.name](dy, node.parents[0].name in needed)
                cotangents = (dx,)
            for parent, dx in zip(node.parents, cotangents, strict=False):
                if dx is not None and parent.name in needed:
                    gradients[parent.name] = gradients[parent.name] + dx if parent.name in gradients else dx
        return {name: self._gradient_of(name, values, gradients, inside) for name in wanted}

    def _gradient_of(
        self, name: str, values: dict[str, Array], gradients: dict[str, Array], inside: dict[str, Tree]
    ) -> Any:
        if name in inside:
            return inside[name]
        if name in gradients:
            return gradients[name]
        return namespace(values[name]).zeros_like(values[name])  # the output does not depend on it

    def _leading_to(self, wanted: Sequence[str]) -> set[str]:
        """Return the names of the wanted nodes and of all nodes that depend on them."""
        needed: set[str] = set(wanted)
        for node in self.order:
            if any(parent.name in needed for parent in node.parents):
                needed.add(node.name)
        return needed

    def __str__(self) -> str:
        return "\n".join(map(repr, self.order))

    def graphviz(self) -> str:
        """Draw the graph in the DOT language, for Graphviz."""
        lines = ["digraph {", "  rankdir=LR"]
        for node in self.order:
            shape = "ellipse" if isinstance(node, Input) else "box"
            text = node.name if isinstance(node, Input) else f"{node.name}\\n{node.label}"
            lines.append(f'  "{node.name}" [shape={shape}, label="{text}"]')
        lines += [f'  "{parent.name}" -> "{node.name}"' for node in self.order for parent in node.parents]
        return "\n".join([*lines, "}"]) + "\n"

    def svg(self) -> str:
        """Draw the graph as an SVG picture, with one column per distance from the inputs."""
        depth: dict[str, int] = {}
        for node in self.order:
            depth[node.name] = 1 + max((depth[parent.name] for parent in node.parents), default=-1)
        rows: dict[int, int] = {}
        place: dict[str, tuple[int, int]] = {}
        for node in self.order:
            column = depth[node.name]
            rows[column] = rows.get(column, -1) + 1
            place[node.name] = (20 + 150 * column, 20 + 60 * rows[column])
        width, height = 150 * (max(depth.values()) + 1) + 20, 60 * (max(rows.values()) + 1) + 20
        parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" font-family="sans-serif">']
        for node in self.order:
            x2, y2 = place[node.name]
            for parent in node.parents:
                x1, y1 = place[parent.name]
                parts.append(f'<path d="M{x1 + 110},{y1 + 18} L{x2},{y2 + 18}" stroke="#888" fill="none"/>')
        for node in self.order:
            x, y = place[node.name]
            fill = "#eef" if isinstance(node, Input) else "#efe"
            label = escape(node.name if isinstance(node, Input) else f"{node.name}: {node.label}")
            parts.append(f'<rect x="{x}" y="{y}" width="110" height="36" rx="6" fill="{fill}" stroke="#888"/>')
            parts.append(f'<text x="{x + 55}" y="{y + 22}" font-size="11" text-anchor="middle">{label}</text>')
        return "\n".join([*parts, "</svg>"]) + "\n"


def kahn(output: Node) -> list[Node]:
    """List a node and its ancestors, every parent before its children (Kahn, 1962).

    Each node is visited once, so the time grows with the number of nodes and edges. A child that names the same parent
    twice has two edges to it. Raises GraphError for a cycle.

    >>> x = Input("x")
    >>> kahn(Apply(Rule(lambda x: (x, None), (), "double"), x, name="y"))
    [x = input(), y = double(x)]
    """
    met, waiting = {output: None}, [output]
    children: dict[Node, list[Node]] = {output: []}
    while waiting:
        node = waiting.pop()
        for parent in node.parents:
            if parent not in met:
                met[parent] = None
                children[parent] = []
                waiting.append(parent)
            children[parent].append(node)
    open_edges = {node: len(node.parents) for node in met}
    ready = [node for node in reversed(met) if not open_edges[node]]
    order: list[Node] = []
    while ready:
        node = ready.pop(0)
        order.append(node)
        for child in children[node]:
            open_edges[child] -= 1
            if not open_edges[child]:
                ready.append(child)
    if len(order) < len(met):
        stuck = [node for node in met if open_edges[node]]
        names = ", ".join(node.name or node.label for node in stuck)
        raise GraphError(f"the graph has a cycle through or before the nodes {names}")
    return order
