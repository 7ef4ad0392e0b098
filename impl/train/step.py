"""The training step: loss, hand-derived gradients, and the optimiser's move, as one pure function."""

from __future__ import annotations

from typing import Protocol

from impl import functional as F  # noqa: N812
from impl.array import Array, namespace
from impl.nn import Module, Seed
from impl.optim import Optimiser, Rate, clipped
from impl.tree import Tree, leaves, tree_map


class Step(Protocol):
    """One training step."""

    def __call__(
        self, parameters: Tree, state: Tree, slots: Tree, x: Array, y: Array, rate: Rate, seed: Seed, /
    ) -> tuple[Tree, Tree, Tree, Array, Array]:
        """Return the new parameters, state and slots, the mean loss of the batch, and the number of correct answers."""


def loss_and_gradients(
    network: Module, parameters: Tree, state: Tree, x: Array, y: Array, l2: float = 0.0, seed: Seed = None
) -> tuple[Array, Tree, Tree, Array]:
    """Compute the mean cross-entropy of a batch in training mode, and its hand-derived gradients.

    x (N, *S); y (N), labels from 0. With ``l2``, the loss also has l2 / 2 times the sum of squares of all parameters that
    have more than one axis. Returns the loss, the new state, the gradients in the structure of the parameters, and the
    logits (N, classes).
    """
    logits, new_state, pullback = network.vjp(parameters, state, x, training=True, seed=seed)
    loss, loss_back = F.cross_entropy.vjp(logits, y)
    dlogits = loss_back(namespace(loss).ones_like(loss))[0]
    _, gradients = pullback(dlogits, False)
    if l2:
        loss = loss + sum(F.l2_penalty(w, weight=l2) for w in leaves(parameters) if w.ndim > 1)
        gradients = tree_map(lambda g, w: g + l2 * w if w.ndim > 1 else g, gradients, parameters)
    return loss, new_state, gradients, logits


def make_step(
    network: Module, optimiser: Optimiser, *, l2: float = 0.0, clip: float | None = None, engine: str = "numpy"
) -> Step:
    """Make the function that takes one training step.

    ``l2`` is as in ``loss_and_gradients``; ``clip`` limits the common norm of the gradients (see ``impl.optim.clipped``).
    If the loss is not finite, parameters, state and slots stay as they were, so that the cause can be looked for. On
    ``jax`` the step is jitted and uses up these three: their buffers are reused for the results.
    """

    def step(
        parameters: Tree, state: Tree, slots: Tree, x: Array, y: Array, rate: Rate, seed: Seed
    ) -> tuple[Tree, Tree, Tree, Array, Array]:
        loss, new_state, gradients, logits = loss_and_gradients(network, parameters, state, x, y, l2, seed)
        if clip is not None:
            gradients = clipped(gradients, clip)
        moved, new_slots = optimiser.update(gradients, slots, parameters, rate)
        good = namespace(loss).isfinite(loss)
        kept = (either(good, moved, parameters), either(good, new_state, state), either(good, new_slots, slots))
        return (*kept, loss, (logits.argmax(axis=1) == y).sum())

    def either(good: Array, after: Tree, before: Tree) -> Tree:
        if engine == "numpy":
            return after if good else before
        return tree_map(lambda a, b: namespace(a).where(good, a, b), after, before)

    if engine == "numpy":
        return step
    import jax

    return jax.jit(step, donate_argnums=(0, 1, 2))
