"""Files to rows: each window once, whatever the file holds; broken ones are named and the others go on."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile as sf
from typer.testing import CliRunner

import counterdub
from services.cli.main import app
from shared.core.errors import CounterdubError, InputError
from tests.unit.shared.media import odd
from trainer.embedding import files as embedding
from trainer.embedding.ahead import ahead
from trainer.encoder import Encoder


def wave(seconds: float, rate: int = 48_000, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.1, round(seconds * rate)).astype(np.float32)


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("material")
    odd.clip(folder / "a-both.mp4", 7.0)
    odd.clip(folder / "b-picture.mp4", 2.0, sound=None)
    sf.write(folder / "c-sound.wav", wave(8.0), 48_000, subtype="FLOAT")
    odd.plain_text(folder / "d-broken.mp4")
    odd.clip(folder / "e-both.mkv", 3.5)
    return folder


def test_three_lines(run: Path, material: Path) -> None:
    encoder = counterdub.load_encoder(run)
    table = encoder.embed(material / "a-both.mp4")
    rows = table.to_pylist()
    assert [(row["stream"], round(row["start"], 2), round(row["end"], 2)) for row in rows] == [
        ("audio", 0.0, 3.0),
        ("audio", 3.0, 6.0),
        ("video", 0.0, 3.0),
        ("video", 3.0, 6.0),
    ]
    assert {len(row["embedding"]) for row in rows} == {encoder.audio_size, encoder.video_size}
    assert table.schema.metadata[b"counterdub.checkpoint"].decode() == encoder.id


def test_sounds_are_the_encoders(encoder: Encoder, material: Path) -> None:
    rows = encoder.embed(material / "c-sound.wav").to_pylist()
    whole = wave(8.0)
    cuts = [(0, 144_000), (144_000, 288_000), (384_000 - 144_000, 384_000)]
    assert [(row["start"], row["end"]) for row in rows] == [(a / 48_000, b / 48_000) for a, b in cuts]
    by_hand = encoder.audio(np.stack([whole[a:b] for a, b in cuts]))
    np.testing.assert_allclose([row["embedding"] for row in rows], by_hand, atol=1e-5)


def test_pictures_are_the_encoders(encoder: Encoder, material: Path, tmp_path: Path) -> None:
    import av

    from trainer.frontend.clips import clips, plan

    path = material / "b-picture.mp4"
    with av.open(str(path)) as container:
        base = container.streams.video[0].time_base
        decoded = [(frame.pts, frame.to_ndarray(format="rgb24")) for frame in container.decode(video=0)]
    windows = plan(np.array([pts for pts, _ in decoded]), base, 25.0, frames=8)
    ((_, five),) = clips(decoded, windows, short=73, size=64)
    expected = encoder.video(five)
    (mean,) = encoder.embed(path).to_pylist()
    np.testing.assert_allclose(mean["embedding"], expected.mean(0), atol=1e-5)
    assert (mean["crop"], mean["start"], mean["end"]) == (None, 0.0, pytest.approx(49 / 25))
    rows = encoder.embed(path, crops=True).to_pylist()
    assert [row["crop"] for row in rows] == [0, 1, 2, 3, 4]
    np.testing.assert_allclose([row["embedding"] for row in rows], expected, atol=1e-5)
    assert np.abs(expected - expected.mean(0)).max() > 1e-4  # crops differ


def test_an_encoder_of_sound_leaves_the_picture_out(listener: Encoder, material: Path) -> None:
    assert set(listener.embed(material / "a-both.mp4")["stream"].to_pylist()) == {"audio"}
    with pytest.raises(InputError) as caught:
        listener.embed(material / "b-picture.mp4")
    assert caught.value.code == "nothing_to_embed"


def test_the_command(run: Path, material: Path, tmp_path: Path) -> None:
    out = tmp_path / "made" / "embeddings.parquet"
    arguments = ["embed", str(material), "--checkpoint", str(run), "--out", str(out), "--json"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 1  # one of them cannot be read
    said = json.loads(result.stdout)
    table = pq.read_table(out)
    assert (said["files"], said["rows"]) == (4, table.num_rows)
    assert [(entry["file"].rpartition("/")[2], entry["code"]) for entry in said["failed"]] == [
        ("d-broken.mp4", "not_media")
    ]
    names = [name.rpartition("/")[2] for name in table["file"].to_pylist()]
    assert list(dict.fromkeys(names)) == ["a-both.mp4", "b-picture.mp4", "c-sound.wav", "e-both.mkv"]
    assert [path.name for path in out.parent.iterdir()] == [out.name]
    heads = CliRunner().invoke(app, [*arguments[:-1], "--heads"])
    assert "4 files; 1 failed" in heads.stdout
    norms = [np.linalg.norm(row) for row in pq.read_table(out)["embedding"].to_pylist()]
    assert norms[0] == pytest.approx(1, abs=1e-5)


def test_when_none_can_be_read_nothing_is_written(run: Path, material: Path, tmp_path: Path) -> None:
    out = tmp_path / "embeddings.parquet"
    out.write_bytes(b"of before")
    result = CliRunner().invoke(
        app, ["embed", str(material / "d-broken.mp4"), "-c", str(run), "-o", str(out), "--json"]
    )
    assert result.exit_code == 3 and out.read_bytes() == b"of before"
    assert [path.name for path in tmp_path.iterdir()] == [out.name]


def test_bad_usage(run: Path, tmp_path: Path) -> None:
    missing = CliRunner().invoke(app, ["embed", str(tmp_path / "no.mp4"), "-c", str(run), "-o", str(tmp_path / "e")])
    assert missing.exit_code == 2
    sound = tmp_path / "sound.wav"
    sf.write(sound, wave(1.0), 48_000)
    no_checkpoint = CliRunner().invoke(app, ["embed", str(sound), "-c", str(tmp_path / "x.pt"), "-o", "e.parquet"])
    assert no_checkpoint.exit_code == 2


def test_what_is_finished_is_kept_when_it_is_stopped(encoder: Encoder, material: Path, tmp_path: Path) -> None:
    out = tmp_path / "embeddings.parquet"

    def stop_after_two(done: int, total: int, file: str, error: CounterdubError | None) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        embedding.embed_files(encoder, sorted(material.iterdir()), out, listener=stop_after_two)
    assert len(set(pq.read_table(out)["file"].to_pylist())) == 2
    assert threading.active_count() == len([t for t in threading.enumerate() if t.is_alive()])
    assert not [t for t in threading.enumerate() if t.name.startswith("reader")]


def test_reading_ahead_keeps_order_and_stops() -> None:
    running, most = 0, 0
    lock = threading.Lock()
    started = []

    def make(number: int) -> Callable[[Callable[[float], None]], Iterator[tuple[int, int]]]:
        def run(check: Callable[[float], None]) -> Iterator[tuple[int, int]]:
            nonlocal running, most
            with lock:
                running += 1
                most = max(most, running)
                started.append(number)
            try:
                for item in range(10):
                    check(0.0)
                    if number == 2 and item == 3:
                        raise ValueError("broken")
                    yield number, item
            finally:
                with lock:
                    running -= 1

        return run

    found: list[list[tuple[int, int]] | str] = []
    readers = ahead([make(number) for number in range(5)], 2)
    for reader in readers:
        try:
            found.append(list(reader))
        except ValueError as error:
            found.append(str(error))
    assert found == [[(n, i) for i in range(10)] if n != 2 else "broken" for n in range(5)]
    assert (running, most) == (0, 2)

    started.clear()
    readers = ahead([make(number) for number in (0, 1, 3, 4)], 2)
    next(next(readers))
    readers.close()  # nobody takes the rest
    assert running == 0 and sorted(started) == [0, 1]
