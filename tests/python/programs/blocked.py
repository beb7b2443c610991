"""Tells that a thread is inside a call of pccl that blocks, from a thread of its own."""

import os
import sys
import threading
import time

import pccl


def tell_when_blocked(thread: threading.Thread = threading.main_thread()) -> None:
    """Prints "blocked"."""
    threading.Thread(target=_watch, args=(thread,), daemon=True).start()


def _watch(thread: threading.Thread) -> None:
    wait_until_blocked(thread)
    sys.stdout.write("blocked\n")  # at once, unlike print: another thread may write, too


def wait_until_blocked(thread: threading.Thread) -> None:
    """Sees the other thread at one instruction of the package twice: there it has given up the GIL, or this thread
    could not look."""
    package, before = os.path.dirname(pccl.__file__), None
    while True:
        frame = sys._current_frames()[thread.ident]
        place = (frame.f_code, frame.f_lasti)
        if place == before and frame.f_code.co_filename.startswith(package):
            return
        before = place
        del frame
        time.sleep(0.02)
