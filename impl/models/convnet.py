"""The three-layer convnet of document 004."""

from __future__ import annotations

from impl import nn


def convnet(
    input_dim: tuple[int, int, int] = (3, 32, 32),
    num_filters: int = 32,
    filter_size: int = 7,
    hidden_dim: int = 100,
    num_classes: int = 10,
    weight_scale: float | None = None,
) -> nn.Sequential:
    """Build conv - relu - 2 x 2 max pool - affine - relu - affine for images of shape ``input_dim`` = (C, H, W).

    x (N, C, H, W), y (N, num_classes); the loss adds the softmax. The convolution keeps the size of the image, with a
    padding of (filter_size - 1) // 2. Weights are Gaussian with the deviation ``weight_scale``, or Kaiming's without
    one; biases are 0. Raises ValueError for an even filter_size and for images smaller than 2 x 2.
    Source: document 004, section 5. Pooling leaves num_filters (H // 2)(W // 2) features; the document's number is
    right only for even sizes.
    """
    channels, height, width = input_dim
    if filter_size % 2 == 0:
        raise ValueError(f"convnet: filter_size must be odd for the convolution to keep the size, got {filter_size}")
    if height < 2 or width < 2:
        raise ValueError(f"convnet: images must be at least 2 x 2, got {height} x {width}")
    init, scale = ("kaiming", 1.0) if weight_scale is None else ("gaussian", weight_scale)
    features = num_filters * (height // 2) * (width // 2)
    return nn.Sequential(
        conv=nn.Conv2d(channels, num_filters, filter_size, padding=(filter_size - 1) // 2, init=init, scale=scale),
        relu1=nn.ReLU(),
        pool=nn.MaxPool2d(2),
        affine1=nn.Affine(features, hidden_dim, init=init, scale=scale),
        relu2=nn.ReLU(),
        affine2=nn.Affine(hidden_dim, num_classes, init=init, scale=scale),
    )
