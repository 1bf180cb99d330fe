"""kNN-VC (Baas et al. 2023): every moment of the speech is replaced by the reference's most similar moments."""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple

from services.dubbing.engines.conversion import CoquiConverter, own_wavlm
from services.dubbing.engines.resident import one_file
from shared.engines.protocols import Licence

RELEASED = {
    "in_channels": 512,
    "pre_linear": 1024,
    "upsample_factors": [10, 8, 2, 2],
    "upsample_kernel_sizes": [20, 16, 4, 4],
    "upsample_initial_channel": 512,
    "resblock_type": "1",
    "resblock_kernel_sizes": [3, 7, 11],
    "resblock_dilation_sizes": [[1, 3, 5], [1, 3, 5], [1, 3, 5]],
    "inference_padding": 0,
}
"""The HiFi-GAN of kNN-VC's release, whose configuration is among its sources (hifigan/config_v1_wavlm.json)."""


class _Model(NamedTuple):
    matcher: Any
    vocoder: Any


class KnnVc(CoquiConverter):
    """See :class:`shared.engines.protocols.VoiceConverter`. Draws nothing: deterministic.

    The folder holds ``WavLM-Large.pt`` and the HiFi-GAN that was trained on its features, as kNN-VC released it
    (``prematch_g_02500000.pt``) or, in the folder or in ``vocoder/``, as coqui-tts did (``config.json`` and
    ``model.pth``). ``extra["topk"]``: moments averaged (4).
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
        from TTS.vocoder.configs import HifiganConfig
        from TTS.vocoder.models import setup_generator

        config = KNNVCConfig()
        config.topk = int(self._options.extra.get("topk") or config.topk)
        with own_wavlm(knnvc, one_file(self._folder, "WavLM-Large.pt", "wavlm/*.pt", "*.pt")):
            matcher = knnvc.KNNVC(config)
        config.wavlm_layer = min(config.wavlm_layer, len(matcher.wavlm.encoder.layers))
        released = [*self._folder.glob("prematch_g_*.pt"), *self._folder.glob("vocoder/prematch_g_*.pt")]
        if released:
            sound, file = HifiganConfig(generator_model_params=dict(RELEASED)), released[0]
        else:
            sound = load_config(str(one_file(self._folder, "vocoder/config.json", "config.json")))
            file = one_file(self._folder, "vocoder/*.pth", "*.pth")
        vocoder = setup_generator(sound)
        stored = self._torch.load(file, map_location="cpu", weights_only=True)
        state = stored["generator"] if released else stored["model"]
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
