"""Datasets of images."""

from __future__ import annotations

from flambeau_vision.datasets.cifar import CIFAR10, CIFAR100
from flambeau_vision.datasets.coco import CocoDetection, coco_target
from flambeau_vision.datasets.fake import FakeData
from flambeau_vision.datasets.folder import DatasetFolder, ImageFolder
from flambeau_vision.datasets.mnist import EMNIST, KMNIST, MNIST, QMNIST, FashionMNIST
from flambeau_vision.datasets.optical_digits import OpticalDigits
from flambeau_vision.datasets.shapes import Shapes
from flambeau_vision.datasets.voc import VOCDetection, VOCSegmentation, voc_target

__all__ = [
    "CIFAR10",
    "CIFAR100",
    "EMNIST",
    "KMNIST",
    "MNIST",
    "QMNIST",
    "CocoDetection",
    "DatasetFolder",
    "FakeData",
    "FashionMNIST",
    "ImageFolder",
    "OpticalDigits",
    "Shapes",
    "VOCDetection",
    "VOCSegmentation",
    "coco_target",
    "voc_target",
]
