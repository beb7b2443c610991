"""A model that is trained in loops of tests: weights in the shared state."""

from __future__ import annotations

import array

from pccl import DataType, SharedState, TensorInfo
from pccl._pccl import DeviceType


def entry(name: str, tensor: array.array, **options) -> TensorInfo:
    """Of an array of doubles or int64, which lives as long as the entry."""
    dtype = {"d": DataType.DOUBLE, "q": DataType.INT64}[tensor.typecode]
    address, count = tensor.buffer_info()
    options = {"allow_content_inequality": False, **options}
    info = TensorInfo(name, address, numel=count, dtype=dtype, device_type=DeviceType.CPU, **options)
    info.tensor = tensor
    return info


class Model:
    """A step subtracts the mean gradient. Weights are `value` at first, on the first peers 0."""

    def __init__(self, value: float = 0.0, count: int = 100) -> None:
        self.weights = array.array("d", [value] * count)
        self.state = SharedState([entry("weights", self.weights)])

    @property
    def steps(self) -> int:
        """That have gone into the weights, whoever made them: all gradients are 1."""
        return -int(self.weights[0])

    def step(self, mean: float) -> None:
        for i in range(len(self.weights)):
            self.weights[i] -= mean
