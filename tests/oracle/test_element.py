"""Each class of element decides what its reason says, on single numbers, and the first class that fits decides."""

from typing import NamedTuple

import numpy as np
import pytest

from oracle.judge import element
from oracle.judge.element import CLASSES, Elements, compare, error_over_bound
from oracle.truth import Pair, Precision
from oracle.truth.rounding import Terms

FLOAT32 = Precision.of(np.float32)
TINY = FLOAT32.smallest_normal
NAN, INF = np.nan, np.inf
NAMES = [kind.name for kind in CLASSES]


class Example(NamedTuple):
    """An answer to a truth with its bound, the error over the bound that it must get, and the circumstances."""

    got: float
    truth: float
    bound: float
    ratio: float
    circumstances: dict | None = None

    def elements(self):
        def array(x):
            return np.array([x], np.float64)

        return Elements(
            array(self.got), Pair(array(self.truth), array(self.bound)), FLOAT32, **(self.circumstances or {})
        )


PADDED = {"nan_may_spread": True, "finite_input": False}
INFINITIES = {"only_infinities": True, "finite_input": False}
GRADIENT = {"gradient": True}
NAN_KERNEL = {"nan_kernel": True, "finite_input": False, "nan_may_spread": True}
STATISTIC = {"statistic": True, "finite_input": False}
IN_RANGE = {"may_overflow": False}
AT_NAN = {"gradient": True, "finite_input": False, "nan_input": np.array([True])}

# Every example belongs to the class that it stands under and, as far as it fits others, to none before it.
EXAMPLES = {
    "NaN out of numbers": [
        Example(NAN, 3, INF, INF, IN_RANGE),
        Example(NAN, 0, INF, INF, IN_RANGE | GRADIENT),
        Example(NAN, 3, 1e-6, INF, IN_RANGE),
        Example(NAN, TINY / 2, INF, INF, IN_RANGE),
    ],
    "bound infinite": [
        Example(7, 3, INF, 0, IN_RANGE),
        Example(INF, 3, INF, 0, IN_RANGE),
        Example(NAN, INF, INF, 0, IN_RANGE),
        Example(NAN, 3, INF, 0, IN_RANGE | {"finite_input": False}),
        Example(NAN, 3, INF, 0),
        Example(-INF, INF, INF, 0),
        Example(1, NAN, INF, 0),
        Example(NAN, TINY / 2, INF, 0),
        Example(NAN, 3, INF, 0, PADDED),
    ],
    "gradient at NaN": [
        Example(NAN, 0, 0, 0, AT_NAN),
        Example(NAN, 3, 1e-6, 0, AT_NAN),
        Example(NAN, TINY / 2, 0, 0, AT_NAN),
        Example(NAN, 3, 1e-6, 0, AT_NAN | PADDED),
    ],
    "padded zero times infinity": [
        Example(NAN, 3, 1e-6, 0, PADDED),
        Example(-INF, 3, 1e-6, 0, PADDED),
        Example(NAN, TINY / 2, 0, 0, PADDED),
        Example(NAN, 3, 1e-6, 0, PADDED | GRADIENT),
    ],
    "below the smallest normal": [
        Example(0, TINY / 2, 0, 0.5),  # flushed
        Example(TINY / 2, TINY / 2, 0, 0),
        Example(3.5 * TINY, TINY / 2, 0, 3),
        Example(3.5 * TINY, -TINY / 2, TINY, 2),
        Example(NAN, TINY / 2, 0, INF),
        Example(4 * TINY, TINY / 2, 0, 3.5, PADDED),
    ],
    "finite and bounded": [
        Example(1.25, 1, 0.5, 0.5),
        Example(2, 1, 0.5, 2, AT_NAN),  # wrong, and not NaN
        Example(NAN, 1, 0.5, INF, AT_NAN | {"nan_input": np.array([False])}),  # the NaN is at another place
        Example(NAN, 1, 0.5, INF, AT_NAN | {"gradient": False}),
        Example(2, 1, 0.5, 2),
        Example(1, 1, 0, 0),
        Example(1.5, 1, 0, INF),
        Example(NAN, 1, 0.5, INF),
        Example(INF, 1, 0.5, INF),
        Example(TINY, 0, TINY / 2, 2),  # 0 itself is not below the smallest normal: nothing was flushed
        Example(TINY, TINY, 0, 0),
        Example(2, 1, 0.5, 2, PADDED),  # wrong, and not by a NaN that may spread
        Example(NAN, 1, 0.5, INF, {"nan_may_spread": True}),  # nothing that is not finite went in
        Example(NAN, 1, 0.5, INF, {"finite_input": False}),  # nothing is padded
        Example(2, 1, 0.5, 2, GRADIENT),
    ],
    "gradient of what is not finite": [
        Example(5, NAN, 0, 0, GRADIENT),
        Example(5, INF, 0, 0, GRADIENT),
        Example(NAN, -INF, 1, 0, GRADIENT),
        Example(5, NAN, 0, 0, GRADIENT | INFINITIES),
    ],
    "NaN times padded zero": [
        Example(5, NAN, 0, 0, NAN_KERNEL),
    ],
    "truth NaN": [
        Example(INF, NAN, 0, INF, NAN_KERNEL),
        Example(NAN, NAN, 0, 0, NAN_KERNEL),
        Example(NAN, NAN, 0, 0),
        Example(1, NAN, 0, INF),
        Example(INF, NAN, NAN, INF),
        Example(1, NAN, 0, 0, INFINITIES),
        Example(1, NAN, 0, INF, PADDED),  # the input holds NaN too
    ],
    "statistic of infinities": [
        Example(NAN, INF, 0, 0, STATISTIC),
        Example(NAN, -INF, 1, 0, STATISTIC | INFINITIES),
    ],
    "truth infinite": [
        Example(INF, INF, 0, 0),
        Example(-INF, INF, 0, INF, STATISTIC),
        Example(NAN, INF, 0, INF, {"statistic": True}),  # only an overflow has made this infinite
        Example(-INF, -INF, 1, 0),
        Example(-INF, INF, 0, INF),
        Example(3e38, INF, 0, INF),
        Example(NAN, INF, 0, INF),
        Example(NAN, INF, 0, INF, PADDED),
        Example(1, -INF, 0, INF, INFINITIES),
    ],
}


@pytest.mark.parametrize("name", NAMES)
def test_class_decides_what_its_reason_says(name, monkeypatch):
    assert EXAMPLES.get(name), f"the class {name!r} has no example here"
    for example in EXAMPLES[name]:
        assert error_over_bound(example.elements()).tolist() == [example.ratio], example
    monkeypatch.setattr(
        element, "CLASSES", [kind._replace(excess=lambda e, kind=kind: NAMES.index(kind.name)) for kind in CLASSES]
    )
    for example in EXAMPLES[name]:
        assert NAMES[int(error_over_bound(example.elements())[0])] == name, example


def test_no_example_stands_under_a_class_that_is_gone():
    assert list(EXAMPLES) == NAMES


@pytest.mark.parametrize("first", NAMES[:-1])
def test_of_two_classes_that_fit_the_first_decides(first):
    """Each class but the last has an example that a later class would take as well, and that decides otherwise there."""
    later = CLASSES[NAMES.index(first) + 1 :]

    def otherwise(example):
        elements = example.elements()
        with np.errstate(all="ignore"):
            taking = [kind for kind in later if np.all(kind.belongs(elements))]
            return taking and np.all(taking[0].excess(elements) != example.ratio)

    assert any(otherwise(example) for example in EXAMPLES[first])


def test_each_element_of_an_array_is_of_its_own_class():
    got = np.array([NAN, 0, 1.25, 1, -INF])
    pair = Pair(np.array([3, TINY / 2, 1, NAN, INF]), np.array([INF, 0, 0.5, 0, 0]))
    assert error_over_bound(Elements(got, pair, FLOAT32)).tolist() == [0, 0.5, 0.5, INF, INF]
    assert error_over_bound(Elements(got, pair, FLOAT32, gradient=True)).tolist() == [0, 0.5, 0.5, 0, 0]


def test_an_empty_array_has_no_error():
    empty = np.zeros((0, 3))
    assert error_over_bound(Elements(empty, Pair(empty, empty), FLOAT32)).shape == (0, 3)


def test_what_has_no_bound_is_not_judged():
    pair = Pair(np.array([3.0, 1, 1, NAN]), np.array([INF, 0.5, 0.5, 0]))
    got = np.array([7, 1, NAN, 5])
    gradient = Elements(got, pair, FLOAT32, gradient=True, finite_input=False, nan_input=np.isnan(got))
    assert compare(gradient).judged.tolist() == [False, True, False, False]
    assert compare(Elements(got, pair, FLOAT32)).judged.tolist() == [False, True, True, True]


def test_the_scale_of_an_element_is_its_own():
    """It is the size of the element, of its terms, or of what its bound shows to have been cancelled."""
    tiny_beside_large = Pair(np.array([1e-8, 4.0]), np.array([1e-15, 4e-7]))
    assert scale(tiny_beside_large) == pytest.approx([1e-8, 4])
    cancelled = Pair(np.array([1e-8, 4.0, 0.0]), np.array([3e-7, 4e-7, 2e-7]))
    assert scale(cancelled) == pytest.approx([3, 4, 2])
    one_almost_exact = Pair(np.array([1.0] * 5), np.array([1e-38] + 4 * [4e-7]))
    assert scale(one_almost_exact) == pytest.approx([1] * 5)
    terms = Terms(np.array([3.0]), np.array([12.0]), np.array([0.0]), np.array([0.0]))
    one_sum = Pair(np.array([0.0]), np.array([1e-6]), terms)
    assert scale(one_sum) == pytest.approx([12])
    exact = Pair(np.array([0.0, 5, NAN, 2]), np.array([0, 0, 0, INF]))
    assert scale(exact)[[0, 1, 3]] == pytest.approx([3.5, 5, 2])
    assert scale(Pair(np.zeros(2), np.zeros(2))) == pytest.approx([0, 0])
    assert scale(Pair(np.zeros(2), np.zeros(2)), given=np.array([0.0, -3.0])) == pytest.approx([3, 3])


def scale(pair, **circumstances):
    return Elements(np.zeros(pair.value.shape), pair, FLOAT32, **circumstances).scale
