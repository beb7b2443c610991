"""Arguments that cannot be meant."""

import pccl
import pccl.torch
import pytest
import torch
from pccl import DataType, QuantizationAlgorithm, QuantizationOptions
from torch import nn

NO_QUANTIZATION = QuantizationOptions(DataType.UINT8, QuantizationAlgorithm.NONE)
NOBODY = "127.0.0.1:1"  # no master: an argument is refused before anybody connects

DILOCO = [
    ({"sync_every": 0}, "sync_every is 0"),
    ({"sync_every": 1.5}, "sync_every is 1.5, not a whole number"),
    ({"min_peers": "2"}, "min_peers is '2', not a whole number"),
    ({"ranks_per_replica": True}, "ranks_per_replica is True, not a whole number"),
    ({"checkpoint": {"round": -1, "tensors": {}}}, r"checkpoint\['round'\] is -1"),
    ({"outer_lr": float("nan")}, "outer_lr is nan"),
    ({"outer_momentum": "0.9"}, "outer_momentum is '0.9'"),
    ({"quantization": NO_QUANTIZATION, "error_feedback": True}, "error_feedback is for quantized"),
    ({"min_peers": 0}, "min_peers is 0"),
    ({"verify_every": -1}, "verify_every is -1"),
    ({"ranks_per_replica": 0}, "ranks_per_replica is 0"),
    ({"quantization": "uint3"}, "'uint3' is none of uint8"),
    ({"error_feedback": True}, "error_feedback is for quantized"),
]
AVERAGE = [
    ({"admit_every": 0}, "admit_every is 0"),
    ({"admit_every": 1.5}, "admit_every is 1.5, not a whole number"),
    ({"steps_done": None}, "steps_done is None, not a whole number"),
    ({"min_peers": 0}, "min_peers is 0"),
    ({"verify_every": -1}, "verify_every is -1"),
    ({"ranks_per_replica": 0}, "ranks_per_replica is 0"),
    ({"quantization": "float9"}, "'float9' is none of uint8"),
    ({"error_feedback": True}, "error_feedback is for quantized"),
]


def refuses(kind, model, options, reason):
    optimizer = torch.optim.SGD([nn.Parameter(torch.ones(1)), *model.parameters()][1:], lr=0.1)
    with pytest.raises(ValueError, match=reason) as refused:
        kind(model, optimizer, pccl.Communicator(NOBODY), **options)
    assert isinstance(refused.value, AssertionError)  # what PCCL 1.0 raised


@pytest.mark.parametrize("options, reason", DILOCO, ids=[str(options) for options, _ in DILOCO])
def test_diloco(options, reason):
    refuses(pccl.torch.DiLoCo, nn.Linear(1, 1), {"sync_every": 1, **options}, reason)


@pytest.mark.parametrize("options, reason", AVERAGE, ids=[next(iter(options)) for options, _ in AVERAGE])
def test_average_gradients(options, reason):
    refuses(pccl.torch.AverageGradients, nn.Linear(1, 1), options, reason)


BOTH = pytest.mark.parametrize("kind, options", [(pccl.torch.DiLoCo, {"sync_every": 1}), (pccl.torch.AverageGradients, {})])


@BOTH
def test_an_address_is_no_communicator(kind, options):
    model = nn.Linear(1, 1)
    with pytest.raises(TypeError, match="communicator is a str"):
        kind(model, torch.optim.SGD(model.parameters(), lr=0.1), NOBODY, **options)


@BOTH
def test_nothing_to_train(kind, options):
    refuses(kind, nn.Linear(1, 1).requires_grad_(False), options, "no parameter that requires a gradient")


def test_no_master():
    communicator = pccl.Communicator(NOBODY)
    connect = communicator.connect
    communicator.connect = lambda: connect(n_attempts=1)
    model = nn.Linear(1, 1)
    with pytest.raises(ConnectionError):
        pccl.torch.DiLoCo(model, torch.optim.SGD(model.parameters(), lr=0.1), communicator, sync_every=1)


@pytest.mark.parametrize(
    "name, expected",
    [
        ("uint8", (DataType.UINT8, QuantizationAlgorithm.MIN_MAX)),
        ("uint4", (DataType.UINT4, QuantizationAlgorithm.MIN_MAX)),
        ("int8", (DataType.INT8, QuantizationAlgorithm.ZERO_POINT_SCALE)),
        ("float8_e4m3", (DataType.FLOAT8_E4M3, QuantizationAlgorithm.SCALE)),
    ],
)
def test_quantization_by_name(name, expected):
    options = pccl.torch.quantization_options(name)
    assert (options.quantized_datatype, options.algorithm) == expected


def test_quantization_by_options_or_not_at_all():
    options = QuantizationOptions(DataType.UINT16, QuantizationAlgorithm.MIN_MAX)
    assert pccl.torch.quantization_options(options) is options
    assert pccl.torch.quantization_options(None) is None
