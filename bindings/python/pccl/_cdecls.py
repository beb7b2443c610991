"""Structs of the C interface for ctypes: what the ``to_c()`` methods give, for programs that call libpccl themselves."""

import ctypes


class ReduceOperandDescriptor(ctypes.Structure):
    """pcclReduceOperandDescriptor_t"""

    _fields_ = [("datatype", ctypes.c_int), ("distribution_hint", ctypes.c_int)]


class QuantizationOptions(ctypes.Structure):
    """pcclQuantizationOptions_t"""

    _fields_ = [("quantized_datatype", ctypes.c_int), ("algorithm", ctypes.c_int)]


class ReduceDescriptor(ctypes.Structure):
    """pcclReduceDescriptor_t"""

    _fields_ = [
        ("count", ctypes.c_size_t),
        ("op", ctypes.c_int),
        ("tag", ctypes.c_uint64),
        ("src_descriptor", ReduceOperandDescriptor),
        ("quantization_options", QuantizationOptions),
    ]


class ReduceOpDescriptor(ctypes.Structure):
    """pcclReduceOpDescriptor_t"""

    _fields_ = [("sendbuf", ctypes.c_void_p), ("recvbuf", ctypes.c_void_p), ("descriptor", ReduceDescriptor)]
