"""The front end beside the public one: sound to dB, frames and windows, pixels."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import torch

from trainer.frontend import windows
from trainer.frontend.clips import crops, scaled
from trainer.frontend.mel import MelFrontEnd, mel_filters
from trainer.frontend.sound import one_window, resample
from trainer.parity import rules
from trainer.parity.case import Case
from trainer.recipe import AudioSettings

FILTERS, NOISE, TONES, PIXELS, WAVE = 2e-5, 1e-3, 0.1, 1e-4, 1e-5
AUDIBLE, FAINT = -60.0, -55.0
"""dB: cells below the first are rounding; ours must only be below the second."""

Stated = Mapping[str, Any]
Arrays = Mapping[str, np.ndarray]


def mel(case: Case, stated: Stated, arrays: Arrays) -> None:
    """The filter bank, and every signal as dB."""
    settings = AudioSettings()
    case.compare("filters", mel_filters(48_000, 1024, 96), arrays["mel_filterbank_513x96"], FILTERS)
    front = MelFrontEnd(settings)
    made = rules.signals(stated["seed"])
    case.count("signals", len(made.keys() ^ stated["signals"].keys()))
    for name in made.keys() & stated["signals"].keys():
        wave, rate = made[name]
        facts, expected = stated["signals"][name], arrays[name]
        samples = [*wave.ravel()[:8], *wave.ravel()[-8:]]
        case.compare(f"{name}.wave", samples, [*facts["waveform_first8"], *facts["waveform_last8"]], WAVE)
        if f"{name}_resampled_every_37th" in arrays:
            ours = resample(wave.mean(0, dtype=np.float32), rate, settings.sample_rate)
            case.compare(f"{name}.resampled", ours[::37], arrays[f"{name}_resampled_every_37th"], WAVE)
        with torch.inference_mode():
            window = torch.from_numpy(one_window(wave, rate))
            decibels = front(window[None, None])[0, 0].numpy()
        loud = expected >= AUDIBLE
        tolerance = NOISE if loud.all() else TONES
        case.compare(name, decibels[loud], expected[loud], tolerance)
        case.count(f"{name}.faint", int((decibels[~loud] > FAINT).sum()))


def tables(case: Case, stated: Stated, arrays: Arrays) -> None:
    """Frames, windows, sizes and crops: all exact."""
    frames, target, short, size = (stated[key] for key in ("frames", "target_fps", "short_side", "crop"))

    def at_25(row: Stated) -> bool:
        indices = windows.resampled(row["n_frames"], row["fps"], target)
        listed = row["resampled_indices"]
        return bool(
            len(indices) == row["resampled_length"]
            and zlib.crc32(indices.astype("<i4").tobytes()) == row["resampled_indices_crc32"]
            and (listed is None or indices.tolist() == listed)
            and windows.frames_of_clip(row["n_frames"], row["fps"], frames, target).tolist() == row["frames_16"]
        )

    def in_video(row: Stated) -> bool:
        top, bottom = row["last_timestamp"]
        return bool([list(window) for window in windows.video_windows(top / bottom)] == row["windows_s"])

    def in_audio(row: Stated) -> bool:
        spans = windows.audio_windows(row["num_samples"], row["sample_rate"])
        return bool([list(window) for window in spans] == row["windows_samples"])

    def cropped(row: Stated) -> bool:
        height, width = windows.scaled_size(row["height"], row["width"], short)
        boxes = [[*corner, size, size] for corner in windows.five_crops(height, width, size)]
        return [height, width, boxes] == [
            row["scaled_height"],
            row["scaled_width"],
            row["crops_top_left_height_width"],
        ]

    case.count("frame_selection", failures(at_25, stated["frame_selection"]))
    case.count("clip_windows_video", failures(in_video, stated["clip_windows_video_T3"]))
    case.count("clip_windows_audio", failures(in_audio, stated["clip_windows_audio_T3"]))
    case.count("scale_and_crops", failures(cropped, stated["scale_and_crops"]))


def pixels(case: Case, stated: Stated, arrays: Arrays) -> None:
    """Whole clips through the picture's way, down to the pixel."""
    offsets = rules.generator("video.offsets", stated["seed"]).integers(0, 256, size=3)
    case.count("offsets", int((offsets != stated["offsets"]).sum()))
    for row in stated["videos"]:
        name, height, width = row["name"], row["height"], row["width"]
        chosen = windows.frames_of_clip(row["n_frames"], row["fps"])
        pictures = [scaled(rules.frame(height, width, int(index), offsets)) for index in chosen]
        made = crops(torch.stack(pictures)).transpose(0, 4, 1, 2, 3)
        case.compare(f"{name}.grid", made[:, :, ::5, ::31, ::31], arrays[f"{name}_grid"], PIXELS)
        case.compare(f"{name}.corner", made[:, :, 0, :8, :8], arrays[f"{name}_corner"], PIXELS)
        case.compare(f"{name}.tail", made[:, :, 15, -8:, -8:], arrays[f"{name}_tail"], PIXELS)
        means, spreads = made.mean((1, 2, 3, 4), dtype=np.float64), made.std((1, 2, 3, 4), dtype=np.float64)
        case.compare(f"{name}.mean", [means, spreads], [row["crop_mean"], row["crop_std"]], PIXELS)


def failures(holds: Callable[[Stated], bool], rows: Iterable[Stated]) -> int:
    return sum(not holds(row) for row in rows)
