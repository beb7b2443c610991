"""A peer that makes calls on demand, for a run whose master goes away.

    lost_master.py ADDRESS

Prints "joined". Each line of stdin is the name of a call; prints "result NAME" of its Result, or "result SUCCESS".
"""

import array
import sys

sys.path.insert(0, str(__import__("pathlib").Path(__file__).parent.parent))

from model import Model
from pccl import Attribute, Communicator, PCCLError, ReduceOp
from pccl._pccl import Result

model = Model()
tensor = array.array("d", [1.0, 2.0])
CALLS = {
    "update_topology": lambda c: c.update_topology(),
    "are_peers_pending": lambda c: c.are_peers_pending(),
    "optimize_topology": lambda c: c.optimize_topology(),
    "sync_shared_state": lambda c: c.sync_shared_state(model.state),
    "all_reduce": lambda c: c.all_reduce(tensor, tensor, op=ReduceOp.SUM),
    "all_reduce_async": lambda c: c.all_reduce_async(tensor, tensor, op=ReduceOp.SUM).wait()[1],
    "get_attribute": lambda c: c.get_attribute(Attribute.GLOBAL_WORLD_SIZE) and None,
}

communicator = Communicator(sys.argv[1])
communicator.connect(n_attempts=1)
print("joined")
for line in sys.stdin:
    try:
        status = CALLS[line.strip()](communicator)
        print("result", Result(status).name if isinstance(status, int) else "SUCCESS", tensor.tolist())
    except PCCLError as error:
        print("result", error.result.name, tensor.tolist())
        print("reason", error.reason)
