#!/usr/bin/env python3
"""pccl-master and ccoip_master as processes: what they print, how they end.

    daemons_test.py path/to/pccl-master path/to/ccoip_master
"""
import os
import signal
import socket
import subprocess
import sys
import tempfile
import unittest

PCCL_MASTER, CCOIP_MASTER = sys.argv[1:3]


def free_port(family=socket.AF_INET, host="127.0.0.1"):
    with socket.socket(family) as probe:
        probe.bind((host, 0))
        return probe.getsockname()[1]


def start(*command):
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(process, sent_signal=None):
    if sent_signal is not None:
        process.send_signal(sent_signal)
    out, err = process.communicate(timeout=30)
    return process.returncode, out, err


class PcclMaster(unittest.TestCase):
    def run_until(self, sent_signal, listen, expected, *options):
        process = start(PCCL_MASTER, "--listen-address", listen, *options)
        self.assertEqual(process.stdout.readline(), f"pccl-master listening on {expected}\n")
        self.assertEqual(finish(process, sent_signal), (0, "pccl-master stopped\n", ""))

    def test_says_what_it_listens_on_and_ends_cleanly(self):
        for sent_signal in signal.SIGTERM, signal.SIGINT:
            port = free_port()
            self.run_until(sent_signal, f"127.0.0.1:{port}", f"127.0.0.1:{port}",
                           "--peer-timeout", "1.5", "--log-level", "WARN")

    def test_resolves_names(self):
        try:
            socket.getaddrinfo("localhost", None, socket.AF_INET)
        except socket.gaierror:
            self.skipTest("localhost has no IPv4 address here")  # a bare chroot has no /etc/hosts
        port = free_port()
        self.run_until(signal.SIGTERM, f"localhost:{port}", f"127.0.0.1:{port}")

    def test_listens_on_ipv6(self):
        try:
            port = free_port(socket.AF_INET6, "::1")
        except OSError:
            self.skipTest("no IPv6 here")
        self.run_until(signal.SIGTERM, f"[::1]:{port}", f"[::1]:{port}")

    def test_really_listens(self):
        port = free_port()
        process = start(PCCL_MASTER, "--listen-address", f"127.0.0.1:{port}")
        process.stdout.readline()
        socket.create_connection(("127.0.0.1", port), timeout=10).close()
        self.assertEqual(finish(process, signal.SIGTERM)[0], 0)

    def test_a_busy_port_is_an_error_with_a_message(self):
        with socket.socket() as busy:
            busy.bind(("127.0.0.1", 0))
            busy.listen()
            address = f"127.0.0.1:{busy.getsockname()[1]}"
            code, out, err = finish(start(PCCL_MASTER, "--listen-address", address))
        self.assertEqual((code, out), (1, ""))
        self.assertIn(f"pccl-master: cannot serve on {address}: ", err)

    def test_a_state_file_of_no_use_is_an_error_with_a_message(self):
        with tempfile.TemporaryDirectory() as folder:
            pipe, garbage = os.path.join(folder, "pipe"), os.path.join(folder, "garbage")
            os.mkfifo(pipe)
            with open(garbage, "w", encoding="ascii") as file:
                file.write("pccl-master 1\nterm ")
            for path in pipe, garbage, folder:
                address = f"127.0.0.1:{free_port()}"
                code, out, err = finish(start(PCCL_MASTER, "--listen", address, "--state-file", path))
                self.assertEqual((code, out), (1, ""), path)
                self.assertIn(path, err)
                self.assertIn(f"pccl-master: cannot serve on {address}: ", err)

    def test_bad_arguments_are_refused(self):
        for address in "nonsense:port", "127.0.0.1:0", "127.0.0.1:65536", "127.0.0.1:", "::1", "[::1", "[::1]x":
            code, out, err = finish(start(PCCL_MASTER, "--listen-address", address))
            self.assertEqual((code, out), (1, ""), address)
            self.assertTrue(err.startswith("pccl-master: "), err)
        self.assertNotEqual(finish(start(PCCL_MASTER, "--peer-timeout", "0"))[0], 0)
        self.assertNotEqual(finish(start(PCCL_MASTER, "--log-level", "LOUD"))[0], 0)

    def test_version(self):
        code, out, _ = finish(start(PCCL_MASTER, "--version"))
        self.assertEqual((code, out.startswith("pccl-master ")), (0, True))


class CcoipMaster(unittest.TestCase):
    def test_runs_on_the_default_port_until_a_signal(self):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("0.0.0.0", 48148))
            except OSError:
                self.skipTest("port 48148 is in use here")
        process = start(CCOIP_MASTER)
        while process.poll() is None:
            try:
                # From another address: from this one it may reach itself before anybody listens.
                socket.create_connection(("127.0.0.1", 48148), timeout=10, source_address=("127.0.0.2", 0)).close()
                break
            except ConnectionRefusedError:
                pass
        self.assertEqual(finish(process, signal.SIGTERM),
                         (0, "Interrupting master node...\nMaster node terminated.\n", ""))


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
