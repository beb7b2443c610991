"""Contract 3.4: DiLoCo whose all-reduce runs one step behind, on a thread of its own.

The main thread computes and calls only are_peers_pending and get_attribute meanwhile. When somebody joins, the thread
is joined, then come update_topology, sync #1 by all, the outer step of what the old peers have reduced before, and sync
#2, in which they send what that step has made of the state to the newcomer, who had no part in it.
"""

from __future__ import annotations

import array
from concurrent.futures import ThreadPoolExecutor
from typing import Callable

from model import entry
from pccl import Attribute, Communicator, DataType, QuantizationAlgorithm, QuantizationOptions, ReduceDescriptor
from pccl import ReduceOp, ReduceOpDescriptor, ReduceOperandDescriptor, SharedState, SharedStateSyncStrategy

TENSORS, ELEMENTS = 4, 50
PLAIN = QuantizationOptions(DataType.UINT8, QuantizationAlgorithm.NONE)


class Worker:
    def __init__(self, own: float) -> None:
        """`own` stands for the data that only this worker sees."""
        self.own = own
        self.weights = [array.array("d", [own] * ELEMENTS) for _ in range(TENSORS)]
        self.momenta = [array.array("d", [own] * ELEMENTS) for _ in range(TENSORS)]
        self.steps = array.array("q", [0])
        entries = [entry(f"weight {i}", tensor) for i, tensor in enumerate(self.weights)]
        entries += [entry(f"momentum {i}", tensor) for i, tensor in enumerate(self.momenta)]
        self.state = SharedState([*entries, entry("steps", self.steps)])
        self.received: list[int] = []  # rx_bytes of all syncs

    def inner_steps(self, is_enough: bool) -> list[array.array]:
        """The pseudo-gradients, and whether this worker wants to stop."""
        gradients = [array.array("d", [0.1 * w + self.own for w in weight]) for weight in self.weights]
        return [*gradients, array.array("d", [float(is_enough)])]

    def outer_step(self, mean: list[array.array]) -> None:
        for weight, momentum, gradient in zip(self.weights, self.momenta, mean):
            for i in range(ELEMENTS):
                momentum[i] = 0.9 * momentum[i] + gradient[i]
                weight[i] -= 0.7 * momentum[i]
        self.steps[0] += 1

    def sync(self, communicator: Communicator, strategy: SharedStateSyncStrategy) -> None:
        self.received.append(communicator.sync_shared_state(self.state, strategy).rx_bytes)
        self.state.push_revision()

    def digest(self) -> str:
        """All of the state but its entry in the syncs."""
        return b"".join(tensor.tobytes() for tensor in [*self.weights, *self.momenta, self.steps]).hex()


def reduce(communicator: Communicator, tensors: list[array.array]) -> list[array.array]:
    descriptors = []
    for tag, tensor in enumerate(tensors):
        address, count = tensor.buffer_info()
        what = ReduceDescriptor(count, ReduceOp.AVG, tag, ReduceOperandDescriptor(DataType.DOUBLE), PLAIN)
        descriptors.append(ReduceOpDescriptor(address, address, what))
    communicator.all_reduce_multiple_with_retry(descriptors)
    return tensors


def train(communicator: Communicator, worker: Worker, is_enough: Callable[[], bool], report: Callable[[int], None]):
    """Until one worker says that it is enough; nobody may join at that moment."""
    communicator.connect(n_attempts=1)
    iteration, reducing = 0, None
    with ThreadPoolExecutor(1) as thread:
        while True:
            iteration += 1
            topology_updated = iteration == 1
            alone = communicator.get_attribute(Attribute.GLOBAL_WORLD_SIZE) == 1
            if (iteration > 1 or alone) and communicator.are_peers_pending():
                if reducing is not None:
                    reducing.result()
                communicator.update_topology()
                topology_updated = True
            if communicator.get_attribute(Attribute.GLOBAL_WORLD_SIZE) < 2:
                continue
            is_new = False
            if topology_updated:
                before = worker.state.revision
                worker.sync(communicator, SharedStateSyncStrategy.ENFORCE_POPULAR)
                is_new = worker.state.revision > before + 1
            gradients = worker.inner_steps(is_enough())
            mean = None
            if reducing is not None:
                mean = reducing.result()
                worker.outer_step(mean)
            if topology_updated:
                strategies = SharedStateSyncStrategy
                worker.sync(communicator, strategies.RECEIVE_ONLY if is_new else strategies.SEND_ONLY)
            report(worker.steps[0])
            if mean is not None and mean[-1][0] > 0:
                return
            reducing = thread.submit(reduce, communicator, gradients)
