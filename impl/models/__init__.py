"""The documents' networks."""

from impl.models.convnet import convnet
from impl.models.mlp import mlp
from impl.models.resnet import resnet, resnet20

__all__ = ["convnet", "mlp", "resnet", "resnet20"]
