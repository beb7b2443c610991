"""A worker of diloco.py as a process: diloco_peer.py ADDRESS. Prints "step N", and "state DIGEST" at the end."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent))

from diloco import Worker, train
from pccl import Communicator

worker = Worker(own=9.0)
train(Communicator(sys.argv[1]), worker, lambda: False, lambda step: print("step", step))
print("received", worker.received)
print("state", worker.digest())
