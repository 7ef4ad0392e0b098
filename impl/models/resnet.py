"""Residual networks: the published 18 to 152 layers, and the 20 layers for small images."""

from __future__ import annotations

from impl import nn

# The number of blocks per stage (He et al., arXiv:1512.03385, table 1), and whether they are bottlenecks.
DEPTHS: dict[int, tuple[tuple[int, ...], bool]] = {
    18: ((2, 2, 2, 2), False),
    34: ((3, 4, 6, 3), False),
    50: ((3, 4, 6, 3), True),
    101: ((3, 4, 23, 3), True),
    152: ((3, 8, 36, 3), True),
}


def _conv_bn(channels: int, filters: int, kernel_size: int, stride: int) -> dict[str, nn.Module]:
    """Build a convolution without bias, which keeps the size but for its stride, and its normalisation."""
    conv = nn.Conv2d(channels, filters, kernel_size, stride=stride, padding=kernel_size // 2, bias=False)
    return {"conv": conv, "norm": nn.BatchNorm(filters)}


def _body(parts: list[dict[str, nn.Module]]) -> nn.Sequential:
    """Chain convolutions with their normalisations, with ReLU between them."""
    modules: dict[str, nn.Module] = {}
    for i, part in enumerate(parts, start=1):
        modules |= {f"{name}{i}": module for name, module in part.items()}
        if i < len(parts):
            modules[f"relu{i}"] = nn.ReLU()
    return nn.Sequential(**modules)


def block(channels: int, width: int, stride: int, bottleneck: bool) -> nn.Residual:
    """Build a residual block: two 3 x 3 convolutions, or for a bottleneck 1 x 1, 3 x 3 and 1 x 1.

    x (N, channels, H, W), y (N, F, ceil(H / stride), ceil(W / stride)), with F = width, or 4 * width for a bottleneck.
    The first 3 x 3 convolution has the stride. The shortcut is a 1 x 1 convolution if x and y differ in shape.
    Source: document 000, section 5.2.
    """
    if bottleneck:
        filters = 4 * width
        body = [_conv_bn(channels, width, 1, 1), _conv_bn(width, width, 3, stride), _conv_bn(width, filters, 1, 1)]
    else:
        filters = width
        body = [_conv_bn(channels, width, 3, stride), _conv_bn(width, width, 3, 1)]
    same = channels == filters and stride == 1
    return nn.Residual(_body(body), None if same else nn.Sequential(**_conv_bn(channels, filters, 1, stride)))


def _stages(depths: tuple[int, ...], channels: int, bottleneck: bool) -> dict[str, nn.Module]:
    """Build stages of ``depths`` blocks; each stage after the first halves the size and doubles the width."""
    modules: dict[str, nn.Module] = {}
    width, expansion = channels, 4 if bottleneck else 1
    for stage, depth in enumerate(depths, start=1):
        for i in range(depth):
            stride = 2 if stage > 1 and i == 0 else 1
            modules[f"stage{stage}_block{i + 1}"] = block(channels, width, stride, bottleneck)
            channels = width * expansion
        width *= 2
    return modules


def resnet(layers: int, num_classes: int = 1000, channels: int = 3) -> nn.Sequential:
    """Build ResNet-18, 34, 50, 101 or 152: a 7 x 7 convolution at stride 2, 3 x 3 max pooling, four stages, mean, linear.

    x (N, channels, H, W), H and W at least 32 in practice; y (N, num_classes). Raises ValueError for another number of
    layers.
    Source: document 000, section 5.3, with the published depths; He et al., arXiv:1512.03385.

    >>> resnet(50).parameter_count()
    25557032
    """
    if layers not in DEPTHS:
        raise ValueError(f"resnet: layers must be one of {', '.join(map(str, DEPTHS))}, got {layers}")
    depths, bottleneck = DEPTHS[layers]
    return nn.Sequential(
        conv=nn.Conv2d(channels, 64, 7, stride=2, padding=3, bias=False),
        norm=nn.BatchNorm(64),
        relu=nn.ReLU(),
        pool=nn.MaxPool2d(3, stride=2, padding=1),
        **_stages(depths, 64, bottleneck),
        mean=nn.GlobalAvgPool(),
        linear=nn.Linear(512 * (4 if bottleneck else 1), num_classes),
    )


def resnet20(num_classes: int = 10, channels: int = 3) -> nn.Sequential:
    """Build the ResNet of 20 layers for small images (CIFAR): a 3 x 3 convolution, three stages of three basic blocks.

    x (N, channels, H, W); y (N, num_classes). Source: He et al., arXiv:1512.03385, section 4.2, with projected shortcuts
    (its option B).

    >>> resnet20().parameter_count()
    272474
    """
    return nn.Sequential(
        conv=nn.Conv2d(channels, 16, 3, padding=1, bias=False),
        norm=nn.BatchNorm(16),
        relu=nn.ReLU(),
        **_stages((3, 3, 3), 16, bottleneck=False),
        mean=nn.GlobalAvgPool(),
        linear=nn.Linear(64, num_classes),
    )
