"""A program for two ranks that says what TCP on this machine can give: ../shared/ceiling, where there is one.

It stands by itself and is run once per turn:  PROGRAM BYTES LANES SEGMENT_BYTES ITERATIONS
It prints "... median 12.345 ms, ..., wrong 0".
"""

import re
import shutil
import signal
import subprocess
import sys

from common.members import Turn, die_with_parent
from comparison.place import LeftOut

SEGMENT_BYTES = 256 << 10
RUN_LIMIT_S = 120


class Ceiling:
    variants = ["lanes-1", "lanes-2", "lanes-4"]

    def __init__(self, name, path, scratch):
        self.name = name
        if not path.exists():
            raise LeftOut(f"no {path} (--ceiling)")
        self.program = str(path.resolve())
        if path.suffix in (".cpp", ".cc"):
            self.program = f"{scratch}/ceiling"
            compiler = shutil.which("c++")
            if not compiler:
                raise LeftOut("no compiler (c++)")
            done = subprocess.run([compiler, "-O3", "-march=native", "-o", self.program, str(path)],
                                  capture_output=True, text=True)
            if done.returncode != 0:
                raise LeftOut(f"{path} does not compile: {(done.stderr.splitlines() or ['?'])[0]}")

    def measure(self, size, _warmup, iterations, variant, _in_place=False, _check=False):
        lanes = variant.rpartition("-")[2]
        # The program forks, and its child holds both ends of the connections: it would wait for ever. `timeout` ends
        # the whole process group, at its limit and when it is told to.
        process = subprocess.Popen(
            ["timeout", "-k", "1", str(RUN_LIMIT_S), self.program, str(size), lanes, str(SEGMENT_BYTES), str(iterations)],
            preexec_fn=lambda: die_with_parent(signal.SIGTERM), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        try:
            text, _ = process.communicate()
        except BaseException:
            process.terminate()
            process.wait()
            raise
        found = re.search(r"median ([0-9.]+) ms.* wrong ([0-9]+)", text)
        if not found:
            sys.exit(f"{self.name} ({variant}, {size} bytes): status {process.returncode}, and it said: {text.strip()!r}")
        return Turn([float(found[1]) * 1e3], None, int(found[2]))

    def close(self):
        pass
