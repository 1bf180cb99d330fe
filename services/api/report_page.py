"""The report as a page of this server: it may show itself, and reach nothing."""

from __future__ import annotations

import html
import re
from functools import lru_cache

from services.api.http.ranges import BlobFiles
from services.api.http.stored_files import blob_of
from shared.core.store import Blob
from shared.ledger.tables import Artifact

HEAD_BYTES = 4096
POLICY = re.compile(rb'<meta http-equiv="Content-Security-Policy" content="([^"]{1,2000})">')
NOTHING = "default-src 'none'; sandbox"


def headers(files: BlobFiles, page: Artifact) -> dict[str, str]:
    """Content-Security-Policy for a report.

    The report's own policy (hashes of its one style and one script, written before anything a user could have named)
    as a header, where nothing in the page comes before it; and a sandbox, so that even a script that got in could not
    act as this server's page.
    """
    return {
        "Content-Security-Policy": policy(files, blob_of(page)),
        "Referrer-Policy": "no-referrer",
    }


@lru_cache(maxsize=256)
def policy(files: BlobFiles, page: Blob) -> str:
    """The policy that a stored report begins with, and a sandbox; :data:`NOTHING` where it has no such policy."""
    head = b"".join(files.blocks(page, 0, min(page.size, HEAD_BYTES)))
    match = POLICY.search(head)
    own = html.unescape(match.group(1).decode("ascii", "replace")) if match else ""
    if not re.fullmatch(r"default-src 'none'; [A-Za-z0-9 ;:'+/=-]*", own):
        return NOTHING
    return f"{own}; frame-ancestors 'self'; sandbox allow-scripts"
