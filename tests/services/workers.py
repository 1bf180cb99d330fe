"""``counterdub worker`` with null stages: ``python -m tests.services.workers QUEUES CONCURRENCY``."""

from __future__ import annotations

import logging
import sys

from shared.jobs.settings import service_settings
from shared.jobs.worker import run_worker
from tests.services.nulls import install

if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(process)d %(name)s: %(message)s")
    install()
    child = (sys.executable, "-m", "tests.services.nulls")
    run_worker(sys.argv[1].split(","), int(sys.argv[2]), service_settings(), child=child)
