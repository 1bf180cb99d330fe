"""kNN-VC (Baas et al. 2023): every moment of the speech is replaced by the reference's most similar moments."""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple

from services.dubbing.engines.conversion import CoquiConverter, own_wavlm
from services.dubbing.engines.resident import one_file
from shared.engines.protocols import Licence


class _Model(NamedTuple):
    matcher: Any
    vocoder: Any


class KnnVc(CoquiConverter):
    """See :class:`shared.engines.protocols.VoiceConverter`. Draws nothing: deterministic.

    The folder holds ``WavLM-Large.pt`` and, in it or in ``vocoder/``, ``config.json`` and ``model.pth`` of the HiFi-GAN
    that was trained on WavLM's features (kNN-VC's ``prematched``). ``extra["topk"]``: moments averaged (4).
    """

    name: ClassVar[str] = "knn-vc"
    licence: ClassVar[Licence] = Licence(
        "MIT",
        note="kNN-VC and its vocoder. WavLM-Large is stated as MIT by its code and CC-BY-SA-3.0 by its model card.",
    )
    input_rate: ClassVar[int] = 16_000
    memory_mb: ClassVar[int] = 2500
    sample_rate = 16_000

    def open(self) -> _Model:
        from TTS.config import load_config
        from TTS.vc.configs.knnvc_config import KNNVCConfig
        from TTS.vc.models import knnvc
        from TTS.vocoder.models import setup_generator

        config = KNNVCConfig()
        config.topk = int(self._options.extra.get("topk") or config.topk)
        with own_wavlm(knnvc, one_file(self._folder, "WavLM-Large.pt", "wavlm/*.pt", "*.pt")):
            matcher = knnvc.KNNVC(config)
        config.wavlm_layer = min(config.wavlm_layer, len(matcher.wavlm.encoder.layers))
        sound = load_config(str(one_file(self._folder, "vocoder/config.json", "config.json")))
        vocoder = setup_generator(sound)
        state = self._torch.load(
            one_file(self._folder, "vocoder/*.pth", "*.pth"), map_location="cpu", weights_only=True
        )["model"]
        # Saved by itself, or as half of a network in training.
        own = {name.removeprefix("model_g."): value for name, value in state.items() if not name.startswith("model_d.")}
        vocoder.load_state_dict(own)
        return _Model(matcher.to(self._device).eval(), vocoder.to(self._device).eval())

    def run(self, model: _Model, speech: Any, reference: Any) -> Any:
        matcher = model.matcher
        # References come trimmed: the library's own trimming may take all of a quiet one.
        reference_features = matcher.get_features(reference, vad_trigger_level=0)
        speech_features = matcher.get_features(speech, vad_trigger_level=0)
        converted_features = matcher.match(
            speech_features.float(), reference_features.float(), topk=min(matcher.config.topk, len(reference_features))
        )
        return model.vocoder.forward(converted_features)
