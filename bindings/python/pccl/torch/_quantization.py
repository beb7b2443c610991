"""Quantization by the name of its codes."""

from __future__ import annotations

from typing import Optional, Union

from pccl._descriptors import QuantizationOptions
from pccl._enums import DataType, QuantizationAlgorithm
from pccl._errors import InvalidValueError

_BY_NAME = {
    "uint8": (DataType.UINT8, QuantizationAlgorithm.MIN_MAX),
    "uint4": (DataType.UINT4, QuantizationAlgorithm.MIN_MAX),
    "uint2": (DataType.UINT2, QuantizationAlgorithm.MIN_MAX),
    "int8": (DataType.INT8, QuantizationAlgorithm.ZERO_POINT_SCALE),
    "float8_e4m3": (DataType.FLOAT8_E4M3, QuantizationAlgorithm.SCALE),
    "float8_e5m2": (DataType.FLOAT8_E5M2, QuantizationAlgorithm.SCALE),
    "float4_e3m0": (DataType.FLOAT4_E3M0, QuantizationAlgorithm.SCALE),
}


def name_of(options: Optional[QuantizationOptions]) -> str:
    """The same for equal options."""
    return "none" if options is None else f"{options.algorithm.name}/{options.quantized_datatype.name}"


def quantization_options(wish: Union[str, QuantizationOptions, None]) -> Optional[QuantizationOptions]:
    """``"uint8"``, ``"uint4"``, ``"uint2"``, ``"int8"``, ``"float8_e4m3"``, ``"float8_e5m2"`` or ``"float4_e3m0"`` as
    options; options as they are; None: no quantization.

    Raises:
        ValueError: another name.
    """
    if isinstance(wish, QuantizationOptions):
        return None if wish.algorithm is QuantizationAlgorithm.NONE else wish
    if wish is None:
        return None
    if wish not in _BY_NAME:
        raise InvalidValueError(f"quantization '{wish}' is none of {', '.join(_BY_NAME)}")
    return QuantizationOptions(*_BY_NAME[wish])
