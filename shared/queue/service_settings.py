"""What API and workers are told by their environment (``COUNTERDUB_…``)."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from shared.core.store import Store
from shared.pipeline.stage import CARD

QUEUES = ("ingest", "separation", "transcription", "translation", "dubbing", "pairing", "trainer")
"""One queue a service. Videos named by URL or path are fetched by ``fetch``, which alone needs a way out."""

CARD_QUEUES = tuple(f"{queue}{CARD}" for queue in ("separation", "transcription", "translation", "dubbing"))
"""Their tasks ask for engines on torch or a graphics card; a worker that has them serves the plain queue as well."""

FETCH = "fetch"


class ServiceSettings(BaseSettings):
    """Where things are, and what is asked of workers and callers."""

    model_config = SettingsConfigDict(env_prefix="COUNTERDUB_", frozen=True, extra="ignore")

    data: Path = Field(Path("counterdub-data"), description="Folder of the embedded database, store and uploads.")
    database_url: SecretStr | None = Field(None, description="PostgreSQL or SQLite; SQLite below data when absent.")
    broker_url: SecretStr = Field(SecretStr("redis://127.0.0.1:6379/0"), description="Redis or Valkey.")
    store_url: str | None = Field(None, description="Artifact store (fsspec URL); below data when absent.")
    store_cache: Path | None = Field(None, description="Local copies of a store that is not a local folder.")

    store_cache_gb: float = Field(20.0, gt=0, description="Bound of those copies; what is used last stays.")

    signing_key: Path | None = Field(None, description="Ed25519 key (PEM) that signs what is said to be synthetic.")

    heartbeat_s: float = Field(10.0, gt=0, description="A worker whose beat stands still for 1.6 of these is lost.")
    max_attempts: int = Field(3, ge=1, description="Times a task is begun before it counts as failed.")
    retry_delay_s: float = Field(5.0, ge=0, description="Before a task that may succeed is tried again; doubles.")
    time_limit_s: float = Field(3600.0, gt=0, description="Of one task; its process is ended at the limit.")
    time_limits_s: dict[str, float] = Field({}, description='Of single stages: {"ingest": 7200}.')
    cancel_s: float = Field(
        30.0, gt=0, description="A task that goes on for so long after its job was cancelled is ended with its process."
    )
    silent_s: float = Field(
        120.0, gt=0, description="A process that shows no sign of life for so long, whatever it does, is ended."
    )
    training_limit_s: float = Field(
        14 * 24 * 3600.0, gt=0, description="Of a training, from one interruption to the next."
    )
    trainer_processes: int | None = Field(
        None, ge=1, description="That train together; one a graphics card (else one) when not set."
    )
    runs: Path | None = Field(None, description="Folder of trainings that run; below data when absent.")
    checkpoint_copy_s: float = Field(
        600.0, ge=0, description="Between two copies of a training's checkpoint to the store."
    )
    engine_idle_s: float = Field(
        600.0, ge=0, description="A worker's engine that was not used for so long gives its memory back; 0: never."
    )
    soft_shutdown_s: float = Field(60.0, ge=0, description="A worker told to stop may finish its task for so long.")

    sweep_hours: float = Field(
        168.0, ge=0, description="A stored file that nothing refers to goes so long after its last use; 0: never."
    )
    upload_folder: Path | None = Field(None, description="Unfinished uploads; below data when absent.")
    max_upload_bytes: int = 20 * 2**30
    max_request_bytes: int = Field(2**20, description="Of a JSON body.")
    upload_hours: float = Field(24.0, description="An upload that is not finished by then is dropped.")
    allowed_paths: list[Path] = Field([], description="Server-side folders that jobs may name videos in.")
    allowed_buckets: list[str] = Field([], description="S3 buckets (or bucket/prefix) that jobs may name videos in.")
    allow_urls: bool = Field(True, description="Whether jobs may name videos by http(s) URL.")
    private_hosts: list[str] = Field([], description="Host names that may be fetched or called though not public.")
    require_keys: bool | None = Field(None, description="API keys; needed unless bound to loopback when not set.")
    max_open_jobs: int = Field(1000, description="Of a caller without an own limit.")

    max_connections: int = Field(2000, ge=1, description="To one process of the API at once.")
    max_streams: int = Field(
        100, ge=1, description="Event streams of a key (of all callers where no key is needed) at once, a process."
    )
    header_timeout_s: float = Field(20.0, gt=0, description="For a request's head to come in.")
    stall_timeout_s: float = Field(
        60.0, gt=0, description="A body that stands still, and an answer that is not taken, for so long end."
    )
    min_bytes_per_s: int = Field(
        500, ge=1, description="Of a body that comes and an answer that is taken, from then on."
    )
    max_unsent_bytes: int = Field(
        64 * 2**20, ge=0, description="Of answers that wait to be taken; whoever took nothing for longest goes first."
    )

    def sqlalchemy_url(self) -> str:
        if self.database_url is not None:
            return self.database_url.get_secret_value()
        return f"sqlite:///{self.data.absolute() / 'counterdub.db'}"

    def store(self) -> str:
        return self.store_url or str(self.data.absolute() / "store")

    def open_store(self) -> Store:
        return Store(self.store(), self.store_cache, int(self.store_cache_gb * 2**30))

    def uploads(self) -> Path:
        return self.upload_folder or self.data.absolute() / "uploads"

    def run_folder(self) -> Path:
        return self.runs or self.data.absolute() / "runs"

    def limit(self, stage: str) -> float:
        """Seconds that a task of this stage may take."""
        usual = self.training_limit_s if stage == "train" else self.time_limit_s
        return self.time_limits_s.get(stage, usual)


@lru_cache
def service_settings() -> ServiceSettings:
    """The process's own, read once."""
    return ServiceSettings()
