#!/usr/bin/env python3
"""DiLoCo that hides the exchange: what a round has found travels while the next one is under way.

The same program as diloco_gpt.py with ``--overlap``, and the same flags.

    python examples/python/async_diloco_gpt.py
"""

from diloco_gpt import main

if __name__ == "__main__":
    main(__file__, overlap=True)
