"""Where the libraries run."""

import dataclasses
import os
import pathlib

from common.members import Members


class LeftOut(Exception):
    """Why a library cannot take part."""


@dataclasses.dataclass(frozen=True)
class Place:
    binaries: pathlib.Path
    scratch: str
    ceiling: pathlib.Path
    world: int

    def program(self, name, needs=None):
        path = self.binaries / name
        if not path.exists():
            raise LeftOut(f"{path} is not built" + (f" ({needs})" if needs else ""))
        return str(path)

    def members(self, name, commands, count=None):
        return Members(name, f"@pccl-compare-{os.getpid()}-{name}-{self.world}", commands, count or self.world,
                       {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"})
