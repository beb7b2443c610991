"""Streams of GPUs beside those of the application."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator

import torch


class SideStreams:
    """For work on tensors that another thread does, one stream per GPU that they are on; none for those in host memory.

    In the application's own streams it would wait for the inner steps, which are put there meanwhile, and so would each
    all-reduce after it. A thread has no stream of its own accord: torch gives each new one the default stream.
    """

    def __init__(self, tensors: Iterable[torch.Tensor]) -> None:
        gpus = {tensor.device for tensor in tensors if tensor.device.type == "cuda"}
        self._streams = [torch.cuda.Stream(device=gpu) for gpu in sorted(gpus, key=str)]

    def follow(self) -> None:
        """What comes into these streams begins after the work in those of this thread."""
        for stream in self._streams:
            stream.wait_stream(torch.cuda.current_stream(stream.device))

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """This thread uses them."""
        with contextlib.ExitStack() as stack:
            for stream in self._streams:
                # A new thread is on GPU 0, where torch would set a stream back at the end: a context there takes memory.
                stack.enter_context(torch.cuda.device(stream.device))
                stack.enter_context(torch.cuda.stream(stream))
            yield

    def lead(self) -> None:
        """What comes into the streams of this thread begins after the work in these."""
        for stream in self._streams:
            torch.cuda.current_stream(stream.device).wait_stream(stream)
