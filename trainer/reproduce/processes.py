"""What one process does of a miniature: speak, read sounds, draw a world, train and measure."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from shared.core.errors import CounterdubError
from trainer.reproduce.cache import made
from trainer.reproduce.cinema.sounds import Clips, mels, read_clips, read_digits
from trainer.reproduce.cinema.speech import open_bank, speak
from trainer.reproduce.cinema.world import make_world
from trainer.reproduce.probes import STATISTICS, ListeningProbe, hearing_of, measure
from trainer.reproduce.scale import Scale, World
from trainer.reproduce.variants import TrainingVariant

MATERIAL, CLIPS, SPEECH, MEASURED = "material.npz", "clips.npz", "speech.npz", "measured.json"


class Speak(NamedTuple):
    folder: Path
    by: str
    language: str
    sentences: int

    def do(self) -> Path:
        return made(self.folder, lambda part: speak(self.by, self.language, self.sentences, part / SPEECH))


class Read(NamedTuple):
    """Background clips, and the clean sounds and digits of the probes as mels."""

    folder: Path
    data: Path

    def do(self) -> Path:
        return made(self.folder, self.make)

    def make(self, folder: Path) -> None:
        front = front_end()
        clips = read_clips(self.data)
        waves, digit, speaker, take = read_digits(self.data)
        np.savez(folder / CLIPS, **clips._asdict())
        clean = np.concatenate([mels(clips.wave(n)[None], front) for n in range(len(clips.label))])
        np.savez(
            folder / MATERIAL,
            clean=clean,
            clean_fold=clips.fold,
            clean_label=clips.label,
            clean_source=clips.source,
            digits=np.concatenate([mels(wave[None], front) for wave in waves]),
            digit=digit,
            speaker=speaker,
            take=take,
        )


class Draw(NamedTuple):
    folder: Path
    world: World
    scale: Scale
    speech: dict[tuple[str, str], Path]
    sounds: Path

    def do(self) -> Path:
        return made(self.folder, self.make)

    def make(self, folder: Path) -> None:
        bank = open_bank({key: place / SPEECH for key, place in self.speech.items()})
        with np.load(self.sounds / CLIPS) as kept:
            clips = Clips(**kept)
        make_world(folder, self.world, self.scale, bank, clips, front_end())


class Train(NamedTuple):
    """Train, unless it was done; measure, unless these probes were."""

    folder: Path
    training: TrainingVariant
    world: Path
    sounds: Path
    probes: str
    """Hash of what decides the measures."""

    def do(self) -> Path:
        from trainer.encoder import ours
        from trainer.training.loop import train

        measures = self.folder / f"{self.probes}-{MEASURED}"
        if not measures.exists():
            summary = train(self.training.loaded(), str(self.world), self.folder)
            write(measures, hearing_of(ours(summary.checkpoint, cpu())), self.world, self.sounds)
        return measures


class Baseline(NamedTuple):
    """Measure what was not trained: the mels' statistics, or EN's towers before their first step."""

    path: Path
    training: TrainingVariant
    statistics: bool
    world: Path
    sounds: Path

    def do(self) -> Path:
        import torch

        from trainer.encoder import Made
        from trainer.model import Model

        if not self.path.exists():
            hearing = STATISTICS
            if not self.statistics:
                recipe = self.training.loaded()
                torch.manual_seed(recipe.running.seed + 1000)
                model = Model(recipe).eval()
                hearing = hearing_of(Made(recipe, model.audio, model.video, model.project))
            write(self.path, hearing, self.world, self.sounds)
        return self.path


Job = Speak | Read | Draw | Train | Baseline


def work(job: Job) -> Path | dict[str, Any]:
    """Do a job in a process of one thread; a failure comes back as what :meth:`CounterdubError.to_dict` gives."""
    import torch

    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    try:
        return job.do()
    except CounterdubError as error:
        return error.to_dict()


def write(path: Path, hearing: ListeningProbe, world: Path, sounds: Path) -> None:
    """Counts of right items and of all, by source, and the shortcuts."""
    from trainer.evaluation.results.records import RATIO, statistics

    measured, shortcuts = measure(hearing, world, sounds / MATERIAL)
    whole = {
        name: statistics(RATIO, one.sources, np.column_stack([one.right, np.ones(len(one.right))]))
        for name, one in measured.items()
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_text(json.dumps({"statistics": whole, "shortcuts": shortcuts}), encoding="utf-8")
    part.replace(path)


def front_end() -> Any:
    from trainer.frontend.mel import MelFrontEnd
    from trainer.reproduce.scale import FULL
    from trainer.reproduce.variants import trainings

    return MelFrontEnd(trainings(FULL)[0].loaded().audio)


def cpu() -> Any:
    import torch

    return torch.device("cpu")
