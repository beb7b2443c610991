"""What an all-reduce says of tensors that it does not take."""

import pytest

from pccl import Communicator, ReduceOp


def refuses(send, recv, text, style=ValueError):
    """Before it reaches a peer."""
    communicator = Communicator("127.0.0.1:1")
    for call in (communicator.all_reduce, communicator.all_reduce_async):
        with pytest.raises(style, match=text):
            call(send, recv, op=ReduceOp.SUM)
