"""Parameter names, their order, which are keywords only, and defaults: what calls in existing programs rely on."""

import inspect

import pytest

import pccl
from pccl import DataType, DistributionHint, QuantizationAlgorithm, SharedStateSyncStrategy

REQUIRED = inspect.Parameter.empty
REDUCE = [
    ("send", REQUIRED),
    ("recv", REQUIRED),
    "*",
    ("op", REQUIRED),
    ("tag", 0),
    ("operand_descriptor", None),
    ("quantization_options", None),
]
EXPECTED = {
    "PCCLError": [("result", REQUIRED), ("func_name", REQUIRED)],
    "PCCLError.check": [("result", REQUIRED), ("func_name", REQUIRED)],
    "ReduceOperandDescriptor": [("datatype", REQUIRED), ("distribution_hint", DistributionHint.NONE)],
    "QuantizationOptions": [
        ("quantized_datatype", DataType.UINT8),
        ("algorithm", QuantizationAlgorithm.MIN_MAX),
    ],
    "ReduceDescriptor": [
        (name, REQUIRED) for name in ("count", "op", "tag", "operand_descriptor", "quantization_options")
    ],
    "ReduceOpDescriptor": [(name, REQUIRED) for name in ("sendbuf_ptr", "recvbuf_ptr", "reduce_descriptor")],
    "ReduceOpDescriptor.from_torch": [(name, REQUIRED) for name in ("send", "recv", "reduce_descriptor")],
    "ReduceOpDescriptor.from_numpy": [(name, REQUIRED) for name in ("send", "recv", "reduce_descriptor")],
    "ReduceOpDescriptor.to_c": [("self", REQUIRED)],
    "ReduceOpDescriptor.to_c_inpl": [("self", REQUIRED), ("c_desc", REQUIRED)],
    "TensorInfo": [
        ("name", REQUIRED),
        ("data_ptr", REQUIRED),
        "*",
        ("numel", REQUIRED),
        ("dtype", REQUIRED),
        ("device_type", REQUIRED),
        ("allow_content_inequality", REQUIRED),
    ],
    "TensorInfo.from_torch": [("tensor", REQUIRED), ("name", REQUIRED), "*", ("allow_content_inequality", False)],
    "TensorInfo.from_numpy": [("tensor", REQUIRED), ("name", REQUIRED), "*", ("allow_content_inequality", False)],
    "SharedState": [("tensor_infos", REQUIRED)],
    "SharedState.push_revision": [("self", REQUIRED)],
    "SharedStateSyncInfo": [("tx_bytes", REQUIRED), ("rx_bytes", REQUIRED)],
    "ReduceInfo": [("local_world_size", REQUIRED), ("tx_bytes", REQUIRED), ("rx_bytes", REQUIRED)],
    "AsyncReduceHandle.wait": [("self", REQUIRED)],
    "Communicator": [("address", REQUIRED), ("peer_group", 0), ("p2p_connection_pool_size", 0)],
    "Communicator.connect": [("self", REQUIRED), ("n_attempts", 5)],
    "Communicator.get_attribute": [("self", REQUIRED), ("attribute", REQUIRED)],
    "Communicator.update_topology": [("self", REQUIRED)],
    "Communicator.are_peers_pending": [("self", REQUIRED)],
    "Communicator.optimize_topology": [("self", REQUIRED)],
    "Communicator.sync_shared_state": [
        ("self", REQUIRED),
        ("shared_state", REQUIRED),
        ("strategy", SharedStateSyncStrategy.ENFORCE_POPULAR),
    ],
    "Communicator.all_reduce": [("self", REQUIRED), *REDUCE],
    "Communicator.all_reduce_async": [("self", REQUIRED), *REDUCE],
    "Communicator.all_reduce_multiple_with_retry": [
        ("self", REQUIRED),
        ("descriptors", REQUIRED),
        "*",
        ("max_in_flight", 4),
    ],
    "MasterNode": [("listen_address", REQUIRED)],
    "MasterNode.run": [("self", REQUIRED)],
    "MasterNode.interrupt": [("self", REQUIRED)],
}


@pytest.mark.parametrize("name", EXPECTED)
def test_calls_of_the_original_fit(name):
    function = pccl
    for part in name.split("."):
        function = getattr(function, part)
    actual = iter(inspect.signature(function).parameters.values())
    keyword_only = False
    for expected in EXPECTED[name]:
        if expected == "*":
            keyword_only = True
            continue
        parameter = next(actual)
        assert (parameter.name, parameter.default) == expected
        assert (parameter.kind is inspect.Parameter.KEYWORD_ONLY) == keyword_only
    for new in actual:
        assert new.default is not REQUIRED, f"{name}: {new.name} is new and has no default"


def test_everything_public_is_explained():
    unexplained = [name for name in pccl.__all__ if not inspect.getdoc(getattr(pccl, name))]
    assert unexplained == []
