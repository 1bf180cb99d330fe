"""A weight file that lies compressed in a zip archive whose slices come in several packages."""

import io
import zipfile
import zlib

import pytest

from shared.weights.folder import WrongContent
from shared.weights.registry import Deflated, parse
from shared.weights.sources import inflate
from tests.unit.shared.weights import carriers

CONTENT = bytes(range(256)) * 40


def archive() -> tuple[bytes, Deflated]:
    """A zip with one file, and where its compressed bytes are."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("folder/model.bin", CONTENT)
        length = made.infolist()[0].compress_size
    return out.getvalue(), Deflated(30 + len("folder/model.bin"), length)


@pytest.mark.parametrize("size", [1, 7, 100, 10_000])
def test_it_is_found_whatever_the_slices(size: int) -> None:
    whole, where = archive()
    slices = [whole[start : start + size] for start in range(0, len(whole), size)]
    assert b"".join(inflate(slices, where)) == CONTENT


def test_other_bytes_are_not_taken_for_it() -> None:
    with pytest.raises(WrongContent):
        list(inflate([b"\xff" * 400], Deflated(10, 300)))


def test_the_registry_says_where_it_lies() -> None:
    whole, where = archive()
    line = carriers.file(
        "model.bin", CONTENT, pip=carriers.JOINED, deflated=f"{{ offset = {where.offset}, length = {where.length} }}"
    )
    (file,) = parse(carriers.text(line))["tiny"].files
    assert file.deflated == where and len(file.pip) == 2
    assert zlib.decompress(whole[where.offset :][: where.length], -15) == CONTENT
