"""List the documents. Docstrings cite them by a number of three digits."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Document:
    """A document: its file in seeds/, its title in English, and its sections in reading order."""

    file: str
    title: str
    sections: tuple[str, ...]


DOCUMENTS: dict[str, Document] = {
    "000": Document(
        "000_9d7f493b9fcda17e.txt",
        "Implementing a deep-learning computation framework (xytpai, 2018)",
        (
            "1.1 forward and gradients",
            "1.2 parameter update",
            "2.1 MLP forward",
            "2.2 derivative with respect to a vector",
            "2.3 linear unit",
            "2.4 non-linear unit",
            "2.5 MLP gradients",
            "2.6 optimised linear unit",
            "2.7 batch normalisation",
            "3.1 softmax",
            "3.2 cross-entropy",
            "3.3 softmax and cross-entropy in one",
            "4.1 single-channel convolution",
            "4.2 its gradients",
            "4.3 padding",
            "4.4 many channels and images",
            "4.5 their gradients",
            "4.6 stride",
            "4.7 its gradients",
            "4.8 pooling",
            "4.9 convolution and batch normalisation",
            "5 deep residual networks",
            "5.1 residual unit",
            "5.2 residual convolution unit",
            "5.3 deep residual networks",
        ),
    ),
    "001": Document(
        "001_7270df7a468e37a4.txt",
        "Back-propagation in CNNs (Yuejianzun, 2018)",
        (
            "DNN",
            "what a CNN adds",
            "the gradient of pooling",
            "pooling: theory",
            "pooling: max",
            "pooling: average",
            "convolution: dx",
            "convolution: dw",
            "bias",
        ),
    ),
    "002": Document(
        "002_e64ebb3b0814347d.txt",
        "Convolutional neural networks, a summary",
        (
            "I.1 structure",
            "I.2 convolution",
            "I.3 convolution layer",
            "I.4 pooling layer",
            "II.1 structure again",
            "II.2 input to convolution",
            "II.3 hidden to convolution",
            "II.4 hidden to pooling",
            "II.5 hidden to fully connected",
            "II.6 forward summary",
            "III.1 DNN back-propagation",
            "III.2 idea",
            "III.3 pooling",
            "III.4 convolution: the layer before",
            "III.5 convolution: W and b",
            "III.6 summary",
        ),
    ),
    "003": Document(
        "003_af6745570df7d7a3.txt",
        "The principle of TensorFlow in brief (2017)",
        ("network", "framework", "Torch", "Node", "Input", "Linear", "Sigmoid", "Tanh", "MSE", "Kahn", "training"),
    ),
    "004": Document(
        "004_9c54cfbeaa547e6f.txt",
        "Convolutional neural networks (an assignment of CS231n explained)",
        (
            "0 before",
            "1 convolutional networks",
            "1.1 convolution layer",
            "1.2 pooling layer",
            "1.3 fully connected layer",
            "2.1 convolution forward",
            "2.2 convolution backward",
            "3.1 pooling forward",
            "3.2 pooling backward",
            "4 composed layers",
            "5.1 architecture",
            "5.2 constructor",
            "5.3.1 loss forward",
            "5.3.2 loss backward",
            "6.1 spatial batch normalisation",
            "6.2 its forward",
            "6.3 its backward",
            "7.1 group normalisation",
            "7.2 its forward",
            "7.3 its backward",
            "8 the author's words",
        ),
    ),
}
