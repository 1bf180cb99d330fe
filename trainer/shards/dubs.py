"""Real dubs: clips named as in LVU-M, or films with several sound streams."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from shared.core.errors import InputError, UsageError
from shared.core.languages import code
from shared.core.records import Probe
from shared.media import child
from shared.media.opened_file import open_media
from shared.media.probing import survey
from shared.pipeline.title_names import VIDEO_SUFFIXES, safe_name, walk
from shared.settings.models import LimitSettings
from trainer.shards.member_names import file_digest, key_of, with_digest
from trainer.shards.pairs import Planned
from trainer.shards.records import ShotPlan, SoundSource
from trainer.shards.shot_extraction import LONGEST, SHORTEST

CLIP = re.compile(r"(?P<title>.+)_(?P<shot>\d{1,6})_(?P<language>[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})?)")
"""Stem of a clip in LVU-M's layout: ``{title}_{shot}_{language}``."""

Spans = Sequence[tuple[float, float]]
Cuts = Callable[[Path, Probe], Spans]
"""Shots of a film: start and end in seconds from the start of its picture."""


def windows(_path: Path, probe: Probe) -> Spans:
    """A film without known shots, cut into equal windows as long as shots may be."""
    count = max(1, round(probe.video.duration / 8.0))
    step = probe.video.duration / count
    return [(number * step, (number + 1) * step) for number in range(count)]


def plan_dubs(folder: Path, primary: str, cuts: Cuts = windows) -> Planned:
    """Plans for all videos below a folder, in order of title and shot.

    Args:
        primary: Language of the original sound, which becomes ``orig``.
        cuts: Where films are cut; clips in LVU-M's layout are one shot each.

    Raises:
        UsageError: ``no_input`` when there is no video, ``unknown_language``.
    """
    if not folder.is_dir():
        raise UsageError(f"“{folder.name}” is no folder.", code="no_input")
    original = code(primary)
    videos = [path for path in walk(folder) if path.suffix.lower() in VIDEO_SUFFIXES]
    if not videos:
        raise UsageError(f"“{folder.name}” holds no video.", code="no_input")
    clips: dict[tuple[str, int], dict[str, Path]] = {}
    films = []
    for path in videos:
        match = CLIP.fullmatch(path.stem)
        if match:
            language = tag(match["language"])
            clips.setdefault((match["title"], int(match["shot"])), {}).setdefault(language, path)
        else:
            films.append(path)
    left_out = Counter[str]()
    plans = [*clip_plans(clips, original, left_out), *film_plans(films, original, cuts, left_out)]
    return Planned(sorted(plans, key=lambda plan: (plan.title, plan.shot)), left_out)


def tag(text: str) -> str:
    """ISO 639-1 where there is one, else as it was written."""
    try:
        return code(text)
    except UsageError:
        return text.lower()


def clip_plans(clips: dict[tuple[str, int], dict[str, Path]], original: str, left_out: Counter[str]) -> list[ShotPlan]:
    """One plan for each clip that has the original language; its picture is taken from there."""
    plans = []
    for (title, shot), languages in clips.items():
        if original not in languages:
            left_out["no_orig"] += 1
            continue
        try:
            digests = {str(path): file_digest(path) for path in languages.values()}
        except InputError as error:
            left_out[error.code] += 1
            continue
        sounds = {
            name_of(language, original): SoundSource(path=str(path), stream=-1, language=language)
            for language, path in sorted(languages.items(), key=lambda item: (item[0] != original, item[0]))
        }
        plan = ShotPlan(
            key=key_of(title, shot),
            title=title,
            shot=shot,
            start=0.0,
            end=None,
            source_language=original,
            picture=str(languages[original]),
            picture_start=0.0,
            sounds=sounds,
        )
        plans.append(with_digest(plan, digests))
    return plans


def film_plans(films: Sequence[Path], original: str, cuts: Cuts, left_out: Counter[str]) -> list[ShotPlan]:
    """Shots of films; a film that cannot be used is counted."""
    plans, limits = [], LimitSettings()
    names = Counter[str]()
    for path in films:
        title = safe_name(path.stem)
        names[title] += 1
        title = title if names[title] == 1 else f"{title}-{names[title]}"
        try:
            probe = survey(path, limits)
            streams = child.call("trainer.shards.dubs:sound_streams", {"path": str(path)}, timeout=60)
            sounds = sounds_of(path, streams, original)
            digests = {str(path): file_digest(path)}
            spans = cuts(path, probe)
        except InputError as error:
            left_out[error.code] += 1
            continue
        for shot, (start, end) in enumerate(spans):
            if not SHORTEST <= end - start <= LONGEST:
                left_out["too_short" if end - start < SHORTEST else "too_long"] += 1
                continue
            plan = ShotPlan(
                key=key_of(title, shot),
                title=title,
                shot=shot,
                start=start,
                end=end,
                source_language=original,
                picture=str(path),
                picture_start=probe.video.start + start,
                sounds=sounds,
            )
            plans.append(with_digest(plan, digests))
    return plans


def sound_streams(path: str, progress: Callable[[float], None] = child.ignore) -> list[dict[str, Any]]:
    """The child's part: index and language tag of each sound stream that a decoder is known for."""
    with open_media(Path(path)) as container:
        return [
            {"index": stream.index, "language": stream.metadata.get("language", "")}
            for stream in container.streams.audio
            if stream.codec_context is not None
        ]


def sounds_of(path: Path, streams: Sequence[dict[str, Any]], original: str) -> dict[str, SoundSource]:
    """Tracks of a film by its streams' tags; of two in one language the first. A lone untagged one is the original.

    Raises:
        InputError: ``no_sound``, ``no_orig``.
    """
    if not streams:
        raise InputError("The film has no sound.", code="no_sound")
    tagged: dict[str, int] = {}
    untagged = []
    for stream in streams:
        try:
            tagged.setdefault(code(stream["language"]), stream["index"])
        except UsageError:
            untagged.append(stream["index"])
    if original not in tagged:
        if len(untagged) != 1:
            raise InputError(f"No sound of the film is tagged {original}.", code="no_orig")
        tagged[original] = untagged[0]
    return {
        name_of(language, original): SoundSource(path=str(path), stream=index, language=language)
        for language, index in sorted(tagged.items(), key=lambda item: (item[0] != original, item[0]))
    }


def name_of(language: str, original: str) -> str:
    return "orig" if language == original else language
