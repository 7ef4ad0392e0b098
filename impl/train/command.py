"""The command ``python -m impl.train``: train one of the documents' networks on digits or on files."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

from impl.checkpoint import Checkpoint, TrainingError
from impl.data import Augmentation, Data, DataError, digits, flip, mnist_format, npz, shifted_crop
from impl.draw import draw_curve
from impl.models import convnet, mlp, resnet20
from impl.nn import Module
from impl.optim import Adam, cosine
from impl.train.engine import ENGINES, Engine
from impl.train.loop import Recipe, fit


def main(arguments: list[str] | None = None) -> int:
    """Run the command and return its exit code: 0 trained, 2 impossible (with one line why), 130 interrupted."""
    parser = argparse.ArgumentParser(
        prog="python -m impl.train",
        description="Train one of the documents' networks to classify, and write its curve and its checkpoint.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    option = parser.add_argument
    option("--model", choices=("convnet", "mlp", "resnet20"), default="convnet", help="the network")
    option("--data", default="digits", help="digits, FILE.npz (with x and y), or IMAGES.idx,LABELS.idx")
    option("--engine", choices=ENGINES, default="numpy", help="what computes")
    option("--devices", type=int, default=1, help="the number of JAX devices that share each batch")
    option("--epochs", type=int, default=30, help="how often all samples are seen")
    option("--batch-size", type=int, default=64, help="samples per step")
    option("--rate", type=float, default=2e-3, help="Adam's first learning rate; it falls along a cosine")
    option("--l2", type=float, default=1e-4, help="the weight of the penalty on large parameters")
    option("--seed", type=int, default=0, help="what everything random follows from")
    option("--shift", type=int, default=0, help="augment: move images by up to this many pixels")
    option("--flip", action="store_true", help="augment: mirror images")
    option("--test-share", type=float, default=0.2, help="the share of the samples kept for testing, 0 to 1")
    option("--out", type=Path, default=Path("training"), help="the directory for curve and checkpoint")
    option("--resume", action="store_true", help="continue the run that is stored in --out")
    options = parser.parse_args(arguments)
    try:
        train, test = read_data(options.data).split(options.test_share, options.seed)
        steps = max(1, options.epochs * -(-len(train) // max(1, options.batch_size)))
        recipe = Recipe(
            schedule=cosine(options.rate, steps + 1), l2=options.l2, augment=augmentation(options.shift, options.flip)
        )
        history = fit(
            network_for(options.model, train),
            train,
            optimiser=Adam(rate=options.rate),
            epochs=options.epochs,
            batch_size=options.batch_size,
            seed=options.seed,
            validation=test,
            recipe=recipe,
            engine=Engine(options.engine, options.devices),
            checkpoint=Checkpoint(options.out, options.resume),
            progress=True,
        )
        for record in history.epochs:
            print("  ".join(f"{name} {value:.4g}" for name, value in record.items()))
        if history.epochs:
            draw_curve(history, options.out / "curve.png")
            print(f"test accuracy {history.epochs[-1]['validation_accuracy']:.4f}; {options.out / 'curve.png'}")
    except (TrainingError, DataError, ValueError) as error:
        print(f"impl.train: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    if history.stopped:
        print(f"impl.train: {history.stopped}; --resume continues the run", file=sys.stderr)
        return 130
    return 0


def read_data(name: str) -> Data:
    """Read the data that ``--data`` names. Raises DataError if it cannot be read."""
    if name == "digits":
        return digits()
    if name.endswith(".npz"):
        return npz(name)
    images, _, labels = name.partition(",")
    if not labels:
        raise DataError(f"--data must be digits, FILE.npz or IMAGES,LABELS (IDX files), got {name!r}")
    return mnist_format(images, labels)


def network_for(model: str, data: Data) -> Module:
    """Build one of the documents' networks for samples of the data's shape. Raises DataError if they are not images."""
    if model == "mlp":
        return mlp([int(np.prod(data.x.shape[1:])), 64, data.classes])
    if data.x.ndim != 4:
        raise DataError(f"{model} needs images (N, C, H, W), got shape {data.x.shape}")
    _, channels, height, width = data.x.shape
    if model == "resnet20":
        return resnet20(data.classes, channels)
    return convnet((channels, height, width), num_filters=32, filter_size=3, hidden_dim=64, num_classes=data.classes)


def augmentation(shift: int, mirrored: bool) -> Augmentation | None:
    """Make the augmentation that shifts, mirrors, or does both; or none."""
    parts = ([shifted_crop(shift)] if shift else []) + ([flip] if mirrored else [])
    if not parts:
        return None

    def augment(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        for part in parts:
            x = part(x, rng)
        return x

    return augment
