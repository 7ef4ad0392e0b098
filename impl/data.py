"""Data to train on: samples and labels from memory, from scikit-learn's digits, or from .npz and IDX files."""

from __future__ import annotations

import gzip
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

# Takes a batch x (N, C, H, W) and a generator to a changed batch of the same shape.
Augmentation = Callable[[np.ndarray, np.random.Generator], np.ndarray]


class DataError(Exception):
    """Data cannot be read or used. The message is one line."""


@dataclass(frozen=True)
class Data:
    """Samples x (N, *S), floating numbers, and their labels y (N), integers from 0.

    Raises DataError if x or y is of another kind, or if they differ in length.
    """

    x: np.ndarray
    y: np.ndarray

    def __post_init__(self) -> None:
        if not isinstance(self.x, np.ndarray) or self.x.dtype.kind != "f":
            raise DataError(f"x must be a floating NumPy array, got {getattr(self.x, 'dtype', type(self.x).__name__)}")
        if not isinstance(self.y, np.ndarray) or self.y.dtype.kind not in "iu" or self.y.ndim != 1:
            is_array = isinstance(self.y, np.ndarray)
            got = f"{self.y.dtype} of shape {self.y.shape}" if is_array else type(self.y).__name__
            raise DataError(f"y must be a NumPy array of integers with one axis, got {got}")
        if len(self.x) != len(self.y):
            raise DataError(f"there are {len(self.x)} samples but {len(self.y)} labels")

    def __len__(self) -> int:
        return len(self.x)

    @property
    def classes(self) -> int:
        """Return the number of classes, which is the largest label plus one."""
        return int(self.y.max()) + 1 if len(self.y) else 0

    def split(self, share: float, seed: int = 0) -> tuple[Data, Data]:
        """Split the samples at random, by a seed, and return the rest and a share of them.

        Raises DataError unless the share lies between 0 and 1.
        """
        if not 0 < share < 1:
            raise DataError(f"share must lie between 0 and 1, got {share}")
        order = np.random.default_rng(seed).permutation(len(self))
        cut = len(self) - round(share * len(self))
        return self.take(order[:cut]), self.take(order[cut:])

    def take(self, places: np.ndarray) -> Data:
        """Return the samples at the given places."""
        return Data(self.x[places], self.y[places])

    def batches(self, size: int, seed: Any, first: int = 0, augment: Augmentation | None = None) -> Iterator[Data]:
        """Yield batches of ``size`` samples, in an order that follows only from the seed. The last may be smaller.

        The first batch to come is number ``first``, counted from 0. The augmentation gets a new generator for each batch,
        so that a run that begins in the middle sees the same batches.
        """
        order = np.random.default_rng(seed).permutation(len(self))
        for i in range(first, -(-len(self) // size)):
            batch = self.take(order[i * size : (i + 1) * size])
            if augment is not None:
                batch = Data(augment(batch.x, np.random.default_rng([*np.atleast_1d(seed), i])), batch.y)
            yield batch


def digits(dtype: Any = np.float32) -> Data:
    """Load the 1797 handwritten digits of scikit-learn: x (1797, 1, 8, 8) in [0, 1], ten classes (extra ``data``).

    Raises DataError if scikit-learn is not installed.
    """
    try:
        from sklearn.datasets import load_digits
    except ModuleNotFoundError:
        raise DataError("the digits come with scikit-learn: pip install scikit-learn") from None
    found = load_digits()
    return Data((found.images[:, None] / 16).astype(dtype), found.target.astype(np.int64))


def npz(path: str | Path) -> Data:
    """Read the arrays x and y of an .npz file; x becomes float32 unless it is floating.

    Raises DataError if the file is missing or damaged, or lacks one of the two.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            missing = [name for name in ("x", "y") if name not in file]
            if missing:
                raise DataError(f"{path} has no array {missing[0]!r}; it has {', '.join(file) or 'none'}")
            x, y = file["x"], file["y"]
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from None
    except (ValueError, EOFError) as error:
        raise DataError(f"{path} is not an .npz file: {error}") from None
    return Data(x if x.dtype.kind == "f" else x.astype(np.float32), y)


# The third byte of an IDX file's magic number says what its elements are; big-endian.
IDX_TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


def idx(path: str | Path) -> np.ndarray:
    """Read the array of an IDX file, the format of MNIST, gzipped or not. Raises DataError for any other file.

    Source: Y. LeCun, "The MNIST database of handwritten digits": two zero bytes, the type, the number of axes, each
    axis' size as a big-endian 32-bit integer, and the elements.
    """
    try:
        raw = Path(path).read_bytes()
        raw = gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from None
    except EOFError:
        raise DataError(f"{path} is a damaged gzip file") from None
    if len(raw) < 4 or raw[:2] != b"\0\0" or raw[2] not in IDX_TYPES:
        raise DataError(f"{path} is not an IDX file: its first bytes are {raw[:4].hex() or 'none'}")
    dtype, rank = np.dtype(IDX_TYPES[raw[2]]), raw[3]
    start = 4 + 4 * rank
    if len(raw) < start:
        raise DataError(f"{path} is cut short: {rank} axes are announced")
    shape = struct.unpack(f">{rank}I", raw[4:start])
    expected = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    if len(raw) - start != expected:
        raise DataError(f"{path} holds {len(raw) - start} bytes of elements; shape {shape} asks for {expected}")
    return np.frombuffer(raw, dtype, offset=start).reshape(shape).astype(dtype.newbyteorder("="))


def mnist_format(images: str | Path, labels: str | Path) -> Data:
    """Read images (N, H, W) of bytes and labels (N) from two IDX files; x is (N, 1, H, W) in [0, 1].

    Raises DataError if a file is not an IDX file, or if the images do not have three axes.
    """
    x, y = idx(images), idx(labels)
    if x.ndim != 3:
        raise DataError(f"{images} has {x.ndim} axes; images have 3")
    return Data((x[:, None] / np.float32(255)).astype(np.float32), y.astype(np.int64))


def flip(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Mirror each image of (N, C, H, W) from left to right, with probability one half."""
    return np.where(rng.random(len(x))[:, None, None, None] < 0.5, x[..., ::-1], x)


def shifted_crop(most: int) -> Augmentation:
    """Make an augmentation that moves each image by at most ``most`` pixels up or down, and left or right.

    Zeros fill the places that become free.
    """

    def augment(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        wide = np.pad(x, [(0, 0), (0, 0), (most, most), (most, most)])
        y = np.empty_like(x)
        for n, (i, j) in enumerate(rng.integers(0, 2 * most + 1, (len(x), 2))):
            y[n] = wide[n, :, i : i + x.shape[2], j : j + x.shape[3]]
        return y

    return augment
