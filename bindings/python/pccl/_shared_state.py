"""The state that all peers of a group hold bit by bit the same."""

from __future__ import annotations

import dataclasses
from typing import Any

from pccl._enums import DataType, DeviceType
from pccl._errors import InvalidValueError, require, require_type
from pccl._operand import is_numpy, is_torch, operand_of


class TensorInfo:
    """One entry: ``numel`` elements of ``dtype`` at ``data_ptr``. ``name`` tells entries apart.

    Holds an address. Made by `from_torch` or `from_numpy` it keeps the tensor alive, too.

    With ``allow_content_inequality`` the entry is neither compared nor sent: each peer keeps its own, a newcomer too.
    """

    def __init__(
        self,
        name: str,
        data_ptr: int,
        *,
        numel: int,
        dtype: DataType,
        device_type: DeviceType,
        allow_content_inequality: bool,
    ) -> None:
        require_type(isinstance(name, str), f"name is a {type(name).__name__}, not a string")
        if data_ptr == 0 and numel != 0:
            raise InvalidValueError(f"data_ptr of '{name}' is 0")
        self.name = name
        self.data_ptr = data_ptr
        self.numel = numel
        self.dtype = dtype
        self.device_type = device_type
        self.allow_content_inequality = allow_content_inequality
        self._owner: Any = None

    @classmethod
    def from_torch(cls, tensor: Any, name: str, *, allow_content_inequality: bool = False) -> TensorInfo:
        """Of a contiguous torch tensor or parameter of any shape, 0-dimensional ones included, in host memory or on a GPU. A
        DTensor is refused: give its local shard, to a communicator whose peer group is that of the shard."""
        require(is_torch(tensor), f"'{name}' is a {type(tensor).__name__}, not a torch tensor")
        return cls._of(tensor, name, allow_content_inequality)

    @classmethod
    def from_numpy(cls, tensor: Any, name: str, *, allow_content_inequality: bool = False) -> TensorInfo:
        """Of a C-contiguous, writable numpy array."""
        require(is_numpy(tensor), f"'{name}' is a {type(tensor).__name__}, not a numpy array")
        return cls._of(tensor, name, allow_content_inequality)

    @classmethod
    def _of(cls, tensor: Any, name: str, allow_content_inequality: bool) -> TensorInfo:
        operand = operand_of(tensor, name, writable=True)
        info = cls(
            name,
            operand.address,
            numel=operand.count,
            dtype=operand.dtype,
            device_type=operand.device,
            allow_content_inequality=allow_content_inequality,
        )
        info._owner = operand.owner
        return info


class SharedState:
    """Entries and their revision: a counter that the application advances by one before each sync but the first.

    `Communicator.sync_shared_state` overwrites the revision of a peer that was behind.
    """

    def __init__(self, tensor_infos: list[TensorInfo]) -> None:
        require(len(tensor_infos) > 0, "a shared state has at least one tensor")
        self.tensor_infos = list(tensor_infos)
        self._revision = 0

    @property
    def revision(self) -> int:
        return self._revision

    @revision.setter
    def revision(self, value: int) -> None:
        require(0 <= value < 2**62, f"revision {value} is not in [0, 2^62)")
        self._revision = value

    def push_revision(self) -> None:
        """Advances the revision by one."""
        self.revision += 1

    def _on_gpu(self) -> list[Any]:
        """The torch tensors of entries on GPUs; None for an entry there that is a bare address."""
        return [i._owner for i in self.tensor_infos if i.device_type is DeviceType.CUDA]

    def _entries(self) -> list[tuple[str, int, int, int, int, bool]]:
        return [
            (i.name, i.data_ptr, i.numel, i.dtype.value, i.device_type.value, i.allow_content_inequality)
            for i in self.tensor_infos
        ]


@dataclasses.dataclass
class SharedStateSyncInfo:
    """Bytes of content that a sync has moved: sent to others, and received by this peer."""

    tx_bytes: int
    rx_bytes: int
