"""Data: arrays of samples and labels, from memory, scikit-learn's digits, .npz and IDX files; batches; augmentation."""

from __future__ import annotations

import gzip
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

Augmentation = Callable[[np.ndarray, np.random.Generator], np.ndarray]


class DataError(Exception):
    """Data that cannot be read or used; one line."""


@dataclass(frozen=True)
class Data:
    """Samples x (N, ...) and integer labels y (N). Raises DataError where they do not fit."""

    x: np.ndarray
    y: np.ndarray

    def __post_init__(self) -> None:
        if not isinstance(self.x, np.ndarray) or self.x.dtype.kind != "f":
            raise DataError(f"x must be a floating NumPy array, got {getattr(self.x, 'dtype', type(self.x).__name__)}")
        if not isinstance(self.y, np.ndarray) or self.y.dtype.kind not in "iu" or self.y.ndim != 1:
            raise DataError("y must be a NumPy array of integers with one axis")
        if len(self.x) != len(self.y):
            raise DataError(f"there are {len(self.x)} samples but {len(self.y)} labels")

    def __len__(self) -> int:
        return len(self.x)

    @property
    def classes(self) -> int:
        """The number of classes: the largest label and one."""
        return int(self.y.max()) + 1 if len(self.y) else 0

    def split(self, share: float, seed: int = 0) -> tuple[Data, Data]:
        """The samples in two, at random: the rest, and a share of them (0 to 1)."""
        if not 0 < share < 1:
            raise DataError(f"share must lie between 0 and 1, got {share}")
        order = np.random.default_rng(seed).permutation(len(self))
        cut = len(self) - round(share * len(self))
        return self.take(order[:cut]), self.take(order[cut:])

    def take(self, places: np.ndarray) -> Data:
        """Some of the samples."""
        return Data(self.x[places], self.y[places])

    def batches(self, size: int, seed: Any, first: int = 0, augment: Augmentation | None = None) -> Iterator[Data]:
        """Batches in an order that follows from the seed alone, from number ``first`` on; the last may be smaller.

        Augmentation draws from a generator of its own for each batch, so that a run that starts in the middle sees
        the same.
        """
        order = np.random.default_rng(seed).permutation(len(self))
        for i in range(first, -(-len(self) // size)):
            batch = self.take(order[i * size : (i + 1) * size])
            if augment is not None:
                batch = Data(augment(batch.x, np.random.default_rng([*np.atleast_1d(seed), i])), batch.y)
            yield batch


def digits(dtype: Any = np.float32) -> Data:
    """scikit-learn's 1797 handwritten digits, (N, 1, 8, 8) in [0, 1] (extra ``data``). Raises DataError without it."""
    try:
        from sklearn.datasets import load_digits
    except ModuleNotFoundError:
        raise DataError("the digits come with scikit-learn: pip install scikit-learn") from None
    found = load_digits()
    return Data((found.images[:, None] / 16).astype(dtype), found.target.astype(np.int64))


def npz(path: str | Path) -> Data:
    """Arrays x and y of an .npz file. Raises DataError where the file is missing, damaged or lacks one."""
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
    """The array of an IDX file (the format of MNIST), gzipped or not. Raises DataError for anything else.

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
    """Images (N, H, W) of bytes and their labels, from two IDX files; x is (N, 1, H, W) in [0, 1]."""
    x, y = idx(images), idx(labels)
    if x.ndim != 3:
        raise DataError(f"{images} has {x.ndim} axes; images have 3")
    return Data((x[:, None] / np.float32(255)).astype(np.float32), y.astype(np.int64))


def flip(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Each image (N, C, H, W) is mirrored left to right, or not."""
    return np.where(rng.random(len(x))[:, None, None, None] < 0.5, x[..., ::-1], x)


def shifted_crop(most: int) -> Augmentation:
    """Each image is moved by up to so many pixels each way; zeros come in."""

    def augment(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        wide = np.pad(x, [(0, 0), (0, 0), (most, most), (most, most)])
        y = np.empty_like(x)
        for n, (i, j) in enumerate(rng.integers(0, 2 * most + 1, (len(x), 2))):
            y[n] = wide[n, :, i : i + x.shape[2], j : j + x.shape[3]]
        return y

    return augment
