"""The mathematics of the normalisation layers, with mean and variance in two passes, as they are defined."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

from hypothesis import strategies as st
from jax import lax

from oracle.layers.draws import BATCH, maybe, option, shape, size
from oracle.layers.spec import Configuration, Draw, Edge, Layer, Range, Refusal, Shapes, register


def _mean(x: Any, axes: tuple[int, ...]) -> Any:
    return lax.div(lax.reduce_sum(x, axes), float(max(1, prod(x.shape[a] for a in axes))))


def _spread(v: Any, shape: tuple[int, ...], axes: tuple[int, ...]) -> Any:
    """Repeat v, from which the axes were reduced, along them."""
    return lax.broadcast_in_dim(v, shape, tuple(a for a in range(len(shape)) if a not in axes))


def _standardised(x: Any, axes: tuple[int, ...], eps: float) -> tuple[Any, Any, Any]:
    """Return (x - mean) / sqrt(var + eps) with the biased variance, and the mean and the variance."""
    mean = _mean(x, axes)
    centred = lax.sub(x, _spread(mean, x.shape, axes))
    var = _mean(lax.mul(centred, centred), axes)
    return lax.mul(centred, _spread(lax.rsqrt(lax.add(var, eps)), x.shape, axes)), mean, var


def _affine(x: Any, gamma: Any, beta: Any, axes: tuple[int, ...]) -> Any:
    """Return gamma x + beta, with gamma and beta along the given axes."""
    if gamma is not None:
        x = lax.mul(x, lax.broadcast_in_dim(gamma, x.shape, axes))
    return x if beta is None else lax.add(x, lax.broadcast_in_dim(beta, x.shape, axes))


def statistics_fit(call: Mapping[str, Any]) -> bool:
    """Whether running statistics are given in pairs, and training has more than one value per channel."""
    pairs = [(name, name.replace("mean", "var")) for name in call if name.startswith("running_mean")]
    n, _, *sizes = call["y"]
    return all((call[mean] is None) == (call[var] is None) for mean, var in pairs) and not (
        call["training"] and n * prod(sizes) == 1
    )


def batch_norm(
    x: Any,
    gamma: Any = None,
    beta: Any = None,
    running_mean: Any = None,
    running_var: Any = None,
    *,
    training=True,
    momentum=0.1,
    eps=1e-5,
) -> Any:
    """y = gamma (x - mean) / sqrt(var + eps) + beta over all axes but the channel, and the new running statistics."""
    axes = (0, *range(2, x.ndim))
    if not training:
        centred = lax.sub(x, _spread(running_mean, x.shape, axes))
        x_hat = lax.mul(centred, _spread(lax.rsqrt(lax.add(running_var, eps)), x.shape, axes))
        return _affine(x_hat, gamma, beta, (1,)), running_mean, running_var
    x_hat, mean, var = _standardised(x, axes, eps)
    count = prod(x.shape[a] for a in axes)
    if running_mean is not None and count:
        mean, var = lax.stop_gradient((mean, var))
        unbiased = lax.mul(var, count / (count - 1))
        running_mean = lax.add(lax.mul(running_mean, 1 - momentum), lax.mul(mean, momentum))
        running_var = lax.add(lax.mul(running_var, 1 - momentum), lax.mul(unbiased, momentum))
    return _affine(x_hat, gamma, beta, (1,)), running_mean, running_var


def layer_norm(x: Any, gamma: Any = None, beta: Any = None, *, normalized_ndim=1, eps=1e-5) -> Any:
    """y = gamma (x - mean) / sqrt(var + eps) + beta over the last axes."""
    axes = tuple(range(x.ndim - normalized_ndim, x.ndim))
    return _affine(_standardised(x, axes, eps)[0], gamma, beta, axes)


def group_norm(x: Any, gamma: Any = None, beta: Any = None, *, groups, eps=1e-5) -> Any:
    """y = gamma (x - mean) / sqrt(var + eps) + beta per sample, over the channels of a group and all places."""
    n, channels, *sizes = x.shape
    split = lax.reshape(x, (n, groups, channels // groups, *sizes))
    x_hat = _standardised(split, tuple(range(2, split.ndim)), eps)[0]
    return _affine(lax.reshape(x_hat, x.shape), gamma, beta, (1,))


def instance_norm(x: Any, gamma: Any = None, beta: Any = None, *, eps=1e-5) -> Any:
    """y = gamma (x - mean) / sqrt(var + eps) + beta per sample and channel, over all places."""
    return _affine(_standardised(x, tuple(range(2, x.ndim)), eps)[0], gamma, beta, (1,))


def rms_norm(x: Any, gamma: Any = None, *, normalized_ndim=1, eps=1e-5) -> Any:
    """y = gamma x / sqrt(mean(x x) + eps) over the last axes."""
    axes = tuple(range(x.ndim - normalized_ndim, x.ndim))
    mean_square = _mean(lax.mul(x, x), axes)
    x_hat = lax.mul(x, _spread(lax.rsqrt(lax.add(mean_square, eps)), x.shape, axes))
    return _affine(x_hat, gamma, None, axes)


def _channels_first(draw: Draw, least: int = 2) -> tuple[int, ...]:
    rank = draw(st.integers(least, 5))
    largest = 4 if rank < 5 else 2
    return (draw(BATCH), draw(size(1, 4)), *(draw(size(1, largest)) for _ in range(rank - 2)))


def _eps(draw: Draw, configuration: Configuration) -> None:
    option(draw, configuration, "eps", [1e-3, 0.5])


def _batch_norm_domain(draw: Draw) -> tuple[Shapes, Configuration]:
    x = _channels_first(draw)
    configuration: Configuration = {}
    _eps(draw, configuration)
    option(draw, configuration, "momentum", [0.0, 0.3, 1.0])
    option(draw, configuration, "training", [False])
    if configuration.get("training", True) and prod(x) == x[1]:
        x = (2, *x[1:])  # one value per channel has no variance
    c = (x[1],)
    running = c if not configuration.get("training", True) else maybe(draw, c)
    return (x, maybe(draw, c), maybe(draw, c), running, running), configuration


def _last_axes_domain(with_beta: bool) -> Any:
    def domain(draw: Draw) -> tuple[Shapes, Configuration]:
        x = shape(draw, 1, 5)
        count = draw(size(1, len(x)))
        if count == len(x) and x[0] == 0:
            x = (1, *x[1:])
        configuration: Configuration = {} if count == 1 else {"normalized_ndim": count}
        _eps(draw, configuration)
        tail = x[len(x) - count :]
        return (x, maybe(draw, tail), *((maybe(draw, tail),) if with_beta else ())), configuration

    return domain


def _group_norm_domain(draw: Draw) -> tuple[Shapes, Configuration]:
    groups, per_group = draw(size(1, 3)), draw(size(1, 3))
    x = _channels_first(draw)
    x = (x[0], groups * per_group, *x[2:])
    configuration: Configuration = {"groups": groups}
    _eps(draw, configuration)
    return (x, maybe(draw, (x[1],)), maybe(draw, (x[1],))), configuration


def _instance_norm_domain(draw: Draw) -> tuple[Shapes, Configuration]:
    x = _channels_first(draw, least=3)
    configuration: Configuration = {}
    _eps(draw, configuration)
    return (x, maybe(draw, (x[1],)), maybe(draw, (x[1],))), configuration


BATCH_NORM_CHOICES = {"training": (True, False)}
BATCH_NORM = {"momentum": Range(0, 1), "eps": Range(0)}
_EPS = {"eps": Range(0, refused=())}  # PyTorch refuses a negative eps in batch_norm only
_LAST_AXES = _EPS | {"normalized_ndim": Range(1, whole=True)}

_SPREADS = ("shifted", "zeros", "ties", "extreme")

register(
    Layer(
        "batch_norm",
        "x (N, C, *S); gamma? (C); beta? (C); running_mean? (C); running_var? positive (C)"
        " -> y (N, C, *S); new_running_mean? (C); new_running_var? (C)",
        batch_norm,
        _batch_norm_domain,
        [
            Edge(((0, 2, 3), (2,), (2,), (2,), (2,))),
            Edge(((1, 2, 3), (2,), (2,), (2,), (2,))),
            Edge(((1, 2), (2,), (2,), (2,), (2,)), {"training": False}),
            Edge(((2, 1), (1,), (1,), (1,), (1,))),
            Edge(((5, 3), (3,), (3,), None, None)),
            Edge(((2, 3, 2, 2), (3,), (3,), (3,), (3,)), {"momentum": 0.3}),
            Edge(((3, 2, 3), (2,), (2,), (2,), (2,))),
            Edge(((2, 2, 3), (2,), (2,), (2,), (2,)), {"training": False}),
            *(Edge(((3, 2, 3), (2,), (2,), (2,), (2,)), {"momentum": limit}) for limit in (0.0, 1.0)),
            Edge(((4, 3), (3,), None, (3,), (3,)), {"eps": 0.5}),
            Edge(((3, 2, 2), None, (2,), (2,), (2,)), {"training": False, "eps": 0.5}),
            Edge(((1, 3, 4, 1), None, None, (3,), (3,)), {"training": True}),
            Edge(((2, 2, 2, 2, 2), (2,), (2,), (2,), (2,))),
            Edge(((3, 2, 4), None, None, None, None)),
            Edge(((3, 2, 2, 2), (2,), (2,), (2,), (2,)), {"training": False}),
            *(Edge(((4, 2, 2), (2,), (2,), (2,), (2,)), values=values) for values in _SPREADS),
        ],
        choices=BATCH_NORM_CHOICES,
        ranges=BATCH_NORM,
        more_refusals=[
            Refusal("training", ((1, 3), (3,), (3,), (3,), (3,)), {}, "training needs more than one value per channel"),
            Refusal(
                "training, y only",
                ((1, 3), (3,), (3,), None, None),
                {},
                "training needs more than one value per channel",
            ),
            Refusal(
                "evaluation",
                ((4, 3), (3,), (3,), None, None),
                {"training": False},
                "evaluation needs running statistics",
            ),
        ],
        no_gradient=("running_mean", "running_var"),
        where=statistics_fit,
        documents=("000: 2.7, 4.9", "004: 6"),
    )
)
register(
    Layer(
        "layer_norm",
        "x (*A, *B:normalized_ndim); gamma? (*B); beta? (*B) -> (*A, *B)",
        layer_norm,
        _last_axes_domain(with_beta=True),
        [
            Edge(((1,), (1,), (1,))),
            Edge(((3, 1), (1,), (1,))),
            Edge(((0, 4), (4,), (4,))),
            Edge(((2, 3, 4), (3, 4), (3, 4)), {"normalized_ndim": 2}),
            Edge(((2, 2, 3, 2, 2), (3, 2, 2), (3, 2, 2)), {"normalized_ndim": 3}),
            Edge(((3, 6), None, None)),
            Edge(((3, 5), (5,), (5,))),
            Edge(((2, 1, 3, 2), (2,), (2,))),
            Edge(((3, 4), None, (4,)), {"eps": 0.5}),
            Edge(((3, 4), (4,), None), {"normalized_ndim": 1}),
            Edge(((2, 3), (2, 3), (2, 3)), {"normalized_ndim": 2}),
            Edge(((3, 1), (1,), (1,)), values="extreme"),  # no spread: 0, however large the mean
            *(Edge(((3, 5), (5,), (5,)), values=values) for values in _SPREADS),
        ],
        ranges=_LAST_AXES,
        documents=("004: 7.1",),
    )
)
register(
    Layer(
        "group_norm",
        "x (N, C, *S); gamma? (C); beta? (C) -> (N, C, *S)",
        group_norm,
        _group_norm_domain,
        [
            Edge(((2, 2, 1), (2,), (2,)), {"groups": 2}),
            Edge(((0, 4, 3), (4,), (4,)), {"groups": 2}),
            Edge(((2, 4, 5), (4,), (4,)), {"groups": 2}),
            Edge(((2, 6, 2, 3), (6,), (6,)), {"groups": 3}),
            Edge(((1, 4, 2, 2, 2), (4,), (4,)), {"groups": 2}),
            Edge(((3, 6), (6,), (6,)), {"groups": 2}),
            Edge(((2, 3, 4), None, None), {"groups": 1}),
            Edge(((2, 3, 4), (3,), None), {"groups": 3, "eps": 0.5}),
            Edge(((2, 2), (2,), (2,)), {"groups": 2}, "extreme"),
            *(Edge(((2, 4, 3, 2), (4,), (4,)), {"groups": 2}, values) for values in _SPREADS),
        ],
        ranges=_EPS | {"groups": Range(1, whole=True)},
        more_refusals=[
            Refusal("groups", ((2, 4, 3), (4,), (4,)), {"groups": 3}, "groups = 3 does not divide 4 channels")
        ],
        documents=("004: 7",),
    )
)
register(
    Layer(
        "instance_norm",
        "x (N, C, *S); gamma? (C); beta? (C) -> (N, C, *S)",
        instance_norm,
        _instance_norm_domain,
        [
            Edge(((2, 2, 1), (2,), (2,))),
            Edge(((0, 2, 3), (2,), (2,))),
            Edge(((1, 1, 4), (1,), (1,))),
            Edge(((2, 2, 4), (2,), None), {"eps": 0.5}),
            Edge(((2, 3, 3, 2), (3,), (3,))),
            Edge(((1, 2, 3, 2), (2,), (2,))),
            Edge(((2, 2, 2, 2, 2), (2,), (2,))),
            Edge(((2, 3, 4), None, None)),
            *(Edge(((2, 2, 3, 2), (2,), (2,)), values=values) for values in _SPREADS),
        ],
        ranges=_EPS,
        documents=("004: 7.1",),
    )
)
register(
    Layer(
        "rms_norm",
        "x (*A, *B:normalized_ndim); gamma? (*B) -> (*A, *B)",
        rms_norm,
        _last_axes_domain(with_beta=False),
        [
            Edge(((1,), (1,))),
            Edge(((0, 4), (4,))),
            Edge(((2, 3, 4), (3, 4)), {"normalized_ndim": 2}),
            Edge(((3, 6), None)),
            Edge(((3, 5), (5,))),
            Edge(((3, 4), (4,)), {"eps": 0.5}),
            Edge(((2, 3, 4), (4,))),
            Edge(((2, 1, 3, 2), (2,))),
            Edge(((2, 3), (2, 3)), {"normalized_ndim": 2}),
            *(Edge(((3, 5), (5,)), values=values) for values in _SPREADS),
        ],
        ranges=_LAST_AXES,
    )
)
