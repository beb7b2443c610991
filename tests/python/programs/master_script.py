"""A script that is a master.

    master_script.py ADDRESS MODE

MODE await: waits for its end. MODE exit: ends, and lives on in the destructor. MODE raise: ends with an exception.
Prints "running"; with await also "blocked" once it waits, then "terminated", or "interrupted" after Ctrl-C.
"""

import signal
import sys

from blocked import tell_when_blocked
from pccl import MasterNode

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job inherits "ignored"
address, mode = sys.argv[1:]
master = MasterNode(listen_address=address)
master.run()
if mode == "await":
    signal.signal(signal.SIGTERM, lambda *_: master.interrupt())
print("running")
if mode == "await":
    tell_when_blocked()
    try:
        master.await_termination()
        print("terminated")
    except KeyboardInterrupt:
        print("interrupted")
        raise
if mode == "raise":
    raise RuntimeError("the script's own")
