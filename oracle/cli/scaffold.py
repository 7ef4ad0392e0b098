"""A target file to start from: what ``backproof new`` writes."""

from __future__ import annotations

from oracle.layers import LAYERS, Layer

HEAD = '''"""A target for Backproof. Try it as it stands, then put your own code in:

    backproof run --target {file} --layers {layers}

A layer takes NumPy arrays by position and its configuration by keyword, and returns its value and a pullback: a function
that takes dy, of the value's shape, to one cotangent for each array (None for one that was not given or takes none).
Raise NotImplementedError for a configuration that your code does not have: it is counted, and is no failure. Code of
another shape (PyTorch, JAX, forward and backward with a cache, objects, channels last) fits through oracle.adapters.
"""

from impl import functional as F
'''


def target_source(file: str, layers: tuple[str, ...]) -> str:
    """The source of a target with these layers, each borrowed from ``impl`` until one's own takes its place."""
    return HEAD.format(file=file, layers=",".join(layers)) + "".join(_layer(LAYERS[name]) for name in layers)


def _layer(layer: Layer) -> str:
    arrays = [name + "=None" * (name in layer.optional) for name in layer.arrays]
    options = [name if default is ... else f"{name}={default!r}" for name, default in layer.options.items()]
    signature = ", ".join([*arrays, *(["*", *options] if options else [])])
    call = ", ".join([*layer.arrays, *(f"{name}={name}" for name in layer.options)])
    cotangents = ", ".join("None" if name in layer.no_gradient else f"d{name}" for name in layer.arrays)
    meaning = (layer.mathematics.__doc__ or "").strip().splitlines()[0]
    return f'''

def {layer.name}({signature}):
    """{meaning}"""
    value, borrowed = F.{layer.name}.vjp({call})  # your forward pass in its place

    def pullback(dy):
        return borrowed(dy)  # your backward pass in its place: {cotangents}{"," * (len(layer.arrays) == 1)}

    return value, pullback
'''
