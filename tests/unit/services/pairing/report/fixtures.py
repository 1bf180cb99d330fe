"""A made-up run folder: what titles leave behind, as the stage ``dataset`` gets it. No models."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from services.pairing.acceptance.criteria import judge, need_counterpart, objections
from services.pairing.acceptance.summary import THRESHOLDS
from services.pairing.dataset import STAGE as DATASET
from services.pairing.report.preview import STAGE as PREVIEW
from shared.audio.files import write
from shared.core.records import SAMPLE_RATE, CastMember, DubbedUtterance, Shot, Utterance, write_jsonl
from shared.pipeline.stage import Scope
from shared.schemas.pairs import PairRow
from shared.schemas.quality import NullTest, QualityReport, ShortcutResult, TrackQuality
from shared.settings.models import Settings
from tests.unit.services.pairing.title import Workbench

LANGUAGES = ("es", "fr", "ja")
SHOTS = [(0.0, 1.8), (1.8, 7.0), (7.0, 11.4), (11.4, 16.0), (16.0, 30.5)]
"""Too short, kept, kept, kept but silent, too long."""
LINES = [
    (2.2, 4.4, "S1", "Did you hear that noise?"),
    (4.7, 6.6, "S2", "It came from the kitchen."),
    (7.4, 10.8, "S1", "Stay here, and do not open the door."),
    (17.0, 19.5, "S2", "She is gone."),
]
SAID = {
    "es": ["¿Has oído ese ruido?", "Venía de la cocina.", "Quédate aquí y no abras la puerta.", "Se ha ido."],
    "fr": [
        "Tu as entendu ce bruit ?",
        "Ça venait de la cuisine.",
        "Reste ici et n’ouvre pas la porte.",
        "Elle est partie.",
    ],
    "ja": ["あの音、聞こえた？", "台所からだった。", "ここにいて、ドアを開けないで。", "彼女はいなくなった。"],
}


@dataclass
class RunFolder:
    """Inputs of ``dataset`` by name, and its scope."""

    folder: Path
    settings: Settings = field(default_factory=Settings)
    titles: list[str] = field(default_factory=list)
    failed: dict[str, Any] = field(default_factory=dict)
    inputs: dict[str, Path] = field(default_factory=dict)

    def file(self, title: str, name: str) -> Path:
        path = self.folder / f"{len(self.inputs):05}-{Path(name).name}"
        path.parent.mkdir(parents=True, exist_ok=True)
        self.inputs[f"{title}/{name}"] = path
        return path

    def json(self, title: str, name: str, value: Any) -> None:
        self.file(title, name).write_text(json.dumps(value), encoding="utf-8")

    def make(self, out: Path) -> tuple[str, dict[str, Any], dict[str, Path]]:
        """Run the stage: the page, the numbers, all outputs."""
        scope = Scope(extra={"titles": self.titles, "failed": self.failed})
        options = DATASET.settings(self.settings)
        outputs = dict(DATASET.run(scope, self.inputs, options, {}, Workbench(out)))
        html = outputs["report.html"].read_text(encoding="utf-8")
        return html, json.loads(outputs["report.json"].read_text(encoding="utf-8")), outputs


def sound(seconds: float, pitch: float, lines: list[tuple[float, float]], seed: int = 0) -> np.ndarray:
    """Something to look at: dull noise and a gliding harmonic voice where lines are."""
    rng = np.random.default_rng(seed)
    count = int(seconds * SAMPLE_RATE)
    time = np.arange(count) / SAMPLE_RATE
    noise = 0.01 * rng.normal(size=count)
    noise[1:] += 0.8 * noise[:-1]
    f0 = pitch * (1 + 0.15 * np.sin(2 * np.pi * 0.7 * time + pitch))
    phase = 2 * np.pi * np.cumsum(f0) / SAMPLE_RATE
    voice = sum(np.sin(k * phase) / k**1.3 for k in range(1, 14)) * (0.6 + 0.4 * np.sin(2 * np.pi * 4 * time))
    active = np.zeros(count)
    for start, end in lines:
        active[int(start * SAMPLE_RATE) : int(end * SAMPLE_RATE)] = 1
    return (noise + 0.12 * voice * active).astype(np.float32)


def dubbed(
    number: int, track: str, rng: np.random.Generator, text: str | None = None, **changes: Any
) -> DubbedUtterance:
    start, end, speaker, source = LINES[number]
    length = (end - start) * float(rng.uniform(0.85, 1.05))
    control = track == "control"
    words = text or (source if control else SAID[track][number])
    values: dict[str, Any] = {
        "id": f"u{number + 1:04}",
        "speaker": speaker,
        "language": "en" if control else track,
        "voice": None if control else f"{track[0]}{'f' if speaker == 'S1' else 'm'}_voice",
        "source_text": source,
        "text": words,
        "start": start,
        "end": min(start + length, end + 0.3),
        "source_start": start,
        "source_end": end,
        "slot_start": start,
        "slot_end": end + 0.3,
        "fit_ratio": None if control else float(rng.uniform(0.8, 1.4)),
        "stretch": None if control else float(rng.uniform(0.9, 1.2)),
        "loudness_difference_lu": float(rng.normal(0, 0.8)),
        "round_trip_text": words.lower(),
        "round_trip_cer": float(rng.beta(1, 9)),
        "detected_language": "en" if control else track,
        "language_confidence": float(rng.uniform(0.7, 1.0)),
        "speaker_similarity": float(rng.uniform(0.5, 0.8)),
        "pitch_correlation": float(rng.uniform(-0.3, 0.9)),
        "energy_correlation": float(rng.uniform(0.2, 0.9)),
    }
    return DubbedUtterance(**{**values, **changes})


def add_title(
    run: RunFolder,
    name: str = "kitchen",
    *,
    speech: bool = True,
    previews: bool = True,
    text: str | None = None,
    languages: tuple[str, ...] = LANGUAGES,
    shots: list[tuple[float, float]] = SHOTS,
) -> None:
    """A title with its files. ``text`` replaces every dubbed line; without ``speech`` no row is accepted."""
    rng = np.random.default_rng(len(run.titles))
    run.titles.append(name)
    tracks = ["orig", "control", *languages]
    numbers = range(len(LINES)) if speech else range(0)
    pairing = run.settings.pairing
    all_shots = [Shot(index=i, start=a, end=b) for i, (a, b) in enumerate(shots)]
    source = [
        Utterance(
            id=f"u{n + 1:04}", start=LINES[n][0], end=LINES[n][1], speaker=LINES[n][2], language="en", text=LINES[n][3]
        )
        for n in numbers
    ]
    write_jsonl(run.file(name, "utterances/en.jsonl"), source)
    spoken: dict[str, list[DubbedUtterance]] = {"orig": []}
    for track in tracks[1:]:
        lines = [dubbed(n, track, rng, text if track != "control" else None) for n in numbers]
        if lines and track == "ja":
            lines[1] = lines[1].model_copy(
                update={
                    "status": "overflow",
                    "overflow_ms": 180.0,
                    "round_trip_cer": 0.7,
                    "reason": "no shorter rewrite",
                }
            )
            lines[3] = lines[3].model_copy(
                update={"status": "failed", "end": lines[3].start, "reason": "synthesis_failed"}
            )
        if lines and track == "fr":
            lines[2] = lines[2].model_copy(update={"detected_language": "it", "language_confidence": 0.62})
        spoken[track] = lines
        write_jsonl(run.file(name, f"utterances/{track}.jsonl"), lines)
    rows = []
    for shot in all_shots:
        touching = {
            t: [u for u in spoken[t] if u.source_start < shot.end and u.source_end > shot.start] for t in tracks
        }
        for track in tracks:
            lines = touching[track]
            row = PairRow(
                title=name,
                shot=shot.index,
                start=shot.start,
                end=shot.end,
                source_language="en",
                track=track,
                language="en" if track in {"orig", "control"} else track,
                utterances=len(touching["control"]),
                overflow_ms=max((u.overflow_ms for u in lines), default=0.0),
                isochrony_iou=float(rng.uniform(0.6, 1)) if track != "orig" and lines else None,
                round_trip_cer=float(np.mean([u.round_trip_cer for u in lines])) if lines else None,
                null_residual_db=None if track == "orig" else -200.0,
                residual_speech=None if track == "orig" else 0.0,
                speech_dubbed=1.0 if track != "orig" and lines else None,
            )
            rows.append(judge(row, objections(row, lines, 0.5 if lines else 0.0, pairing)))
    rows = need_counterpart(rows)
    write_jsonl(run.file(name, "pairs.jsonl"), [row for row in rows if row.accepted])
    write_jsonl(run.file(name, "rejects.jsonl"), [row for row in rows if not row.accepted])
    quality = make_quality(name, rows, all_shots, tracks, run.settings)
    run.file(name, "quality.json").write_text(quality.model_dump_json(), encoding="utf-8")
    run.json(name, "title.json", record(name, tracks, languages, all_shots))
    for language in languages:
        cast = [
            CastMember(
                speaker=s,
                language=language,
                voice=f"{language[0]}{g}_voice",
                native=not (language == "fr" and g == "m"),
            )
            for s, g in (("S1", "f"), ("S2", "m"))
        ]
        run.json(name, f"cast.{language}.json", [member.model_dump() for member in cast])
    if previews:
        add_previews(run, name, tracks, all_shots, spoken)


def add_previews(run: RunFolder, name: str, tracks: list[str], shots: list[Shot], spoken: dict[str, Any]) -> None:
    """Run the real stage on something that can be heard."""
    work = Workbench(run.folder / f"work-{len(run.titles)}")
    shot_file = run.folder / f"shots-{len(run.titles)}.json"
    shot_file.write_text(json.dumps([shot.model_dump() for shot in shots]), encoding="utf-8")
    for number, track in enumerate(tracks):
        lines = [(u.start, u.end) for u in spoken[track]] or [(a, b) for a, b, *_ in LINES]
        path = write(run.folder / f"{len(run.titles)}-{track}.flac", sound(shots[-1].end, 110 + 45 * number, lines))
        inputs = {"shots.json": shot_file, "track.flac": path}
        outputs = PREVIEW.run(Scope(track=track), inputs, PREVIEW.settings(run.settings), {}, work)
        run.inputs[f"{name}/preview.{track}.json"] = outputs["preview.json"]


def make_quality(
    name: str, rows: list[PairRow], shots: list[Shot], tracks: list[str], settings: Settings
) -> QualityReport:
    reasons: dict[str, int] = {}
    for row in rows:
        if row.reason:
            reasons[row.reason] = reasons.get(row.reason, 0) + 1
    kept = [s for s in shots if settings.pairing.min_shot_seconds <= s.duration <= settings.pairing.max_shot_seconds]
    dubs = tracks[2:]
    probes = [ShortcutResult(a="control", b=d, auc=0.5, blocks=120, shots=4, identical=1.0) for d in dubs]
    probes += [ShortcutResult(a="orig", b=d, auc=0.53, blocks=120, shots=4, identical=0.94) for d in dubs]
    probes.append(
        ShortcutResult(a="orig", b="control", auc=None, blocks=3, shots=1, identical=None, reason="few_shots")
    )
    return QualityReport(
        title=name,
        source_language="en",
        samples=int(shots[-1].end * SAMPLE_RATE),
        gain_db=-1.4,
        shots=len(shots),
        kept_shots=len(kept),
        shot_seconds=[shot.duration for shot in shots],
        accepted=sum(row.accepted for row in rows),
        rejected=sum(not row.accepted for row in rows),
        reasons=reasons,
        thresholds={key: getattr(settings.pairing, key) for key in THRESHOLDS},
        tracks={
            track: TrackQuality(
                language="en", samples=1, null=None if track == "orig" else NullTest(peak_dbfs=-200, rms_dbfs=-200)
            )
            for track in tracks
        },
        shortcut=probes,
    )


def record(name: str, tracks: list[str], languages: tuple[str, ...], shots: list[Shot]) -> dict[str, Any]:
    """``title.json``."""
    duration = shots[-1].end
    stages = {
        "ingest": (3.1, 0.4),
        "separation": (9.8, 9.2),
        "transcription": (12.0, 11.4),
        "dubbing": (31.0, 29.8),
        "pairs": (2.2, 0.0),
    }

    def engine(
        stage: str, kind: str, name: str, licence: str, commercial: bool = True, note: str = ""
    ) -> dict[str, Any]:
        weights = {f"{name}-weights": "6e742170d309016e5891a994e1ce1559c702a2cc"}
        return {
            "stage": stage,
            "role": kind,
            "kind": kind,
            "engine": name,
            "model": "",
            "weights": weights,
            "licence": licence,
            "commercial_use": commercial,
            "note": note,
        }

    return {
        "schema_version": 1,
        "title": name,
        "source_name": f"{name}.mp4",
        "source_language": {"language": "en", "confidence": 0.97, "votes": 3},
        "languages": list(languages),
        "tracks": tracks,
        "probe": {
            "container": "mp4",
            "size_bytes": 2_400_000,
            "duration": duration,
            "video": {
                "codec": "h264",
                "width": 1280,
                "height": 720,
                "rotation": 0,
                "fps": 25.0,
                "variable_frame_rate": False,
                "start": 0.0,
                "duration": duration,
            },
            "audio": {
                "codec": "aac",
                "sample_rate": 44100,
                "channels": 2,
                "layout": "stereo",
                "start": 0.0,
                "duration": duration,
                "language": None,
            },
            "sha256": "0" * 64,
        },
        "shots": [shot.model_dump() for shot in shots],
        "chunks": [],
        "level": None,
        "engines": [
            engine("separation", "separator", "deepfilternet", "MIT"),
            engine("transcription", "recognizer", "faster-whisper", "MIT"),
            engine("quality", "recognizer", "faster-whisper", "MIT"),
            engine("dubbing", "synthesizer", "kokoro", "Apache-2.0", note="Pronunciation by eSpeak NG, GPL-3.0."),
            engine("dubbing", "voice_converter", "xtts", "CPML", commercial=False),
        ],
        "timings": {stage: {"seconds": a, "engine_seconds": b, "tasks": 1} for stage, (a, b) in stages.items()},
        "counters": {"lines": 4},
        "failed": {},
    }
