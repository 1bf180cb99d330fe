"""A model hub on this machine: a folder served over HTTP in the hub's own API, for the hub's real library."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

LARGE = 64
"""Bytes from which a file is one of the large store (LFS), which has a sha256 of the hub's own."""
FILE = re.compile(r"/(?P<repo>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<name>.+)")
API = re.compile(r"/api/models/(?P<repo>[^/]+/[^/]+)/revision/(?P<revision>[^/]+)")


@dataclass
class StandInHub:
    """``root/OWNER/NAME/COMMIT/…``; the newest of a repository's commits is its ``main``."""

    root: Path
    url: str = ""
    asked: list[str] = field(default_factory=list)
    """Method and path of every request."""
    main: dict[str, str] = field(default_factory=dict)

    def commit(self, repo: str, files: dict[str, bytes], sha: str = "") -> str:
        """Publish files as the repository's newest commit; its name."""
        listed = json.dumps(sorted((name, hashlib.sha256(data).hexdigest()) for name, data in files.items()))
        sha = sha or hashlib.sha1(listed.encode()).hexdigest()
        for name, data in files.items():
            target = self.root / repo / sha / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
        self.main[repo] = sha
        return sha

    def folder(self, repo: str, revision: str) -> tuple[str, Path]:
        sha = self.main.get(repo, "") if revision == "main" else revision
        return sha, self.root / repo / sha

    def info(self, repo: str, revision: str) -> bytes | None:
        sha, folder = self.folder(repo, revision)
        if not sha or not folder.is_dir():
            return None
        siblings = []
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            data = path.read_bytes()
            one = {"rfilename": path.relative_to(folder).as_posix(), "size": len(data), "blobId": etag(data)}
            if len(data) >= LARGE:
                one["lfs"] = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 128}
            siblings.append(one)
        return json.dumps({"id": repo, "modelId": repo, "sha": sha, "siblings": siblings, "tags": []}).encode()


def etag(data: bytes) -> str:
    if len(data) >= LARGE:
        return hashlib.sha256(data).hexdigest()
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


@contextmanager
def serve_hub(root: Path) -> Iterator[StandInHub]:
    """Serve it on a free port of this machine for as long as the block runs."""
    hub = StandInHub(root)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: object) -> None:
            pass

        def do_HEAD(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            hub.asked.append(f"{self.command} {self.path}")
            path = self.path.partition("?")[0]
            if match := API.fullmatch(path):
                said = hub.info(match["repo"], match["revision"])
                if said is None:
                    self.answer(404, b"{}", {"X-Error-Code": "RepoNotFound"})
                else:
                    self.answer(200, said, {"Content-Type": "application/json"})
                return
            match = FILE.fullmatch(path)
            sha, folder = hub.folder(match["repo"], match["revision"]) if match else ("", hub.root)
            if match is None or not (folder / match["name"]).is_file():
                self.answer(404, b"", {"X-Error-Code": "EntryNotFound"})
                return
            data = (folder / match["name"]).read_bytes()
            headers = {"X-Repo-Commit": sha, "ETag": f'"{etag(data)}"', "Accept-Ranges": "bytes"}
            begin = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
            if begin and int(begin[1]):
                headers["Content-Range"] = f"bytes {begin[1]}-{len(data) - 1}/{len(data)}"
                self.answer(206, data[int(begin[1]) :], headers)
            else:
                self.answer(200, data, headers)

        def answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
