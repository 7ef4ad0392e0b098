"""The documents' networks."""

from impl.models.convnet import convnet
from impl.models.minimal import minimal_graph, train_minimal
from impl.models.mlp import mlp
from impl.models.resnet import resnet, resnet20

__all__ = ["convnet", "minimal_graph", "mlp", "resnet", "resnet20", "train_minimal"]
