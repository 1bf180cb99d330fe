"""Multipart bodies straight to disk: files of any size in constant memory, and no more bytes than allowed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.concurrency import run_in_threadpool

from services.api.http.problems import Refused
from shared.core.storage_errors import storage_errors

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

WRITE_AT = 2**20
MAX_PARTS = 200
MAX_FIELD_BYTES = 2 * 2**20
"""Of all parts that are not files."""


@dataclass
class SentFile:
    """A file part, stored at ``path``."""

    field: str
    name: str
    path: Path
    size: int = 0


@dataclass
class Form:
    fields: list[tuple[str, str]] = field(default_factory=list)
    files: list[SentFile] = field(default_factory=list)


class _BodyReader:
    """Callbacks of the parser: collects fields in memory and says which bytes belong into which file."""

    def __init__(self, folder: Path, check_size: Callable[[int], None]) -> None:
        self.form = Form()
        self.pending: list[tuple[SentFile, bytes]] = []
        self.pending_bytes = 0
        self._folder = folder
        self._check_size = check_size
        self._field_bytes = 0
        self._parts = 0
        self._headers: dict[bytes, bytes] = {}
        self._header = [b"", b""]
        self._name = ""
        self._file: SentFile | None = None
        self._value = bytearray()

    def on_part_begin(self) -> None:
        self._parts += 1
        if self._parts > MAX_PARTS:
            raise Refused(422, "bad_request", f"The form has more than {MAX_PARTS} parts.")
        self._headers, self._file, self._value = {}, None, bytearray()

    def on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._header[0] += data[start:end]

    def on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._header[1] += data[start:end]

    def on_header_end(self) -> None:
        self._headers[self._header[0].lower()] = self._header[1]
        self._header = [b"", b""]

    def on_headers_finished(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition"))
        self._name = options.get(b"name", b"").decode("utf-8", "replace")
        if b"filename" in options:
            # The name is only a label: the file lies under a number.
            name = options[b"filename"].decode("utf-8", "replace").replace("\\", "/").rpartition("/")[2]
            path = self._folder / f"{len(self.form.files):04}"
            self._file = SentFile(self._name, name.replace("\x00", ""), path)
            self.form.files.append(self._file)
            path.touch()

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        if self._file is None:
            self._field_bytes += end - start
            if self._field_bytes > MAX_FIELD_BYTES:
                raise Refused(413, "too_large", f"The form's fields are larger than {MAX_FIELD_BYTES} bytes.")
            self._value += data[start:end]
            return
        self._file.size += end - start
        self._check_size(sum(file.size for file in self.form.files))
        self.pending.append((self._file, data[start:end]))
        self.pending_bytes += end - start

    def on_part_end(self) -> None:
        if self._file is None:
            try:
                self.form.fields.append((self._name, self._value.decode()))
            except UnicodeDecodeError as error:
                raise Refused(422, "bad_request", f"The field “{self._name}” is not valid UTF-8.") from error

    def write(self) -> None:
        """Put what came onto the disk."""
        open_file: BinaryIO | None = None
        last: SentFile | None = None
        with storage_errors("the upload"):
            try:
                for file, data in self.pending:
                    if file is not last:
                        if open_file:
                            open_file.close()
                        open_file, last = file.path.open("ab"), file
                    if open_file:
                        open_file.write(data)
            finally:
                if open_file:
                    open_file.close()
        self.pending, self.pending_bytes = [], 0


async def read_form(
    content_type: str, stream: AsyncIterator[bytes], folder: Path, check_size: Callable[[int], None]
) -> Form:
    """Read a body of type multipart/form-data.

    Args:
        folder: Where the files go.
        check_size: Called with the bytes of all files so far; raises when they are too many.

    Raises:
        Refused: ``bad_request``, ``too_large``, and what the stream raises.
        StorageError: ``disk_full`` and others.
    """
    _, options = parse_options_header(content_type)
    boundary = options.get(b"boundary", b"")
    if not 0 < len(boundary) <= 70:
        raise Refused(422, "bad_request", "The Content-Type names no boundary.")
    reader = _BodyReader(folder, check_size)
    finished = False

    def on_end() -> None:
        nonlocal finished
        finished = True

    callbacks: MultipartCallbacks = {
        "on_part_begin": reader.on_part_begin,
        "on_part_data": reader.on_part_data,
        "on_part_end": reader.on_part_end,
        "on_header_field": reader.on_header_field,
        "on_header_value": reader.on_header_value,
        "on_header_end": reader.on_header_end,
        "on_headers_finished": reader.on_headers_finished,
        "on_end": on_end,
    }
    try:
        parser = MultipartParser(boundary, callbacks)
        async for chunk in stream:
            parser.write(chunk)
            if reader.pending_bytes >= WRITE_AT:
                await run_in_threadpool(reader.write)
        parser.finalize()
        await run_in_threadpool(reader.write)
    except FormParserError as error:
        raise Refused(422, "bad_request", "The body is not a valid multipart form.") from error
    if not finished:
        raise Refused(422, "bad_request", "The form breaks off before its end.")
    return reader.form
