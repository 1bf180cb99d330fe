"""The OpenAPI document of the REST interface, printed without a server: ``python -m services.api.openapi``.

The types of the page are made from it (``make types``).
"""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from services.api.app import create_app
from shared.queue.service_settings import ServiceSettings


def read_document() -> dict[str, Any]:
    """The document as ``/v1/openapi.json`` serves it, whatever the environment sets and with no trace on the disk."""
    with TemporaryDirectory() as folder:
        app = create_app(ServiceSettings.model_construct(data=Path(folder)), keys_required=True)
        document = app.openapi()
        app.state.services.database.close()
    return document


if __name__ == "__main__":
    print(json.dumps(read_document(), indent=2))
