#!/usr/bin/env python3
"""rooms.py against small trees with a planted fault each."""
import pathlib
import subprocess
import sys
import tempfile
import unittest

import rooms


class Rooms(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.root = pathlib.Path(scratch.name)
        self.write("src/base/status.hpp", "#include <string>\n")
        self.write("src/wire/codec.hpp", '#pragma once\n#include "base/status.hpp"\n')
        self.write("src/wire/CMakeLists.txt", "pccl_room(wire SOURCES codec.cpp USES base)\n")
        self.write("src/net/CMakeLists.txt", "pccl_room(net SOURCES dial.cpp USES base wire LINKS Threads::Threads)\n")
        self.write("src/net/dial.cpp", '#include "net/dial.hpp"\n#include "wire/codec.hpp"\n#include <asio.hpp>\n')

    def write(self, name, text):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def only_fault(self):
        faults = rooms.check(self.root)
        self.assertEqual(len(faults), 1, faults)
        file, line, reason = faults[0]
        return f"{file}:{line}", reason

    def test_a_good_tree_has_no_fault(self):
        self.assertEqual(rooms.check(self.root), [])

    def test_up(self):
        self.write("src/wire/framing.cpp", '#include "wire/codec.hpp"\n#include "net/dial.hpp"\n')
        self.assertEqual(self.only_fault(), ("src/wire/framing.cpp:2", "wire -> net points up"))

    def test_sideways(self):
        self.write("src/plan/ring.hpp", "")
        self.write("src/wire/framing.cpp", '#include "plan/ring.hpp"\n')
        self.assertEqual(self.only_fault(), ("src/wire/framing.cpp:1", "wire -> plan points sideways"))

    def test_missing_in_the_link_line(self):
        self.write("src/plan/ring.hpp", "")
        self.write("src/net/lane.cpp", '#  include "plan/ring.hpp"\n')
        where, why = self.only_fault()
        self.assertEqual(where, "src/net/lane.cpp:1")
        self.assertIn("link line", why)

    def test_sockets_asio_and_clocks_in_a_replayable_room(self):
        for fault in "#include <asio.hpp>", "#include <asio/ip/tcp.hpp>", "#include <sys/socket.h>", \
                     "#include <netinet/in.h>", "auto now = std::chrono::steady_clock::now();":
            self.write("src/membership/machine.cpp", f"// steady_clock::now() in a comment is fine\n{fault}\n")
            self.assertEqual(self.only_fault()[0], "src/membership/machine.cpp:2", fault)

    def test_asio_outside_its_rooms(self):
        self.write("src/api/communicator.cpp", "#include <asio.hpp>\n")
        self.assertEqual(self.only_fault(), ("src/api/communicator.cpp:1", "api may not know Asio: <asio.hpp>"))

    def test_an_unknown_room(self):
        self.write("src/attic/old.cpp", '#include "base/status.hpp"\n')
        self.assertIn("attic is on no shelf", self.only_fault()[1])

    def test_the_picture_is_checked_and_redrawn(self):
        script = [sys.executable, rooms.__file__, str(self.root)]
        self.write("docs/architecture.md", "# Architecture\n\nBefore.\n")
        self.assertEqual(subprocess.run(script, stdout=subprocess.DEVNULL).returncode, 1)
        self.assertEqual(subprocess.run([*script, "--update"], stdout=subprocess.DEVNULL).returncode, 0)
        self.assertEqual(subprocess.run(script, stdout=subprocess.DEVNULL).returncode, 0)
        page = (self.root / "docs/architecture.md").read_text()
        self.assertTrue(page.startswith("# Architecture\n\nBefore.\n"))
        self.assertIn("  net --> wire\n", page)
        self.assertNotIn("--> base", page)

        # What stands around the picture stays.
        self.write("docs/architecture.md", page + "\nAfter.\n")
        self.write("src/net/dial.cpp", "")
        self.assertEqual(subprocess.run([*script, "--update"], stdout=subprocess.DEVNULL).returncode, 0)
        page = (self.root / "docs/architecture.md").read_text()
        self.assertTrue(page.endswith("\nAfter.\n"))
        self.assertNotIn("net --> wire", page)


if __name__ == "__main__":
    unittest.main()
