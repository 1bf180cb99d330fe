"""FreeVC (Li et al. 2022): what is said by WavLM through a bottleneck, who says it by a speaker embedding."""

from __future__ import annotations

from typing import Any, ClassVar

from services.dubbing.engines.conversion import CoquiConverter, own_wavlm
from services.dubbing.engines.resident import one_file
from shared.engines.protocols import Licence


class FreeVc(CoquiConverter):
    """See :class:`shared.engines.protocols.VoiceConverter`. Draws with the settings' seed.

    The folder holds ``config.json`` and ``model.pth`` of freevc24, ``WavLM-Large.pt`` and ``speaker_encoder.pt``.
    """

    name: ClassVar[str] = "freevc"
    licence: ClassVar[Licence] = Licence(
        "MIT", note="FreeVC. WavLM-Large is stated as MIT by its code and CC-BY-SA-3.0 by its model card."
    )
    input_rate: ClassVar[int] = 16_000
    memory_mb: ClassVar[int] = 2500
    sample_rate = 24_000

    def open(self) -> Any:
        from TTS.config import load_config
        from TTS.vc.models import freevc

        speaker = one_file(self._folder, "speaker_encoder.pt", "speaker_encoder*")

        class Local(freevc.FreeVC):  # type: ignore[misc,unused-ignore]  # without its library: Any
            def load_pretrained_speaker_encoder(self) -> None:
                self.enc_spk_ex = freevc.SpeakerEncoderEx(str(speaker))

        config = load_config(str(one_file(self._folder, "config.json")))
        with own_wavlm(freevc, one_file(self._folder, "WavLM-Large.pt", "[Ww]av[Ll][Mm]*.pt")):
            model = Local(config)
        state = self._torch.load(
            one_file(self._folder, "model.pth", "model_file.pth", "freevc*.pth"), map_location="cpu", weights_only=True
        )["model"]
        # WavLM and the speaker encoder were loaded from their own files.
        own = {name: value for name, value in state.items() if not name.startswith(("wavlm.", "enc_spk_ex."))}
        lost = [name for name in model.load_state_dict(own, strict=False).missing_keys if not skipped(name)]
        if lost:
            raise ValueError(f"the checkpoint lacks {lost[0]}")
        if int(config.audio.output_sample_rate) != self.sample_rate:
            raise ValueError(f"it speaks at {config.audio.output_sample_rate} Hz, not at {self.sample_rate}")
        return model.to(self._device).eval()

    def run(self, model: Any, speech: Any, reference: Any) -> Any:
        return model.voice_conversion(speech, [reference])


def skipped(name: str) -> bool:
    return name.startswith(("wavlm.", "enc_spk_ex."))
