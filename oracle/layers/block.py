"""The mathematics of the composed layers and the residual blocks, from that of their parts."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from jax import lax

from oracle.layers.activation import relu
from oracle.layers.conv import convolution
from oracle.layers.draws import BATCH, maybe, option, size
from oracle.layers.linear import affine
from oracle.layers.norm import batch_norm
from oracle.layers.places import per_axis
from oracle.layers.spec import Configuration, Draw, Edge, Layer, Refusal, Shapes, register


def affine_relu(x: Any, w: Any, b: Any = None) -> Any:
    """max(x w + b, 0)."""
    return relu(affine(x, w, b))


def _largest_of_windows(x: Any, kernel_size: Any, stride: Any) -> Any:
    """Pairwise maxima over the window's places: where two tie, either may be the one (behind a ReLU many do)."""
    kernel = per_axis(kernel_size, 2)
    steps = kernel if stride is None else per_axis(stride, 2)
    count = [(n - k) // s + 1 for n, k, s in zip(x.shape[2:], kernel, steps, strict=True)]
    largest = None
    for i in range(kernel[0]):
        for j in range(kernel[1]):
            end = (*x.shape[:2], i + (count[0] - 1) * steps[0] + 1, j + (count[1] - 1) * steps[1] + 1)
            seen = lax.slice(x, (0, 0, i, j), end, (1, 1, *steps))
            largest = seen if largest is None else lax.select(lax.ge(largest, seen), largest, seen)
    return largest


def conv_relu_pool(
    x: Any, w: Any, b: Any = None, *, stride=1, padding=0, dilation=1, groups=1, kernel_size=2, pool_stride=None
) -> Any:
    """The largest of max(conv(x), 0) in each window."""
    h = relu(convolution(x, w, b, stride=stride, padding=padding, dilation=dilation, groups=groups))
    return _largest_of_windows(h, kernel_size, pool_stride)


def conv_bn_relu(
    x: Any,
    w: Any,
    b: Any = None,
    gamma: Any = None,
    beta: Any = None,
    running_mean: Any = None,
    running_var: Any = None,
    *,
    stride=1,
    padding=0,
    dilation=1,
    groups=1,
    training=True,
    momentum=0.1,
    eps=1e-5,
) -> Any:
    """max(batch_norm(conv(x)), 0), and the running statistics after."""
    a = convolution(x, w, b, stride=stride, padding=padding, dilation=dilation, groups=groups)
    h, mean, var = batch_norm(a, gamma, beta, running_mean, running_var, training=training, momentum=momentum, eps=eps)
    return relu(h), mean, var


def _block(x: Any, parts: list[Any], shortcut: tuple[Any, ...], stride: Any, options: Configuration) -> Any:
    """relu of the sum of the block and the shortcut; a part is (w, stride, gamma, beta, running_mean, running_var)."""

    def part(h: Any, w: Any, s: Any, *norm: Any) -> Any:
        a = convolution(h, w, stride=s, padding=tuple(k // 2 for k in w.shape[2:]))
        return batch_norm(a, *norm, **options)

    h, running = x, []
    for i, p in enumerate(parts):
        h, *new = part(relu(h) if i else h, *p)
        running += new
    by = x
    if shortcut[0] is not None:
        by, *new = part(x, shortcut[0], stride, *shortcut[1:])
        running += new
    return (relu(lax.add(h, by)), *running)


def residual_block(
    x: Any,
    w1: Any,
    w2: Any,
    gamma1: Any = None,
    beta1: Any = None,
    gamma2: Any = None,
    beta2: Any = None,
    w_shortcut: Any = None,
    gamma_shortcut: Any = None,
    beta_shortcut: Any = None,
    running_mean1: Any = None,
    running_var1: Any = None,
    running_mean2: Any = None,
    running_var2: Any = None,
    running_mean_shortcut: Any = None,
    running_var_shortcut: Any = None,
    *,
    stride=1,
    training=True,
    momentum=0.1,
    eps=1e-5,
) -> Any:
    """relu(bn(conv(relu(bn(conv(x))))) + x, or + bn(conv(x)))."""
    parts = [
        (w1, stride, gamma1, beta1, running_mean1, running_var1),
        (w2, 1, gamma2, beta2, running_mean2, running_var2),
    ]
    shortcut = (w_shortcut, gamma_shortcut, beta_shortcut, running_mean_shortcut, running_var_shortcut)
    return _block(x, parts, shortcut, stride, {"training": training, "momentum": momentum, "eps": eps})


def bottleneck_block(
    x: Any,
    w1: Any,
    w2: Any,
    w3: Any,
    gamma1: Any = None,
    beta1: Any = None,
    gamma2: Any = None,
    beta2: Any = None,
    gamma3: Any = None,
    beta3: Any = None,
    w_shortcut: Any = None,
    gamma_shortcut: Any = None,
    beta_shortcut: Any = None,
    running_mean1: Any = None,
    running_var1: Any = None,
    running_mean2: Any = None,
    running_var2: Any = None,
    running_mean3: Any = None,
    running_var3: Any = None,
    running_mean_shortcut: Any = None,
    running_var_shortcut: Any = None,
    *,
    stride=1,
    training=True,
    momentum=0.1,
    eps=1e-5,
) -> Any:
    """relu of three convolutions with normalisation (1 x 1, 3 x 3 at the stride, 1 x 1) and the shortcut."""
    parts = [
        (w1, 1, gamma1, beta1, running_mean1, running_var1),
        (w2, stride, gamma2, beta2, running_mean2, running_var2),
        (w3, 1, gamma3, beta3, running_mean3, running_var3),
    ]
    shortcut = (w_shortcut, gamma_shortcut, beta_shortcut, running_mean_shortcut, running_var_shortcut)
    return _block(x, parts, shortcut, stride, {"training": training, "momentum": momentum, "eps": eps})


# -- domains ----------------------------------------------------------------------------------------------------------


def _affine_relu_domain(draw: Draw) -> tuple[Shapes, Configuration]:
    x = (draw(BATCH), *(draw(size(1, 3)) for _ in range(draw(size(1, 3)))))
    features = 1
    for n in x[1:]:
        features *= n
    m = draw(size(1, 4))
    return (x, (features, m), maybe(draw, (m,))), {}


def _convolution(draw: Draw) -> tuple[Shapes, Configuration, list[int]]:
    """x, w, b, the convolution's options, and the spatial size of its output."""
    groups, per_group, filters = draw(st.sampled_from([1, 1, 2])), draw(size(1, 2)), draw(size(1, 2))
    kernel = [draw(size(1, 3)) for _ in range(2)]
    configuration: Configuration = {"groups": groups} if groups > 1 else {}
    stride, padding, dilation = draw(size(1, 2)), draw(size(0, 1)), draw(st.sampled_from([1, 1, 2]))
    for name, value, default in (("stride", stride, 1), ("padding", padding, 0), ("dilation", dilation, 1)):
        if value != default:
            configuration[name] = value
    sizes, output = [], []
    for k in kernel:
        least = max(1, (k - 1) * dilation + 1 - 2 * padding)
        sizes.append(draw(size(least, least + 4)))
        output.append((sizes[-1] + 2 * padding - (k - 1) * dilation - 1) // stride + 1)
    filters *= groups
    x, w = (draw(BATCH), groups * per_group, *sizes), (filters, per_group, *kernel)
    return (x, w, maybe(draw, (filters,))), configuration, output


def _conv_relu_pool_domain(draw: Draw) -> tuple[Shapes, Configuration]:
    shapes, configuration, output = _convolution(draw)
    window = draw(size(1, min(3, *output)))
    if window != 2:
        configuration["kernel_size"] = window
    option(draw, configuration, "pool_stride", [1, 2, 3])
    return shapes, configuration


def _norm_options(draw: Draw, configuration: Configuration) -> bool:
    option(draw, configuration, "eps", [1e-3, 0.5])
    option(draw, configuration, "momentum", [0.0, 0.3])
    option(draw, configuration, "training", [False])
    return bool(configuration.get("training", True))


def _conv_bn_relu_domain(draw: Draw) -> tuple[Shapes, Configuration]:
    (x, w, b), configuration, output = _convolution(draw)
    assert x is not None and w is not None
    training = _norm_options(draw, configuration)
    if training and x[0] * output[0] * output[1] == 1:
        x = (2, *x[1:])
    c = (w[0],)
    running = maybe(draw, c) if training else c
    return (x, w, b, maybe(draw, c), maybe(draw, c), running, running), configuration


def _block_domain(bottleneck: bool) -> Any:
    def domain(draw: Draw) -> tuple[Shapes, Configuration]:
        configuration: Configuration = {}
        channels, filters, stride = draw(size(1, 3)), draw(size(1, 3)), draw(size(1, 2))
        x = (draw(BATCH), channels, draw(size(1, 4)), draw(size(1, 4)))
        if stride != 1:
            configuration["stride"] = stride
        training = _norm_options(draw, configuration)
        if training and x[0] * -(-x[2] // stride) * -(-x[3] // stride) == 1:
            x = (2, *x[1:])
        narrow = draw(size(1, 2)) if bottleneck else filters
        kernels = _kernels(bottleneck, channels, narrow, filters)
        norm, running = draw(st.booleans()), not training or draw(st.booleans())
        project = channels != filters or stride != 1 or draw(st.booleans())
        return _arrays(x, kernels, filters if project else None, norm, running), configuration

    return domain


def _kernels(bottleneck: bool, channels: int, narrow: int, filters: int) -> list[tuple[int, ...]]:
    if bottleneck:
        return [(narrow, channels, 1, 1), (narrow, narrow, 3, 3), (filters, narrow, 1, 1)]
    return [(filters, channels, 3, 3), (filters, filters, 3, 3)]


def _arrays(x: Any, kernels: Any, projected: int | None, norm: bool, running: bool) -> Shapes:
    """The shapes in the order of the block's arrays."""
    own = [(k[0],) if norm else None for k in kernels for _ in range(2)]
    shortcut: list[Any] = [None] * 3
    if projected is not None:
        shortcut = [(projected, x[1], 1, 1), *[(projected,) if norm else None] * 2]
    stats: list[Any] = [(k[0],) if running else None for k in kernels for _ in range(2)]
    stats += [(projected,) if running and projected is not None else None] * 2
    return (x, *kernels, *own, *shortcut, *stats)


def _block_edges(bottleneck: bool) -> list[Edge]:
    def edge(x: Any, filters: int, project: bool, configuration: Configuration, norm: bool = True, **more: Any) -> Edge:
        kernels = _kernels(bottleneck, x[1], 2 if bottleneck else filters, filters)
        running = more.pop("running", True)
        return Edge(_arrays(x, kernels, filters if project else None, norm, running), configuration, **more)

    return [
        edge((2, 1, 1, 1), 1, False, {}),
        edge((0, 2, 3, 3), 2, False, {}),
        edge((2, 2, 3, 3), 2, False, {}, norm=False, running=False),
        edge((2, 2, 4, 3), 3, True, {"stride": 2}),
        edge((1, 3, 5, 5), 2, True, {"stride": 2, "momentum": 0.3}),
        edge((1, 2, 1, 2), 2, False, {"training": False}),
        edge((2, 2, 3, 3), 3, True, {"training": False, "stride": 2}),
        edge((3, 2, 3, 3), 2, True, {}, values="integers"),
    ]


def _block_refusals(bottleneck: bool) -> list[Refusal]:
    kernels = _kernels(bottleneck, 2, 2, 3)
    channels = _kernels(bottleneck, 3, 2, 2)
    gammas = list(_arrays((2, 2, 3, 3), _kernels(bottleneck, 2, 2, 2), None, True, False))
    gammas[1 + len(kernels)] = (3,)
    return [
        Refusal(_arrays((2, 2, 3, 3), kernels, None, True, False), {}, "more channels and no shortcut"),
        Refusal(_arrays((2, 3, 3, 3), kernels, 3, True, False), {}, "x has 3 channels but w1 expects 2"),
        Refusal(_arrays((2, 3, 3, 3), channels, None, True, False), {}, "fewer channels and no shortcut"),
        Refusal(tuple(gammas), {}, "gamma1 has 3 entries for 2 filters"),
    ]


def _statistics(count: int) -> tuple[str, ...]:
    which = [*map(str, range(1, count + 1)), "_shortcut"]
    return tuple(f"running_{what}{w}" for w in which for what in ("mean", "var"))


register(
    Layer(
        "affine_relu",
        affine_relu,
        _affine_relu_domain,
        [Edge(((0, 3), (3, 2), (2,))), Edge(((1, 1), (1, 1), (1,))), Edge(((3, 2, 2), (4, 5), (5,)))],
        [Refusal(((2, 3), (4, 5), (5,)), {}, "x has 3 features but w 4 rows")],
        nan_may_spread=True,
        documents=("004: 5.3",),
    )
)
register(
    Layer(
        "conv_relu_pool",
        conv_relu_pool,
        _conv_relu_pool_domain,
        [
            Edge(((1, 1, 2, 2), (1, 1, 1, 1), (1,))),
            Edge(((0, 2, 4, 4), (3, 2, 3, 3), (3,)), {"padding": 1}),
            Edge(((2, 2, 5, 6), (3, 2, 3, 3), (3,)), {"padding": 1}),
            Edge(((2, 2, 5, 5), (2, 2, 2, 2), (2,)), {"kernel_size": 3, "pool_stride": 1}),
            Edge(((1, 2, 6, 5), (2, 1, 2, 2), None), {"groups": 2, "pool_stride": 1}),
        ],
        [
            Refusal(((1, 3, 4, 4), (2, 4, 3, 3), (2,)), {}, "x has 3 channels but w expects 4"),
            Refusal(
                ((1, 1, 2, 2), (1, 1, 2, 2), (1,)), {}, "the pooling window is larger than the convolution's output"
            ),
        ],
        nan_may_spread=True,
        documents=("004: 4, 5.3",),
    )
)
register(
    Layer(
        "conv_bn_relu",
        conv_bn_relu,
        _conv_bn_relu_domain,
        [
            Edge(((2, 1, 1, 1), (1, 1, 1, 1), (1,), (1,), (1,), (1,), (1,))),
            Edge(((0, 2, 3, 3), (2, 2, 2, 2), (2,), (2,), (2,), (2,), (2,))),
            Edge(((2, 2, 4, 5), (3, 2, 3, 3), None, (3,), (3,), (3,), (3,)), {"padding": 1}),
            Edge(((2, 2, 4, 5), (2, 1, 3, 3), (2,), None, None, None, None), {"groups": 2, "stride": 2, "padding": 1}),
            Edge(((1, 2, 3, 3), (2, 2, 2, 2), (2,), (2,), (2,), (2,), (2,)), {"training": False}),
        ],
        [
            Refusal(((1, 3, 4, 4), (2, 4, 3, 3), *[(2,)] * 5), {}, "x has 3 channels but w expects 4"),
            Refusal(
                ((1, 2, 4, 4), (2, 2, 3, 3), (2,), (3,), (2,), (2,), (2,)), {}, "gamma has 3 entries for 2 filters"
            ),
        ],
        kinds={"running_var": "positive"},
        no_gradient=("running_mean", "running_var"),
        outputs=("y", "new_running_mean", "new_running_var"),
        nan_may_spread=True,
        documents=("000: 4.9, 5.3",),
    )
)
for _name, _mathematics, _count, _sections in (
    ("residual_block", residual_block, 2, ("000: 5.1, 5.2",)),
    ("bottleneck_block", bottleneck_block, 3, ("000: 5.2",)),
):
    _running = _statistics(_count)
    register(
        Layer(
            _name,
            _mathematics,
            _block_domain(_count == 3),
            _block_edges(_count == 3),
            _block_refusals(_count == 3),
            kinds={name: "positive" for name in _running if "var" in name},
            no_gradient=_running,
            outputs=("y", *(f"new_{name}" for name in _running)),
            nan_may_spread=True,
            documents=_sections,
        )
    )
