"""Code that keeps something between forward and backward: in a cache, or in an object."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

from oracle.targets.ask import LayerFunction


def forward_backward(forward: Callable[..., Any], backward: Callable[[Any, Any], Any]) -> LayerFunction:
    """Join ``forward(...) -> (value, cache)`` and ``backward(dy, cache) -> cotangents`` to a layer.

    >>> import numpy as np
    >>> relu = forward_backward(lambda x: (np.maximum(x, 0), x), lambda dy, x: dy * (x > 0))
    >>> y, pullback = relu(np.array([-1.0, 2.0]))
    >>> pullback(np.array([5.0, 5.0]))
    (array([0., 5.]),)
    """

    def layer(*arrays: Any, **configuration: Any) -> Any:
        value, cache = forward(*arrays, **configuration)

        def pullback(dy: Any) -> tuple[Any, ...]:
            found = backward(dy, cache)
            return tuple(found) if isinstance(found, (tuple, list)) else (found,)

        return value, pullback

    return layer


def stateful(
    layer_object: Any,
    *,
    parameters: Mapping[str, str] | None = None,
    gradients: Mapping[str, str] | None = None,
    forward: str = "forward",
    backward: str = "backward",
) -> LayerFunction:
    """Make a layer of objects whose forward keeps what backward reads, with parameters and gradients in attributes.

    ``layer_object`` is a class or function that makes an object from a configuration, ``layer_object(**configuration)``. It
    may also be one object, which is copied for each call: each option is then put into the attribute of its name, and an
    option without such an attribute is not offered.

    ``parameters`` maps the arrays after x, in order, to the attributes that they are put into
    (``{"w": "weight", "b": "bias"}``; an array that is not given is put there as None). ``gradients`` maps them to the
    attributes that hold their gradients after backward. Backward itself returns dx.

    >>> import numpy as np
    >>> class Scale:
    ...     def forward(self, x):
    ...         self.x = x
    ...         return self.factor * x
    ...     def backward(self, dy):
    ...         self.dfactor = (dy * self.x).sum()
    ...         return dy * self.factor
    >>> layer = stateful(Scale(), parameters={"w": "factor"}, gradients={"w": "dfactor"})
    >>> y, pullback = layer(np.array([1.0, 2.0]), np.array(3.0))
    >>> y, pullback(np.array([1.0, 1.0]))
    (array([3., 6.]), (array([3., 3.]), np.float64(3.0)))
    """
    names, where = dict(parameters or {}), dict(gradients or {})
    is_one = hasattr(layer_object, forward) and not isinstance(layer_object, type)

    def made(configuration: dict[str, Any]) -> Any:
        if not is_one:
            return layer_object(**configuration)
        thing = copy.copy(layer_object)  # so that the next call finds its options as they were
        for option, value in configuration.items():
            if not hasattr(thing, option):
                raise NotImplementedError(f"the object has no {option}")
            setattr(thing, option, value)
        return thing

    def layer(x: Any, *arrays: Any, **configuration: Any) -> Any:
        if len(arrays) > len(names):
            raise ValueError(
                f"the layer has {len(arrays)} arrays after x; parameters names {', '.join(names) or 'none'}"
            )
        thing = made(configuration)
        for attribute, array in zip(names.values(), arrays, strict=False):
            setattr(thing, attribute, array)
        value = getattr(thing, forward)(x)

        def pullback(dy: Any) -> tuple[Any, ...]:
            dx = getattr(thing, backward)(dy)
            rest = zip(names, arrays, strict=False)
            return (dx, *(None if a is None or n not in where else getattr(thing, where[n]) for n, a in rest))

        return value, pullback

    return layer
