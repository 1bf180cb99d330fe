"""APIs on SQLite and PostgreSQL, and the files of a finished job."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from shared.audio.files import write
from tests.integration.api.harness import Api, make_api
from tests.integration.queue.conftest import database_urls, postgres  # noqa: F401 - fixtures
from tests.unit.services.pairing.report.fixtures import RunFolder, add_title


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    """On SQLite, without keys."""
    made = make_api(tmp_path)
    yield made
    made.database.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def any_api(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    database_urls: Callable[[str], str],  # noqa: F811
) -> Iterator[Api]:
    """On each database, without keys."""
    made = make_api(tmp_path, database_urls(request.param))
    yield made
    made.database.close()


@pytest.fixture(scope="session")
def results(tmp_path_factory: pytest.TempPathFactory, sample: Path) -> dict[str, Path]:
    """Path in the output layout → a real file, of one finished title called kitchen."""
    folder = tmp_path_factory.mktemp("results")
    run = RunFolder(folder / "in")
    add_title(run)
    _, _, outputs = run.make(folder / "out")
    files = {name: path for name, path in outputs.items() if "/" not in name}
    wanted = ("title.json", "utterances/")
    files |= {name: path for name, path in run.inputs.items() if name.startswith(tuple(f"kitchen/{w}" for w in wanted))}
    noise = np.random.default_rng(0).normal(0, 0.1, (1, 48_000 * 2)).astype(np.float32)
    track = folder / "orig.flac"
    write(track, noise)
    files |= {f"kitchen/tracks/{name}.flac": track for name in ("orig", "control", "es")}
    files |= {f"kitchen/shots/kitchen_1_{name}.mp4": sample for name in ("en", "es")}
    return files


@pytest.fixture
def finished(api: Api, results: dict[str, Path]) -> str:
    """A job that is done."""
    job = api.job(state="done", titles=("kitchen",))
    api.publish(job, results)
    return job


@pytest.fixture(scope="session")
def s3_bucket() -> Iterator[str]:
    """A bucket on an S3 server of our own, which the environment names."""
    import fsspec
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        patch.setenv("AWS_ACCESS_KEY_ID", "test")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        # Connections to an earlier server must not be taken up again.
        fsspec.filesystem("s3").clear_instance_cache()
        fsspec.filesystem("s3", skip_instance_cache=True).mkdir("results")
        yield "results"
        fsspec.filesystem("s3").clear_instance_cache()
    server.stop()
