"""However a process ends, it ends: with communicators open, ops in flight, threads inside, and as a fork of a peer."""

import pytest

from child import PROGRAMS, Child
from peers import together
from ports import free_address

PAIR = """
import array, gc, os, sys, threading, time, pccl
from pccl import *
master = MasterNode("{address}")
master.run()
peers = [Communicator("{address}") for _ in range(2)]
def join(communicator):
    communicator.connect(n_attempts=1)
    while communicator.get_attribute(Attribute.GLOBAL_WORLD_SIZE) < 2:
        communicator.update_topology()
threads = [threading.Thread(target=join, args=(peer,)) for peer in peers]
for thread in threads: thread.start()
for thread in threads: thread.join()
tensors = [array.array("d", [1.0]) * 1_000_000 for _ in peers]
def launch(rank):
    return peers[rank].all_reduce_async(tensors[rank], tensors[rank], op=ReduceOp.SUM)
"""
BLOCKED = f"""
sys.path.insert(0, {str(PROGRAMS)!r})
from blocked import wait_until_blocked
arguments = dict(args=(tensors[0], tensors[0]), kwargs=dict(op=ReduceOp.SUM))
blocked = threading.Thread(target=peers[0].all_reduce, daemon=True, **arguments)
blocked.start()
wait_until_blocked(blocked)
"""
ENDINGS = {
    "communicators open": "",
    "a handle that was not awaited": "handle = launch(0)",
    "handles while data moves": "handles = [launch(0), launch(1)]",
    "an exit code": "code = 3",
    "an exception": "code = 1; sys.excepthook = lambda *_: None; master.interrupt(); raise RuntimeError",
    "cycles of references": "peers[0].self = peers[0]; master.self = master",
    "objects kept by modules": "sys.kept = peers[0]; pccl.kept = peers[1]; sys.master = master",
    "a daemon thread in a call": BLOCKED,
    "a daemon thread whose call ends after the interpreter": BLOCKED
    + """
class Last:
    def __init__(self, peer): self.peer = peer
    def __del__(self): self.peer.close()  # the thread comes back to a Python that is gone
last = Last(peers[0])
""",
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_ends(ending):
    script = PAIR.format(address=free_address()) + "code = 0\n" + ENDINGS[ending]
    script += "\nmaster.interrupt()\nprint('ending')\nsys.exit(code)\n"
    with Child("-c", script) as child:
        if ending != "an exception":
            child.expect("ending")
        assert child.end() == {"an exit code": 3, "an exception": 1}.get(ending, 0), child.errors()
        assert child.errors() == ""


def test_peers_that_end_without_a_word_are_gone_for_the_others(run):
    script = f"""
import os, pccl
communicator = pccl.Communicator("{run.address}")
communicator.connect(n_attempts=1)
print("joined")
os._exit(7)
"""
    run.join(0, 0)
    with Child("-c", script) as child:
        together(run.peers, lambda c, _: [None for _ in iter(c.are_peers_pending, True)])
        together(run.peers, lambda c, _: c.update_topology())
        child.expect("joined")
        assert child.end() == 7
        together(run.peers, lambda c, _: c.update_topology())
    run.update_until(2)


# A fork of a peer may use nothing of the library (pccl.h), and must not have to: data loaders fork.
FORKS = {
    "exits": "sys.exit(0)",
    "drops what it has inherited": "del peers[:]; gc.collect(); os._exit(0)",
    "closes what it has inherited": "[peer.close() for peer in peers]; os._exit(0)",
    "drops a master": "del master; gc.collect(); os._exit(0)",
}


@pytest.mark.parametrize("what", FORKS)
def test_a_fork(what):
    script = PAIR.format(address=free_address()) + f"""
fork = os.fork()
if fork == 0:
    {FORKS[what]}
status = os.waitpid(fork, 0)[1]
handles = [launch(0), launch(1)]  # the parent's are not disturbed
print("fork", status, [handle.wait()[0] for handle in handles], tensors[0][-1])
master.interrupt()
"""
    with Child("-W", "ignore::DeprecationWarning", "-c", script) as child:
        assert child.expect("fork") == "0 [True, True] 2.0"
        assert child.end() == 0, child.errors()


def test_a_communicator_made_in_a_fork(run):
    script = f"""
import os, sys, pccl
fork = os.fork()
if fork == 0:
    with pccl.Communicator("{run.address}") as communicator:
        communicator.connect(n_attempts=1)
        print("world", communicator.get_attribute(pccl.Attribute.GLOBAL_WORLD_SIZE))
    sys.exit(0)
print("fork", os.waitpid(fork, 0)[1])
"""
    with Child("-W", "ignore::DeprecationWarning", "-c", script) as child:
        assert child.expect("world") == "1"
        assert child.expect("fork") == "0"
        assert child.end() == 0
