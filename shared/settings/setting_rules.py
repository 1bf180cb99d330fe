"""Rules for every field of :class:`shared.settings.models.Settings`: who may set it, and between which bounds.

They hold for what is asked anew; settings that are stored already are read as they are. A field without a rule here
fails a test, and nobody can set it.
"""

from __future__ import annotations

from shared.settings.rules import (
    ChoiceRule,
    EngineRule,
    Glossary,
    ModelRule,
    Name,
    Names,
    Number,
    Open,
    Rule,
    Switch,
    Text,
    VoiceRule,
)

DAY = 24 * 3600.0
SEED = Number(low=0, high=2**63 - 1)
SHARE = Number(low=0, high=1)
COSINE = Number(low=-1, high=1)
FACTOR = Number(low=0.1, high=10)
DEVICE, THREADS = Name(), Number(low=1, high=64)


def on_machine(section: str) -> dict[str, Rule]:
    """What every stage with engines has."""
    return {
        f"{section}.engine": EngineRule(),
        f"{section}.model": ModelRule(),
        f"{section}.extra": Open(),
        f"{section}.device": DEVICE,
        f"{section}.threads": THREADS,
    }


RULES: dict[str, Rule] = {
    "profile": Name("operator"),
    # Callers may lower these, never raise them.
    "limits.max_bytes": Number(low=1, high=2**50),
    "limits.max_seconds": Number(low=0.01, high=30 * DAY),
    "limits.max_pixels": Number(low=1, high=2**34),
    "limits.max_audio_channels": Number(low=1, high=255),
    "limits.probe_timeout_s": Number(low=0.01, high=DAY),
    "limits.decode_timeout_factor": Number(low=0, high=1000),
    "ingest.detector": EngineRule(),
    "ingest.min_shot_frames": Number(low=1, high=1000),
    # Each chunk is a row for every stage and language.
    "ingest.chunk_seconds": Number(low=5, high=3600, caller_low=30, caller_high=1800),
    "ingest.vad": EngineRule(),
    "ingest.video_stream": Number(low=0, high=1000),
    "ingest.audio_stream": Number(low=0, high=1000),
    **on_machine("separation"),
    "separation.context_seconds": Number(low=0, high=60),
    **on_machine("transcription"),
    "transcription.embedder": EngineRule(),
    "transcription.vad": EngineRule(),
    "transcription.language": Name(),
    "transcription.max_speakers": Number(low=1, high=200),
    "transcription.speaker_threshold": COSINE,
    "transcription.split_gap_seconds": Number(low=0.01, high=60),
    "transcription.max_utterance_seconds": Number(low=0.5, high=120),
    "transcription.min_alphanumerics": Number(low=0, high=1000),
    "transcription.min_mean_logprob": Number(low=-100, high=0),
    "transcription.max_phrase_share": SHARE,
    "transcription.min_speech_share": SHARE,
    "transcription.beam_size": Number(low=1, high=20),
    **on_machine("translation"),
    "translation.by_language": Names(value=EngineRule()),
    "translation.hypotheses": Number(low=1, high=20),
    "translation.context_lines": Number(low=0, high=20),
    "translation.length_tolerance": Number(low=0, high=10),
    "translation.glossary": Glossary(),
    "translation.seed": SEED,
    **on_machine("dubbing"),
    "dubbing.embedder": EngineRule(),
    "dubbing.reference": ChoiceRule(),
    "dubbing.converter": EngineRule(),
    "dubbing.converter_model": ModelRule(),
    "dubbing.converter_extra": Open(),
    "dubbing.guard.longest": Number(low=0.1, high=100),
    "dubbing.guard.shortest": Number(low=0, high=100),
    "dubbing.guard.recognizer": EngineRule(),
    "dubbing.guard.recognizer_model": ModelRule(),
    "dubbing.guard.max_error": Number(low=0, high=10),
    "dubbing.guard.new_seeds": Number(low=0, high=20),
    "dubbing.guard.fallback": EngineRule(),
    "dubbing.timbre_match": Switch(),
    "dubbing.prosody_match": Switch(),
    "dubbing.room_match": Switch(),
    "dubbing.voices": Names(most=500, value=VoiceRule(), key=VoiceRule()),
    "dubbing.voices_heard": Number(low=0, high=100),
    "dubbing.same_person_threshold": COSINE,
    "dubbing.bandwidth_hz": Number(low=1000, high=24_000),
    "dubbing.fit.same_speaker_gap": SHARE,
    "dubbing.fit.other_speaker_gap": SHARE,
    "dubbing.fit.guard_seconds": Number(low=0, high=10),
    **{f"dubbing.fit.{name}": FACTOR for name in ("free_low", "free_high", "accept_low", "accept_high")},
    **{f"dubbing.fit.{name}": FACTOR for name in ("hard_low", "hard_high")},
    "dubbing.fit.max_retries": Number(low=0, high=20),
    "dubbing.seed": SEED,
    "auditions.wanted": Switch(),
    "auditions.alternatives": Number(low=0, high=8),
    **on_machine("quality"),
    "quality.round_trip": Switch(),
    "quality.embedder": EngineRule(),
    "quality.vad": EngineRule(),
    "pairing.min_shot_seconds": Number(low=0, high=3600),
    "pairing.max_shot_seconds": Number(low=0.1, high=3600),
    "pairing.true_peak_dbtp": Number(low=-60, high=0),
    "pairing.max_overflow_ms": Number(low=0, high=1e6),
    "pairing.max_null_residual_db": Number(low=-200, high=0),
    "pairing.max_residual_speech": SHARE,
    "pairing.max_loudness_difference_lu": Number(low=0, high=200),
    "pairing.max_round_trip_cer": Number(low=0, high=100),
    "pairing.min_language_confidence": SHARE,
    "pairing.min_isochrony_iou": SHARE,
    "pairing.aac_bitrate": Number(low=16_000, high=512_000),
    "pairing.export_shots": Switch(),
    "pairing.export_mkv": Switch(),
    "pairing.export_mp4": Switch(),
    "licences.accepted": Names(most=50, value=Text()),
    "report.max_titles_with_media": Number(low=0, high=100),
    "report.max_shots_per_title": Number(low=0, high=500),
    "report.max_media_bytes": Number(low=0, high=200_000_000),
    "report.max_lines_per_title": Number(low=0, high=20_000),
    "report.spectrogram_width": Number(low=16, high=4096),
    "report.spectrogram_height": Number(low=16, high=512),
    "report.preview_bitrate": Number(low=16_000, high=320_000),
    "provenance.signing_key": Text("operator"),
    "store.url": Text("operator"),
    "store.lock_timeout_s": Number("operator", low=0, high=DAY),
}
