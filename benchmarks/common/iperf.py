"""iperf3 in the traffic pattern of a ring: every emulated host sends to its successor at the same time."""

import json
import shutil
import subprocess
import time

from common.members import die_with_parent

PORT = 5201
START_LIMIT_S, SPARE_S = 10, 30


def installed():
    return shutil.which("iperf3") is not None


class IperfRing:
    """A server on each host of a Wan, for several measurements."""

    def __init__(self, wan, hosts, streams, congestion_control):
        self.wan, self.hosts, self.streams, self.congestion_control = wan, hosts, streams, congestion_control
        self.servers = [self._start(host, "-s", "-p", str(PORT)) for host in range(1, hosts + 1)]
        for host in range(1, hosts + 1):
            self._await_listening(host)

    def _start(self, host, *arguments):
        return subprocess.Popen(self.wan.on(host, ["iperf3", *arguments]), preexec_fn=die_with_parent,
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def _await_listening(self, host):
        deadline = time.monotonic() + START_LIMIT_S
        while str(PORT) not in subprocess.run(self.wan.on(host, ["ss", "-Hltn", f"sport = :{PORT}"]),
                                              capture_output=True, text=True).stdout:
            if time.monotonic() > deadline:
                raise RuntimeError(f"no iperf3 server on host {host}")
            time.sleep(0.05)

    def mbit_per_s(self, seconds, warmup_s):
        """Received payload, the mean over the hosts. The first seconds are left out."""
        clients = []
        try:
            for host in range(1, self.hosts + 1):
                successor = host % self.hosts + 1
                clients.append(self._start(
                    host, "-J", "-c", f"10.77.0.{successor}", "-p", str(PORT), "-P", str(self.streams),
                    "-t", str(seconds), "-O", str(warmup_s), "-C", self.congestion_control))
            texts = [client.communicate(timeout=seconds + warmup_s + SPARE_S)[0] for client in clients]
        finally:
            for client in clients:
                client.kill()
                client.wait()
        rates = []
        for text in texts:
            answer = json.loads(text or '{"error": "it has ended"}')
            if "error" in answer:
                raise RuntimeError(f"iperf3: {answer['error']}")
            rates.append(answer["end"]["sum_received"]["bits_per_second"] * 1e-6)
        return sum(rates) / len(rates)

    def close(self):
        for server in self.servers:
            server.kill()
            server.wait()
