"""Engines: where the arrays of a run live."""

from __future__ import annotations

import numpy as np

from impl.array import Array
from impl.checkpoint import TrainingError
from impl.nn import Seed
from impl.tree import Tree, to_jax, to_numpy

ENGINES = ("numpy", "jax")


class Engine:
    """Where the arrays of a run live: on ``numpy``, or on one or several devices of ``jax``.

    Raises TrainingError for another name, for several devices on ``numpy``, and for more devices than JAX has.

    >>> Engine("numpy")
    Engine('numpy', devices=1)
    """

    def __init__(self, name: str, devices: int = 1) -> None:
        if name not in ENGINES:
            raise TrainingError(f"engine must be numpy or jax, got {name!r}")
        if devices < 1 or (name == "numpy" and devices > 1):
            raise TrainingError(f"devices must be 1 on numpy and at least 1 on jax, got {devices}")
        self.name, self.devices, self.batch_sharding, self.replicated = name, devices, None, None
        if devices > 1:
            import jax
            from jax.sharding import Mesh, NamedSharding, PartitionSpec

            if devices > len(jax.devices()):
                raise TrainingError(f"{devices} devices were asked for, but JAX has {len(jax.devices())}")
            mesh = Mesh(np.array(jax.devices()[:devices]), ("batch",))
            self.batch_sharding = NamedSharding(mesh, PartitionSpec("batch"))
            self.replicated = NamedSharding(mesh, PartitionSpec())

    def __repr__(self) -> str:
        return f"Engine({self.name!r}, devices={self.devices})"

    def place(self, tree: Tree) -> Tree:
        """Put parameters, state or slots on every device."""
        if self.name == "numpy":
            return to_numpy(tree)
        import jax

        return jax.device_put(to_jax(tree), self.replicated) if self.replicated is not None else to_jax(tree)

    def share(self, x: np.ndarray) -> Array:
        """Share the samples of a batch among the devices, or repeat it on each if their number does not divide it.

        The statistics of a normalisation are over the whole batch in any case.
        """
        if self.name == "numpy":
            return x
        import jax

        if self.batch_sharding is not None and len(x) % self.devices == 0:
            return jax.device_put(x, self.batch_sharding)
        return jax.device_put(x, self.replicated)

    def seed(self, seed: int, step: int) -> Seed:
        """Return what dropout draws from at a step, which follows from the run's seed."""
        if self.name == "numpy":
            return np.random.default_rng([seed, step])
        import jax

        return jax.random.fold_in(jax.random.key(seed), step)
