"""Tells that the main thread is inside a call of pccl that blocks, from a thread of its own."""

import os
import sys
import threading
import time

import pccl


def tell_when_blocked() -> None:
    threading.Thread(target=_watch, daemon=True).start()


def _watch() -> None:
    """Sees the main thread at one instruction of the package twice: there it has given up the GIL, or this thread
    could not look."""
    main, package = threading.main_thread().ident, os.path.dirname(pccl.__file__)
    before = None
    while True:
        frame = sys._current_frames()[main]
        place = (frame.f_code, frame.f_lasti)
        if place == before and frame.f_code.co_filename.startswith(package):
            print("blocked")
            return
        before = place
        del frame
        time.sleep(0.02)
