"""What the voice converters of coqui-tts share: speech in blocks, one seed, the same length out as in."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from services.dubbing.engines.coqui import library
from services.dubbing.engines.resident import Resident, loading, model_folder, needing, use_threads
from shared.audio.signal import fit_length, resample
from shared.core.errors import EngineError
from shared.engines.accelerator import BatchSize, drawing, in_batches, torch_device, torch_dtype
from shared.engines.protocols import Audio, EngineOptions, Licence, WeightFiles
from shared.weights import default_folder
from shared.weights.local import absent, local_digests, registered_names, repositories

MIN_REFERENCE_SECONDS = 1.0
LONGEST_SECONDS = 20.0
"""Longer speech is converted in blocks, cut where it is quietest: attention grows with the square of the length."""
SEARCH_SECONDS = 4.0
"""Before the end of a block, where the quietest place is looked for."""

_wavlm = threading.Lock()


class CoquiConverter:
    """See :class:`shared.engines.protocols.VoiceConverter`. Subclasses load a model and convert one block.

    Options: ``model`` is a folder with the model's files (each class lists them); where none is given, the one of the
    engine's name in the folder of all models; ``extra``: ``dtype`` (float32 unless set). Lines are converted one at a
    time: the library's models take no padding mask.
    """

    name: ClassVar[str]
    licence: ClassVar[Licence]
    input_rate: ClassVar[int]
    """Sample rate that the model hears at, Hz."""
    repo: ClassVar[str] = ""
    """Where the release is on the model hub; empty where it is on none."""
    packages: ClassVar[tuple[str, ...]] = ("coqui-tts", "torch", "torchaudio")
    memory_mb: ClassVar[int]
    sample_rate: int

    def __init__(self, options: EngineOptions, weights: WeightFiles) -> None:
        with needing("voice_converter", self.name), library():
            import torch
            import TTS.vc.models  # noqa: F401
        self._torch = torch
        self._options = options
        self._device = torch_device(options)
        self._dtype = torch_dtype(options) if options.extra.get("dtype") else torch.float32
        self._folder = model_folder(self.placed(options), weights)
        self._model: Resident[Any] = Resident(self._load)
        self._lock = threading.RLock()

    @classmethod
    def weights(cls, options: EngineOptions) -> tuple[str, ...]:
        return registered_names(cls.placed(options))

    @classmethod
    def digests(cls, options: EngineOptions) -> dict[str, str]:
        return local_digests(cls.placed(options))

    @classmethod
    def absent(cls, options: EngineOptions, language: str) -> tuple[str, ...]:
        return absent(cls.placed(options))

    @classmethod
    def repositories(cls, options: EngineOptions, language: str) -> tuple[str, ...]:
        return repositories(cls.placed(options))

    @classmethod
    def placed(cls, options: EngineOptions) -> EngineOptions:
        """The options with the folder that is meant, or the hub's repository where there is none of that name."""
        if options.model:
            return options
        folder = default_folder() / cls.name
        return replace(options, model=cls.repo if cls.repo and not folder.exists() else str(folder))

    def release(self) -> None:
        """Give the memory back; the model is loaded again when needed."""
        self._model.release()

    def open(self) -> Any:
        """The model on its device, ready to convert."""
        raise NotImplementedError

    def run(self, model: Any, speech: Any, reference: Any) -> Any:
        """Tensors ``[samples]`` at ``input_rate`` → tensor or array ``[samples]`` at ``sample_rate``."""
        raise NotImplementedError

    def convert(self, speech: Audio, reference: Audio) -> Audio:
        """``speech`` with the voice of ``reference``, same length; both mono at ``sample_rate``.

        Raises:
            EngineError: ``no_reference`` below 1 s of it, ``out_of_memory``, ``engine_failed``.
        """
        if not speech.size:
            return np.zeros(0, np.float32)
        if reference.size < MIN_REFERENCE_SECONDS * self.sample_rate or not np.any(reference):
            raise EngineError(
                "There is too little clean speech of this speaker to take the voice from.", code="no_reference"
            )
        blocks = cut_where_quiet(speech, self.sample_rate)
        with self._lock:
            model = self._model()
            heard = self._tensor(reference)
            with drawing(self._device, self._dtype, self._options.seed):
                done = in_batches(blocks, lambda batch: [self._block(model, batch[0], heard)], BatchSize(1), len)
        return np.concatenate(done)

    def _block(self, model: Any, block: Audio, reference: Any) -> Audio:
        # The networks look at 1,280 samples and more at a time; a shorter block is filled with silence.
        least = self.sample_rate // 5
        whole = fit_length(block, max(block.size, least))
        out = self.run(model, self._tensor(whole), reference)
        if hasattr(out, "detach"):
            out = out.detach().float().cpu().numpy()
        audio = np.asarray(out, np.float32).ravel()
        if not audio.size or not np.isfinite(audio).all():
            raise EngineError("The converter returned no usable sound.", code="engine_failed")
        return fit_length(fit_length(audio, whole.size), block.size)

    def _tensor(self, audio: Audio) -> Any:
        heard = np.ascontiguousarray(resample(audio, self.sample_rate, self.input_rate), np.float32)
        return self._torch.from_numpy(heard).to(self._device)

    def _load(self) -> Any:
        use_threads(self._torch, self._options)
        with loading(self.name), library():
            return self.open()


def cut_where_quiet(audio: Audio, sample_rate: int) -> list[Audio]:
    """Blocks of at most 20 s that make the audio when joined."""
    longest, search = int(LONGEST_SECONDS * sample_rate), int(SEARCH_SECONDS * sample_rate)
    frame = sample_rate // 50
    out = []
    while audio.size > longest:
        tail = audio[longest - search : longest]
        power = np.square(tail[: tail.size // frame * frame]).reshape(-1, frame).mean(axis=1)
        cut = longest - search + int(np.argmin(power)) * frame + frame // 2
        out.append(audio[:cut])
        audio = audio[cut:]
    return [*out, audio]


@contextmanager
def own_wavlm(module: Any, path: Path) -> Iterator[None]:
    """Inside, the library's models take WavLM from ``path``.

    By itself the library fetches it from the network when a model is constructed, without looking at a hash.
    """
    import torch
    from TTS.vc.layers.freevc.wavlm.wavlm import WavLM, WavLMConfig

    def read() -> Any:
        stored = torch.load(path, map_location="cpu", weights_only=True)
        network = WavLM(WavLMConfig(stored["cfg"]))
        network.load_state_dict(stored["model"])
        return network.eval()

    with _wavlm:
        usual = module.get_wavlm
        module.get_wavlm = read
        try:
            yield
        finally:
            module.get_wavlm = usual
