"""The residual blocks of a target, built from its own convolution, batch normalisation and ReLU."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from oracle.layers import LAYERS

Forward = Callable[..., Any]
SHORTCUT = "_shortcut"


def residual(name: str, strided: str, convolve: Forward, batch_norm: Forward, relu: Forward) -> Forward:
    """Return the forward function of a residual block.

    A block has parts: a convolution and the normalisation after it. The arrays of a part have the same suffix, so the names
    of the layer's arrays say which parts there are. The part ``strided`` and the shortcut have the stride of the block.

    - ``convolve(x, w, stride=, padding=)`` returns y.
    - ``batch_norm(x, gamma, beta, running_mean, running_var, **options)`` returns y and the new statistics.
    """
    names = LAYERS[name].arrays
    parts = [array.removeprefix("w") for array in names if array.startswith("w")]
    parts.remove(SHORTCUT)

    def forward(*arrays: Any, stride: Any = 1, **options: Any) -> Any:
        given: dict[str, Any] = dict.fromkeys(names) | dict(zip(names, arrays, strict=False))
        statistics: list[Any] = []

        def convolved(h: Any, part: str) -> Any:
            w, *norm = (given[array + part] for array in ("w", "gamma", "beta", "running_mean", "running_var"))
            a = convolve(
                h, w, stride=stride if part in (strided, SHORTCUT) else 1, padding=tuple(k // 2 for k in w.shape[2:])
            )
            y, *new = batch_norm(a, *norm, **options)
            statistics.extend(new)
            return y

        h = given["x"]
        for part in parts:
            h = convolved(h if part == parts[0] else relu(h), part)
        if given["w" + SHORTCUT] is None:
            by = given["x"]
            statistics.extend([None, None])
        else:
            by = convolved(given["x"], SHORTCUT)
        if by.shape != h.shape:
            raise ValueError("the block and its shortcut differ in shape")
        return (relu(h + by), *statistics)

    return forward
