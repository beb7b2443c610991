"""What goes wrong: result codes of libpccl, and arguments that are refused before they reach it."""

from __future__ import annotations

import enum
import operator


class Result(enum.Enum):
    """The result codes of the C interface."""

    SUCCESS = 0
    NOT_INITIALIZED = 1
    INTERNAL_ERROR = 2
    INVALID_ARGUMENT = 3
    INVALID_USAGE = 4
    TOO_FEW_PEERS = 5
    MASTER_CONNECTION_FAILED = 6
    RANK_CONNECTION_FAILED = 7
    RANK_CONNECTION_LOST = 8
    NO_SHARED_STATE_AVAILABLE = 9
    PENDING_ASYNC_OPS = 10
    UPDATE_TOPOLOGY_FAILED = 11
    TOPOLOGY_OPTIMIZATION_FAILED = 12


class PCCLError(Exception):
    """A call of libpccl has failed.

    Attributes:
        result: the code.
        reason: which peer and what happened, in libpccl's words; may be empty.
    """

    def __init__(self, result: Result, func_name: str, reason: str = "") -> None:
        super().__init__(f"{func_name} failed with error: {result.name}")
        self.result = result
        self.func_name = func_name
        self.reason = reason

    def __str__(self) -> str:
        text = f"{self.args[0]}: {self.result.name}"
        return f"{text} ({self.reason})" if self.reason else text

    def __reduce__(self):
        return type(self), (self.result, self.func_name, self.reason)

    @staticmethod
    def check(result: int, func_name: str, reason: str = "") -> None:
        """Raises PCCLError when ``result`` is not 0."""
        if result != 0:
            raise PCCLError(Result(result), func_name, reason)


class InvalidValueError(ValueError, AssertionError):
    """An argument of a wrong value. Also an AssertionError, which PCCL 1.0 raised in its place."""


class InvalidTypeError(TypeError, InvalidValueError):
    """An argument of a wrong type. Also what PCCL 1.0 raised in its place: an AssertionError, or a ValueError for what is no
    tensor."""


def require(condition: bool, message: str) -> None:
    if not condition:
        raise InvalidValueError(message)


def require_whole(value: object, name: str, at_least: int) -> int:
    """The value, when it is a whole number of some kind, and not less."""
    require_type(hasattr(value, "__index__") and not isinstance(value, bool), f"{name} is {value!r}, not a whole number")
    require(operator.index(value) >= at_least, f"{name} is {value}")
    return operator.index(value)


def require_type(condition: bool, message: str) -> None:
    if not condition:
        raise InvalidTypeError(message)
