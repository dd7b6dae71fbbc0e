"""Two nodes in network namespaces, and what a real tcpdump on one of them captures of their traffic.

The kernel makes VXLAN, a userspace WireGuard its messages; ESP, which not every kernel has, is made by scapy and sent
on the real wire.  All is captured once for a run of the tests, and nothing of it is kept.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import signal
import subprocess
import sys
import time
from functools import partial
from typing import TYPE_CHECKING

from kit import HERE, missing, program

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

HERE_IP, THERE_IP = "172.18.0.3", "172.18.0.4"
HERE_POD, THERE_POD = "10.244.1.5", "10.244.2.7"
LISTENER = """
import socket
receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
receiver.bind(("0.0.0.0", 8080))
while True:  # so that no kernel says that nobody listens
    receiver.recv(100)
"""
# Ends what runs in namespaces and takes them away once its input ends, which the death of the tests does too.
GUARD = """
cat > /dev/null
for name do ip netns pids "$name"; done | xargs -r kill
sleep 0.5
for name do ip netns pids "$name" | xargs -r kill -9; ip netns delete "$name"; done
"""
PLACES = ("any", "eth0", "cilium_vxlan")


def captures(folder: Path) -> Path:
    """Return a folder with captures; made by the first who asks, also of several processes."""
    ready = folder / "captures"
    with (folder / "captures.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not ready.exists():
            making = folder / f"making-{os.getpid()}"
            making.mkdir()
            with two_nodes() as nodes:
                nodes.make(making)
            making.rename(ready)
    return ready


@contextlib.contextmanager
def two_nodes() -> Iterator[Nodes]:
    """Two namespaces with a wire between them, each with a pod behind the kernel's VXLAN."""
    for needed in ("tcpdump", "ip", "wireguard-go", "wg"):
        program(needed)
    nodes = Nodes(f"kt-{os.getpid()}-a", f"kt-{os.getpid()}-b")
    done = subprocess.run(["ip", "netns", "add", nodes.here], capture_output=True, text=True, check=False)
    if done.returncode:
        missing(f"the right to make network namespaces ({done.stderr.strip()})")
    guard = ["sh", "-c", GUARD, "sh", nodes.here, nodes.there]
    with subprocess.Popen(guard, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True):
        try:
            ip("netns", "add", nodes.there)
            nodes.connect()
            yield nodes
        finally:
            nodes.end()


def ip(*words: str) -> None:
    done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, (words, done.stderr)


def _output(*argv: str, given: str = "") -> str:
    return subprocess.run(argv, input=given, capture_output=True, text=True, check=True).stdout


class Nodes:
    def __init__(self, here: str, there: str) -> None:
        self.here, self.there = here, there
        self._started: list[subprocess.Popen[bytes]] = []

    def connect(self) -> None:
        ip("link", "add", "eth0", "netns", self.here, "type", "veth", "peer", "name", "eth0", "netns", self.there)
        ends = ((self.here, HERE_IP, THERE_IP, HERE_POD), (self.there, THERE_IP, HERE_IP, THERE_POD))
        for number, (name, own, other, pod) in enumerate(ends, start=3):
            inside = ("-n", name)
            ip(*inside, "link", "set", "eth0", "address", f"02:00:00:00:00:0{number}", "up")
            ip(*inside, "link", "set", "lo", "up")
            ip(*inside, "address", "add", f"{own}/16", "dev", "eth0")
            vxlan = ("cilium_vxlan", "type", "vxlan", "id", "2", "remote", other, "dstport", "8472", "dev", "eth0")
            ip(*inside, "link", "add", *vxlan)
            ip(*inside, "address", "add", f"{pod}/16", "dev", "cilium_vxlan")
            ip(*inside, "link", "set", "cilium_vxlan", "up")

    def start(self, name: str, *words: str | Path) -> subprocess.Popen[bytes]:
        argv = ["ip", "netns", "exec", name, *words]
        started = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        self._started.append(started)
        return started

    def run(self, name: str, *words: str | Path) -> None:
        done = subprocess.run(["ip", "netns", "exec", name, *words], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr

    def say(self, name: str, *what: str) -> None:
        """Let a node send packets: see speaker.py."""
        self.run(name, sys.executable, HERE / "speaker.py", *what)

    @contextlib.contextmanager
    def captured(self, folder: Path, name: str, places: Sequence[str] = PLACES) -> Iterator[None]:
        """Capture what passes meanwhile as `<name>-<place>.pcap`."""
        started: list[subprocess.Popen[bytes]] = []
        for place in places:
            file = folder / f"{name}-{place}.pcap"
            link = ("-y", "LINUX_SLL2") if place == "any" else ()
            words = (program("tcpdump"), "-Z", "root", "--immediate-mode", "-U", "-n", "-i", place, *link, "-w", file)
            started.append(self.start(self.here, *words))
        for one in started:
            _wait_for(one, b"listening on")
        yield
        time.sleep(0.2)  # what was sent is on its way to tcpdump
        for one in started:
            one.send_signal(signal.SIGINT)
            assert one.wait(10) == 0

    def make(self, folder: Path) -> None:
        for name in (self.here, self.there):
            self.start(name, sys.executable, "-c", LISTENER)
        with self.captured(folder, "encrypted"):
            self.say(self.here, "esp")
            self.say(self.there, "esp", "vxlan")  # what B sends in clear, A has decrypted
        with self.captured(folder, "clear"):
            self.say(self.here, "esp", "vxlan", "plain", "geneve")
        with self.captured(folder, "esp-in-vxlan"):
            self.say(self.here, "esp-in-vxlan")
        with self._wireguard(), self.captured(folder, "wireguard", ("any", "eth0", "cilium_wg0")):
            self.say(self.here, "wireguard")

    @contextlib.contextmanager
    def _wireguard(self) -> Iterator[None]:
        """Two real WireGuards, which carry 10.245.0.0/16 here, since the pods' network is taken by VXLAN."""
        private = [_output("wg", "genkey") for _ in range(2)]
        public = [_output("wg", "pubkey", given=one).strip() for one in private]
        ends = ((self.here, "cilium_wg0", "10.245.1.5", THERE_IP), (self.there, "cilium_wg1", "10.245.2.7", HERE_IP))
        for number, (name, device, address, other) in enumerate(ends):
            self.start(name, "wireguard-go", "-f", device)  # its socket is below /var/run, which both share: two names
            _until(partial(_has, name, device))
            words = [
                "wg",
                "set",
                device,
                "listen-port",
                "51871",
                "private-key",
                "/dev/stdin",
                "peer",
                public[1 - number],
            ]
            words += ["endpoint", f"{other}:51871", "allowed-ips", "10.245.0.0/16"]
            _output("ip", "netns", "exec", name, *words, given=private[number])
            ip("-n", name, "address", "add", f"{address}/16", "dev", device)
            ip("-n", name, "link", "set", device, "up")
        yield

    def end(self) -> None:
        for one in self._started:
            with contextlib.suppress(ProcessLookupError):
                one.terminate()
            one.wait(10)
            assert one.stderr is not None
            one.stderr.close()


def _has(name: str, device: str) -> bool:
    shown = ["ip", "netns", "exec", name, "wg", "show", device]
    return subprocess.run(shown, capture_output=True, check=False).returncode == 0


def _until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.05)


def _wait_for(started: subprocess.Popen[bytes], words: bytes) -> None:
    """Read what a program says until it says that."""
    assert started.stderr is not None
    heard = b""
    while words not in heard:
        assert select.select([started.stderr], [], [], 20)[0], heard
        more = os.read(started.stderr.fileno(), 4096)
        assert more, heard
        heard += more
