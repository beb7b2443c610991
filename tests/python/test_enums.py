"""Members of the enums are the values of the C interface."""

import enum

import pytest

import pccl
from pccl import DataType
from pccl._pccl import DeviceType, Result

ENUMS = {
    "Result": [
        "SUCCESS",
        "NOT_INITIALIZED",
        "INTERNAL_ERROR",
        "INVALID_ARGUMENT",
        "INVALID_USAGE",
        "TOO_FEW_PEERS",
        "MASTER_CONNECTION_FAILED",
        "RANK_CONNECTION_FAILED",
        "RANK_CONNECTION_LOST",
        "NO_SHARED_STATE_AVAILABLE",
        "PENDING_ASYNC_OPS",
        "UPDATE_TOPOLOGY_FAILED",
        "TOPOLOGY_OPTIMIZATION_FAILED",
    ],
    "ReduceOp": ["SUM", "AVG", "PROD", "MAX", "MIN"],
    "SharedStateSyncStrategy": ["ENFORCE_POPULAR", "RECEIVE_ONLY", "SEND_ONLY"],
    "DeviceType": ["CPU", "CUDA"],
    "DistributionHint": ["NONE", "NORMAL", "UNIFORM"],
    "QuantizationAlgorithm": ["NONE", "MIN_MAX", "ZERO_POINT_SCALE"],
    "DataType": [
        "UINT8",
        "INT8",
        "INT16",
        "UINT16",
        "UINT32",
        "INT32",
        "UINT64",
        "INT64",
        "FLOAT16",
        "BFLOAT16",
        "FLOAT",
        "DOUBLE",
    ],
}
ATTRIBUTES = {
    "GLOBAL_WORLD_SIZE": 1,
    "LOCAL_WORLD_SIZE": 2,
    "NUM_DISTINCT_PEER_GROUPS": 3,
    "LARGEST_PEER_GROUP_WORLD_SIZE": 4,
}


@pytest.mark.parametrize("name", ENUMS)
def test_values(name):
    members = getattr(pccl, name)
    assert issubclass(members, enum.Enum)
    for value, member in enumerate(ENUMS[name]):
        assert members[member].value == value
        assert members(value) is members[member]


@pytest.mark.parametrize("name", ENUMS)
def test_what_is_new_comes_after_the_original_members(name):
    members = getattr(pccl, name)
    assert [member.name for member in members][: len(ENUMS[name])] == ENUMS[name]
    assert sorted(member.value for member in members) == list(range(len(list(members))))


def test_attributes():
    assert {name: pccl.Attribute[name].value for name in ATTRIBUTES} == ATTRIBUTES
    assert all(member.value > 4 for member in pccl.Attribute if member.name not in ATTRIBUTES)


def test_results_are_told_apart_by_name_and_value():
    assert Result(8) is Result.RANK_CONNECTION_LOST
    with pytest.raises(ValueError):
        Result(13)


@pytest.mark.parametrize(
    "name, member", [("cpu", DeviceType.CPU), ("cuda", DeviceType.CUDA), ("mps", None), ("", None)]
)
def test_device_types_of_torch(name, member):
    assert DeviceType.from_torch_device_type(name) is member


def test_codes_for_quantization_are_no_element_types():
    torch = pytest.importorskip("torch")
    numpy = pytest.importorskip("numpy")
    assert torch and numpy
    for member in DataType:
        if member.value > DataType.DOUBLE.value:
            with pytest.raises(ValueError, match="only quantization"):
                member.to_torch_dtype()
            with pytest.raises(ValueError, match="only quantization"):
                member.to_numpy_dtype()
