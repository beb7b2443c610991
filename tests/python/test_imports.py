"""import pccl with torch, numpy, both or neither; what works without them."""

import ast

import pytest

from child import Child
from ports import free_address

BLOCKER = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {absent}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Absent())
"""

# Two peers in one process: enough for a reduce.
PAIR = """
import threading, pccl
from pccl import *
master = MasterNode(listen_address="{address}")
master.run()
peers = [Communicator("{address}") for _ in range(2)]
def body(communicator, rank, results):
    communicator.connect()
    while communicator.get_attribute(Attribute.GLOBAL_WORLD_SIZE) < 2:
        communicator.update_topology()
    results[rank] = reduce(communicator, rank)
def run():
    results = {{}}
    threads = [threading.Thread(target=body, args=(peer, rank, results)) for rank, peer in enumerate(peers)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
    for peer in peers: peer.close()
    master.interrupt()
    print("results", results)
"""


def succeeds(script: str, absent: tuple = ()) -> str:
    with Child("-c", BLOCKER.format(absent=set(absent) or "()") + script) as child:
        result = child.expect("results")
        assert child.end() == 0, child.errors()
        return result


@pytest.mark.parametrize("absent", [("torch",), ("numpy",), ("torch", "numpy", "ml_dtypes"), ()])
def test_import(absent):
    script = f"""
import pccl, pccl.cuda, pccl.master, pccl._pccl
assert not {set(absent) or "set()"} & set(sys.modules)
print("results", pccl.cuda.is_available())
"""
    assert succeeds(script, absent) in ("True", "False")


@pytest.mark.parametrize("library", ["torch", "numpy"])
def test_import_loads_neither_by_itself(library):
    assert succeeds(f"import pccl, sys; print('results', '{library}' in sys.modules)") == "False"


NEITHER = ("torch", "numpy", "ml_dtypes")


@pytest.mark.parametrize(
    "make, expected",
    [
        ("array.array('f', [rank, 1])", [1.0, 2.0]),
        ("bytearray([rank, 1])", [1, 2]),
        ("memoryview(bytearray([rank, 1]))", [1, 2]),
    ],
)
def test_reduce_with_neither(make, expected):
    script = PAIR.format(address=free_address()) + f"""
import array
def reduce(communicator, rank):
    tensor = {make}
    communicator.all_reduce(tensor, tensor, op=ReduceOp.SUM)
    return list(tensor)
run()
"""
    assert ast.literal_eval(succeeds(script, NEITHER)) == {0: expected, 1: expected}


def test_retry_and_sync_with_neither():
    script = PAIR.format(address=free_address()) + """
import array
from pccl._pccl import DeviceType
def reduce(communicator, rank):
    tensor = array.array("d", [rank, 1])
    address, count = tensor.buffer_info()
    what = ReduceDescriptor(count, ReduceOp.SUM, 0, ReduceOperandDescriptor(DataType.DOUBLE),
                            QuantizationOptions(DataType.UINT8, QuantizationAlgorithm.NONE))
    communicator.all_reduce_multiple_with_retry([ReduceOpDescriptor(address, address, what)])
    info = TensorInfo("x", address, numel=count, dtype=DataType.DOUBLE, device_type=DeviceType.CPU,
                      allow_content_inequality=False)
    communicator.sync_shared_state(SharedState([info]))
    return sum(tensor)
run()
"""
    assert "0: 3.0" in succeeds(script, NEITHER)


def test_only_numpy():
    pytest.importorskip("numpy")
    script = PAIR.format(address=free_address()) + """
import numpy
def reduce(communicator, rank):
    tensor = numpy.array([rank, 1.0])
    communicator.all_reduce(tensor, tensor, op=ReduceOp.SUM)
    communicator.sync_shared_state(SharedState([TensorInfo.from_numpy(tensor, "x")]))
    return tensor.tolist()
run()
"""
    assert "0: [1.0, 2.0]" in succeeds(script, ("torch",))


def test_only_torch():
    pytest.importorskip("torch")
    script = PAIR.format(address=free_address()) + """
import warnings
warnings.simplefilter("ignore")
import torch
def reduce(communicator, rank):
    tensor = torch.tensor([rank, 1.0])
    communicator.all_reduce(tensor, tensor, op=ReduceOp.SUM)
    communicator.sync_shared_state(SharedState([TensorInfo.from_torch(tensor, "x")]))
    return tensor.tolist()
run()
"""
    assert "0: [1.0, 2.0]" in succeeds(script, ("numpy",))


@pytest.mark.parametrize("library", ["torch", "numpy"])
def test_conversions_without_the_library_name_it(library):
    script = f"""
import pccl
try:
    pccl.DataType.FLOAT.to_{library}_dtype()
except ImportError as error:
    print("results", error.name)
"""
    assert succeeds(script, (library,)) == library


@pytest.mark.parametrize("library", ["torch", "numpy"])
def test_entries_without_the_library_are_refused(library):
    script = f"""
import pccl
try:
    pccl.TensorInfo.from_{library}([1.0], "x")
except ValueError as error:
    print("results", error)
"""
    assert library in succeeds(script, (library,))
