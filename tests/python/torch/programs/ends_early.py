"""A peer whose program ends while an average is in flight: ADDRESS, and the statement that ends it."""

import sys
from types import SimpleNamespace

import bodies

me = SimpleNamespace()
bodies.join(me, sys.argv[1], min_peers=2, overlap=True)
averaging = next(thread for thread in bodies.threading.enumerate() if thread.name == "pccl-averaging")
bodies.wait_until_inside(averaging.ident, "all_reduce")
exec(sys.argv[2])
