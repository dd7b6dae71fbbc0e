"""What a cluster reads over HTTP on loopback: git repositories (smart HTTP, git's own backend) and Helm charts."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import subprocess
import tarfile
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import yaml
from kit import HERE

if TYPE_CHECKING:
    from collections.abc import Iterator

CHART: Final = HERE / "charts" / "cilium"  # the small one of the fast suite; what it lacks lies in chart/
MORE: Final = Path(__file__).parent / "chart"


@dataclass(frozen=True)
class Host:
    """Serves `folder`: bare repositories in git/, charts in charts/."""

    folder: Path
    address: str

    @property
    def charts(self) -> str:
        return f"{self.address}/charts"

    def repository(self, name: str) -> str:
        """Make an empty bare repository that takes pushes, and return its URL."""
        bare = self.folder / "git" / name
        subprocess.run(["git", "init", "-q", "--bare", "-b", "main", bare], check=True)
        subprocess.run(["git", "-C", bare, "config", "http.receivepack", "true"], check=True)
        return self.url(name)

    def url(self, name: str) -> str:
        return f"{self.address}/git/{name}"

    def publish(self, *versions: str) -> None:
        """Put the chart into the repository, in versions that differ in nothing else, as `helm repo index` does."""
        charts = self.folder / "charts"
        charts.mkdir(parents=True)
        entries = []
        for version in versions:
            packed = chart(version)
            name = f"cilium-{version}.tgz"
            (charts / name).write_bytes(packed)
            digest = hashlib.sha256(packed).hexdigest()
            entries.append({"apiVersion": "v2", "name": "cilium", "version": version, "urls": [name], "digest": digest})
        index = {"apiVersion": "v1", "entries": {"cilium": entries}}
        (charts / "index.yaml").write_text(yaml.safe_dump(index), "utf-8")


def chart(version: str) -> bytes:
    """Return the chart as .tgz."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for root in (CHART, MORE):
            for file in sorted(one for one in root.rglob("*") if one.is_file()):
                content = file.read_bytes()
                if file.name == "Chart.yaml":
                    content = yaml.safe_dump({**yaml.safe_load(content), "version": version}).encode()
                entry = tarfile.TarInfo(f"cilium/{file.relative_to(root).as_posix()}")
                entry.size = len(content)
                archive.addfile(entry, io.BytesIO(content))
    return packed.getvalue()


class Handler(BaseHTTPRequestHandler):
    """Files of charts/ as they are; everything below git/ by `git http-backend`, which is a CGI program."""

    protocol_version = "HTTP/1.1"
    folder: Path

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the library's name
        """Say nothing."""

    def do_GET(self) -> None:
        split = urlsplit(self.path)
        if split.path.startswith("/git/"):
            self._git(split.path.removeprefix("/git"), split.query)
            return
        name = split.path.removeprefix("/charts/")
        file = self.folder / "charts" / name
        known = "/" not in name and file.is_file()
        self._answer(200 if known else 404, {}, file.read_bytes() if known else b"not found\n")

    def do_POST(self) -> None:
        split = urlsplit(self.path)
        self._git(split.path.removeprefix("/git"), split.query)

    def _git(self, path: str, query: str) -> None:
        env = {
            "PATH": os.environ["PATH"],
            "GIT_PROJECT_ROOT": str(self.folder / "git"),
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "REQUEST_METHOD": self.command,
            "PATH_INFO": path,
            "QUERY_STRING": query,
        }
        argv = ["git", "http-backend"]
        done = subprocess.run(argv, input=self._body(), env=env, capture_output=True, timeout=60, check=False)
        head, _, body = done.stdout.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().splitlines())
        status = headers.pop("Status", "200 OK" if head else "500 no answer")
        self._answer(int(status.split()[0]), headers, body)

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", "0")))
        chunks = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(chunks)

    def _answer(self, code: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextlib.contextmanager
def hosting(folder: Path) -> Iterator[Host]:
    """Serve for as long as the context lasts."""
    (folder / "git").mkdir(parents=True)
    handler = type("Bound", (Handler,), {"folder": folder})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield Host(folder, f"http://127.0.0.1:{server.server_port}")
        finally:
            server.shutdown()
            thread.join()
