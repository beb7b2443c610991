"""Averaging a change over all peers: at once, or on a thread of its own."""

from __future__ import annotations

import threading
from typing import Optional

import torch

from pccl._communicator import ErrorFeedback
from pccl._descriptors import QuantizationOptions
from pccl._enums import ReduceOp
from pccl.torch._outer_model import Change
from pccl.torch._seat import Seat, Traffic
from pccl.torch._side_streams import SideStreams

# Names of the all-reduces, the same on all peers.
WEIGHT_TAG, FIRST_TENSOR_TAG = 1, 2


class Averaging:
    """The average of a change over the peers of the group, among those who remain when one is lost."""

    def __init__(self, seat: Seat, like: Change, quantization: Optional[QuantizationOptions], feedback: bool) -> None:
        self._seat = seat
        self._quantization = quantization
        self._feedbacks = [ErrorFeedback(flat.numel()) if feedback else None for flat in like.parameters.long]

    def of_all(self, change: Change) -> Traffic:
        """Every peer counts alike."""
        total = Traffic()
        for tag, (flat, *how) in enumerate(self._tensors(change), FIRST_TENSOR_TAG):
            total.add(self._seat.reduce_with_retry(flat, ReduceOp.AVG, tag, *how))
        return total

    def of_those_with_weight(self, change: Change) -> Traffic:
        """Peers of weight 0 take part and do not count. When there is nobody else, nothing is reduced, and the change is
        nothing with the weight 0."""
        total = Traffic()
        for tag, (flat, *how) in enumerate(self._tensors(change), FIRST_TENSOR_TAG):
            # The weights and the tensor are of the same members: a loss between the two makes the second one fail.
            reduced: Optional[Traffic] = None
            while reduced is None:
                weight = torch.tensor([change.weight])
                total.add(self._seat.reduce_with_retry(weight, ReduceOp.SUM, WEIGHT_TAG))
                if weight.item() == 0:
                    change.forget()
                    return total
                if change.weight == 0:  # nothing of earlier rounds, either
                    how[-1] = None
                reduced = self._seat.reduce(flat, ReduceOp.SUM, tag, *how)
                total.retries += reduced is None
            total.add(reduced)
            flat.div_(weight.to(flat))  # by a tensor: CUDA divides by a number in another way than CPUs
        change.weight = 1.0
        return total

    def _tensors(self, change: Change) -> list[tuple]:
        quantized = [(flat, self._quantization, f) for flat, f in zip(change.parameters.long, self._feedbacks)]
        return quantized + [(flat, None, None) for flat in change.buffers.long]


class InBackground:
    """One averaging beside the inner steps, and the question whether newcomers wait. The thread that waits gets what it has
    raised.

    On GPUs it comes after what the thread that starts it has put into its current stream, and before what the thread that
    waits for it puts into its own then.
    """

    def __init__(self, seat: Seat, averaging: Averaging, change: Change, streams: SideStreams) -> None:
        self._seat = seat
        self._streams = streams
        self._averaging = averaging
        self._change = change
        self._outcome: Optional[tuple[Traffic, bool]] = None
        self._error: Optional[BaseException] = None
        # A peer that ends leaves the run; what is in flight need not keep its process.
        self._thread = threading.Thread(target=self._run, name="pccl-averaging", daemon=True)

    def start(self) -> None:
        self._streams.follow()
        self._thread.start()

    def _run(self) -> None:
        try:
            with torch.no_grad(), self._streams.entered():
                traffic = self._averaging.of_those_with_weight(self._change)
            self._outcome = traffic, self._seat.peers_pending()
        except BaseException as error:  # handed over
            self._error = error

    def wait(self) -> tuple[Traffic, bool]:
        self._thread.join()
        self._streams.lead()
        if self._error is not None:
            raise self._error
        return self._outcome

    def abandon(self) -> None:
        """Leaves the run, so that what is in flight ends; nobody waits for its outcome any more."""
        self._seat.communicator.close()
        if self._thread.ident is not None:
            self._thread.join()
        self._streams.lead()
