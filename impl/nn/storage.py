"""Parameters and state in files, in the safetensors format."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from impl.tree import Tree, flat, like


class StorageError(Exception):
    """A file cannot be written, read, or used for this network. The message is one line."""


def save(path: str | Path, **trees: Tree) -> None:
    """Write trees of arrays to one safetensors file, under names such as ``parameters.conv.w``.

    A file that was there before stays until the new one is complete. Raises StorageError if the file cannot be written.
    """
    from safetensors.numpy import save as encoded

    path = Path(path)
    arrays = {name: np.array(x, order="C") for name, x in flat(trees).items()}
    partial = path.with_name(path.name + ".partial")
    try:
        partial.write_bytes(encoded(arrays))
        partial.replace(path)
    except OSError as error:
        raise StorageError(f"{path} cannot be written: {error.strerror}") from None


def load(path: str | Path, **trees: Tree) -> dict[str, Tree]:
    """Read what ``save`` wrote, into new trees that have the structure of the given ones.

    Raises StorageError if the file is missing or is not a safetensors file, or if it lacks an array, has an array that
    the given trees lack, or has an array of another shape or dtype.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load as decoded

    try:
        found = decoded(Path(path).read_bytes())
    except OSError as error:
        raise StorageError(f"{path} cannot be read: {error.strerror}") from None
    except SafetensorError as error:
        raise StorageError(f"{path} is not a safetensors file: {error}") from None
    wanted = flat(trees)
    for name, x in wanted.items():
        if name not in found:
            raise StorageError(f"{path} lacks {name} of shape {tuple(x.shape)}")
        if found[name].shape != tuple(x.shape) or found[name].dtype != np.asarray(x).dtype:
            got = f"{found[name].shape} {found[name].dtype}"
            raise StorageError(f"{path}: {name} is {got}; expected {tuple(x.shape)} {np.asarray(x).dtype}")
    extra = sorted(found.keys() - wanted.keys())
    if extra:
        raise StorageError(f"{path} has {extra[0]}, which the network does not have")
    return like(trees, found)
