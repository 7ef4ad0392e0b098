"""Data: IDX and .npz files, digits, batches that follow from the seed, augmentation, refusals."""

import gzip
import struct

import numpy as np
import pytest

from impl.data import Data, DataError, digits, flip, idx, mnist_format, npz, shifted_crop


def write_idx(path, array, code, compress=False):
    raw = b"\0\0" + bytes([code, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()
    path.write_bytes(gzip.compress(raw) if compress else raw)
    return path


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize(
    ("code", "dtype"), [(8, ">u1"), (9, ">i1"), (11, ">i2"), (12, ">i4"), (13, ">f4"), (14, ">f8")]
)
def test_idx_files_of_every_type(tmp_path, code, dtype, compress):
    array = np.arange(24).reshape(2, 3, 4).astype(dtype)
    found = idx(write_idx(tmp_path / "a.idx", array, code, compress))
    np.testing.assert_array_equal(found, array)
    assert found.dtype.isnative


def test_mnist_format(tmp_path):
    images = np.arange(2 * 4).reshape(2, 2, 2).astype(">u1") * 30
    x, y = write_idx(tmp_path / "x", images, 8), write_idx(tmp_path / "y", np.array([3, 1], ">u1"), 8)
    data = mnist_format(x, y)
    assert data.x.shape == (2, 1, 2, 2) and data.x.dtype == np.float32 and data.classes == 4
    np.testing.assert_allclose(data.x[1, 0, 1, 1], 210 / 255)


def test_damaged_files_are_refused_in_a_line(tmp_path):
    bad = tmp_path / "bad"
    cases = [
        (b"", "not an IDX file"), (b"\x89PNG", "not an IDX file"), (b"\0\0\x08\x02\0\0", "cut short"),
        (b"\0\0\x08\x01\0\0\0\x05abc", "holds 3 bytes"), (b"\x1f\x8b\x08", "damaged gzip"),
    ]  # fmt: skip
    for raw, message in cases:
        bad.write_bytes(raw)
        with pytest.raises(DataError, match=message):
            idx(bad)
    with pytest.raises(DataError, match="cannot be read"):
        idx(tmp_path / "none")
    with pytest.raises(DataError, match="cannot be read"):
        npz(tmp_path / "none.npz")
    bad.write_bytes(b"PK")
    with pytest.raises(DataError, match=r"bad is not an \.npz file"):
        npz(bad)
    np.savez(tmp_path / "half.npz", x=np.ones((2, 2)))
    with pytest.raises(DataError, match="has no array 'y'; it has x"):
        npz(tmp_path / "half.npz")


def test_npz(tmp_path):
    np.savez(tmp_path / "d.npz", x=np.arange(6).reshape(3, 2), y=np.array([0, 1, 1]))
    data = npz(tmp_path / "d.npz")
    assert data.x.dtype == np.float32 and len(data) == 3 and data.classes == 2


def test_digits():
    pytest.importorskip("sklearn")
    data = digits()
    assert data.x.shape == (1797, 1, 8, 8) and data.classes == 10 and data.x.max() == 1
    rest, test = data.split(0.2, 3)
    assert (len(rest), len(test)) == (1438, 359)
    np.testing.assert_array_equal(test.x, data.split(0.2, 3)[1].x)


def test_batches_follow_from_the_seed_and_can_begin_in_the_middle():
    data = Data(np.arange(10.0)[:, None, None, None] * np.ones((1, 1, 4, 4)), np.arange(10))
    both = [list(data.batches(4, [0, 1], augment=shifted_crop(1))) for _ in range(2)]
    assert [len(b) for b in both[0]] == [4, 4, 2]
    assert sorted(np.concatenate([b.y for b in both[0]])) == list(range(10))
    later = list(data.batches(4, [0, 1], first=1, augment=shifted_crop(1)))
    for a, b, c in zip(both[0][1:], both[1][1:], later, strict=True):
        np.testing.assert_array_equal(a.x, b.x)
        np.testing.assert_array_equal(a.x, c.x)
    assert not np.array_equal(next(data.batches(10, [0, 1])).y, next(data.batches(10, [0, 2])).y)


def test_augmentation():
    x = np.arange(2 * 9.0).reshape(2, 1, 3, 3)
    rng = np.random.default_rng(0)
    seen = [flip(x, rng) for _ in range(20)]
    assert all(np.array_equal(s[i], x[i]) or np.array_equal(s[i], x[i, :, :, ::-1]) for s in seen for i in (0, 1))
    assert len({s.tobytes() for s in seen}) == 4
    wide = np.pad(x, [(0, 0), (0, 0), (1, 1), (1, 1)])
    shifts = [wide[0, :, i : i + 3, j : j + 3].tobytes() for i in range(3) for j in range(3)]
    moved = [shifted_crop(1)(x, rng)[0].tobytes() for _ in range(200)]
    assert set(moved) == set(shifts), "every shift by at most one pixel occurs, and no other"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Data(np.arange(3), np.arange(3)), "x must be a floating NumPy array, got int64"),
        (lambda: Data([1.0], np.arange(1)), "x must be a floating NumPy array, got list"),
        (lambda: Data(np.ones(3), np.ones(3)), "y must be .*got float64 of shape .3,"),
        (lambda: Data(np.ones(3), np.zeros((3, 1), int)), "y must be .*got int64 of shape .3, 1"),
        (lambda: Data(np.ones(3), [0, 1, 2]), "y must be .*got list"),
        (lambda: Data(np.ones(3), np.arange(2)), "3 samples but 2 labels"),
        (lambda: Data(np.ones(3), np.arange(3)).split(1.0), "share must lie between 0 and 1, got 1.0"),
    ],
)
def test_refusals(call, message):
    with pytest.raises(DataError, match=message):
        call()
