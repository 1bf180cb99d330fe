"""OpenVoice's tone colour converter (Qin et al. 2023): a flow that takes one voice out and puts another in."""

from __future__ import annotations

import json
from typing import Any, ClassVar

from services.dubbing.engines.conversion import CoquiConverter
from services.dubbing.engines.resident import one_file
from shared.engines.protocols import EngineOptions, Licence, WeightFiles


class OpenVoice(CoquiConverter):
    """See :class:`shared.engines.protocols.VoiceConverter`. Draws with the settings' seed.

    The folder is the ``converter`` folder of the release: ``config.json`` and ``checkpoint.pth``. Without one the hub's
    model is taken.
    """

    name: ClassVar[str] = "openvoice"
    licence: ClassVar[Licence] = Licence("MIT")
    input_rate: ClassVar[int] = 22_050
    repo: ClassVar[str] = "myshell-ai/OpenVoiceV2"
    memory_mb: ClassVar[int] = 1000
    sample_rate = 22_050

    def __init__(self, options: EngineOptions, weights: WeightFiles) -> None:
        super().__init__(options, weights)
        if (self._folder / "converter").is_dir():
            self._folder = self._folder / "converter"

    def open(self) -> Any:
        from TTS.vc.configs.openvoice_config import OpenVoiceConfig
        from TTS.vc.models.openvoice import OpenVoice as Model

        path = one_file(self._folder, "config.json")
        stated = json.loads(path.read_text(encoding="utf-8"))
        config = OpenVoiceConfig()
        for name, value in stated.get("model", {}).items():
            if hasattr(config.model_args, name):
                setattr(config.model_args, name, value)
        config.audio.fft_size = stated["data"]["filter_length"]
        model = Model(config)
        # The library reads the rest of the configuration from beside the checkpoint.
        model.load_checkpoint(config, str(one_file(self._folder, "checkpoint.pth", "*.pth")), eval=True)
        if int(model.config.audio.output_sample_rate) != self.sample_rate:
            raise ValueError(f"it speaks at {model.config.audio.output_sample_rate} Hz, not at {self.sample_rate}")
        return model.to(self._device)

    def run(self, model: Any, speech: Any, reference: Any) -> Any:
        return model.voice_conversion(speech, [reference])
