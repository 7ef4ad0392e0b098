"""Write a target file to start from, for ``backproof new``."""

from __future__ import annotations

from oracle.layers import LAYERS, Layer
from oracle.layers.describe import formula
from oracle.layers.signature import Array

HEAD = '''"""A target for Backproof. Try it as it is, then put your own code in:

    backproof run --target {file} --layers {layers}

A layer takes NumPy arrays by position and its configuration by keyword. It returns its value and a pullback: a function
that takes dy, of the value's shape, and returns one cotangent for each array (None for an array that was not given or
takes no gradient). Each docstring lists the arrays with their shapes: *S stands for any number of axes, *S:2 for two.
Raise NotImplementedError for a configuration that your code does not have: it is counted, and it is not a failure.
backproof.adapters turns code of another shape into this one (PyTorch, JAX, forward and backward with a cache, objects,
channels last).
"""

from backproof import functional as F
'''


def target_source(file: str, layers: tuple[str, ...]) -> str:
    """Return the source of a target with these layers, each of which calls ``impl`` until the user's code replaces it."""
    return HEAD.format(file=file, layers=",".join(layers)) + "".join(_layer(LAYERS[name]) for name in layers)


def _layer(layer: Layer) -> str:
    arrays = [name + "=None" * (name in layer.optional) for name in layer.arrays]
    options = [name if default is ... else f"{name}={default!r}" for name, default in layer.options.items()]
    parameters = ", ".join([*arrays, *(["*", *options] if options else [])])
    call = ", ".join([*layer.arrays, *(f"{name}={name}" for name in layer.options)])
    cotangents = ", ".join("None" if name in layer.no_gradient else f"d{name}" for name in layer.arrays)
    listed = "\n    ".join(_described(array) for array in layer.signature.arrays)
    outputs = ", ".join(f"{output.name} {output.shape}" for output in layer.signature.outputs)
    return f'''

def {layer.name}({parameters}):
    """{formula(layer).splitlines()[0]}

    {listed}
    value: {outputs}
    """
    value, borrowed = F.{layer.name}.vjp({call})  # your forward pass in its place

    def pullback(dy):
        return borrowed(dy)  # your backward pass in its place: {cotangents}{"," * (len(layer.arrays) == 1)}

    return value, pullback
'''


def _described(array: Array) -> str:
    holds = "" if array.kind is None else f", {array.kind.meaning}"
    return f"{array.name}: {array.shape}{holds}{', optional' * array.optional}"
