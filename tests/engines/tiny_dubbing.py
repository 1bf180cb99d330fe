"""Synthesisers and voice converters in the formats of their releases, small enough to be made by a test."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from services.dubbing.engines.coqui import library

LETTERS = "abcdefghijklmnopqrstuvwxyz'áéíñóú "
XTTS_LANGUAGES = ("en", "es", "fr", "ja")


def mms(folder: Path, seed: int = 0, rate: int = 16_000) -> Path:
    """One language's VITS as transformers saves it."""
    import torch
    from transformers import VitsConfig, VitsModel

    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = {"_": 0, **{letter: number + 1 for number, letter in enumerate(LETTERS)}}
    vocabulary["<unk>"] = len(vocabulary)
    (folder / "vocab.json").write_text(json.dumps(vocabulary), encoding="utf-8")
    stated = {"add_blank": True, "language": "spa", "normalize": True, "phonemize": False, "is_uroman": False}
    stated |= {"pad_token": "_", "unk_token": "<unk>", "tokenizer_class": "VitsTokenizer"}
    (folder / "tokenizer_config.json").write_text(json.dumps(stated), encoding="utf-8")
    torch.manual_seed(seed)
    config = VitsConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        ffn_dim=32,
        flow_size=32,
        spectrogram_bins=65,
        upsample_initial_channel=32,
        posterior_encoder_num_wavenet_layers=2,
        prior_encoder_num_wavenet_layers=1,
        prior_encoder_num_flows=2,
        duration_predictor_num_flows=2,
        sampling_rate=rate,
    )
    VitsModel(config).save_pretrained(folder)
    return folder


@library()
def coqui_vits(folder: Path, speakers: tuple[str, ...] = (), language: str = "en-us") -> Path:
    """A folder as Coqui releases a VITS: ``config.json``, ``model_file.pth``, ``speakers.pth`` if it has several."""
    import torch
    from TTS.tts.configs.vits_config import VitsConfig
    from TTS.tts.models.vits import Vits

    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    config = VitsConfig()
    small = {
        "hidden_channels": 16,
        "hidden_channels_ffn_text_encoder": 32,
        "num_layers_text_encoder": 1,
        "num_heads_text_encoder": 2,
        "num_layers_flow": 1,
        "num_layers_posterior_encoder": 1,
        "upsample_initial_channel_decoder": 32,
        "use_speaker_embedding": bool(speakers),
        "num_speakers": len(speakers),
    }
    for name, value in small.items():
        setattr(config.model_args, name, value)
    config.use_phonemes = False
    config.text_cleaner = "basic_cleaners"
    config.phoneme_language = language
    if speakers:
        torch.save({name: number for number, name in enumerate(speakers)}, folder / "speakers.pth")
        config.model_args.speakers_file = str(folder / "speakers.pth")
        config.num_speakers, config.use_speaker_embedding = len(speakers), True
    model = Vits(config)
    if speakers:
        # As released: the path of the machine where it was trained.
        config.speakers_file = config.model_args.speakers_file = "/trained/elsewhere/speakers.pth"
    torch.save({"model": model.state_dict(), "config": config.to_dict()}, folder / "model_file.pth")
    config.save_json(str(folder / "config.json"))
    return folder


@library()
def xtts(folder: Path, languages: tuple[str, ...] = XTTS_LANGUAGES) -> Path:
    """XTTS with one narrow layer; its sound decoder cannot be made smaller than 97 MB."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from TTS.tts.configs.xtts_config import XttsConfig
    from TTS.tts.models.xtts import Xtts

    folder.mkdir(parents=True, exist_ok=True)
    special = ["[STOP]", "[UNK]", "[SPACE]", "[START]", *(f"[{one}]" for one in languages)]
    vocabulary = {piece: number for number, piece in enumerate([*special, *"abcdefghijklmnopqrstuvwxyz.,!?'"])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[], unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.add_special_tokens(special)
    tokenizer.save(str(folder / "vocab.json"))
    torch.manual_seed(0)
    config = XttsConfig(languages=list(languages))
    small = {
        "gpt_layers": 1,
        "gpt_n_model_channels": 64,
        "gpt_n_heads": 2,
        "gpt_number_text_tokens": len(vocabulary),
        "gpt_max_audio_tokens": 30,
        "gpt_max_text_tokens": 60,
        "decoder_input_dim": 64,
        "tokenizer_file": str(folder / "vocab.json"),
    }
    for name, value in small.items():
        setattr(config.model_args, name, value)
    model = Xtts(config)
    torch.save({"model": model.state_dict()}, folder / "model.pth")
    torch.save(
        {"Ana": {"gpt": torch.zeros(1, 32, 64), "speaker": torch.randn(1, 512, 1)}}, folder / "speakers_xtts.pth"
    )
    config.save_json(str(folder / "config.json"))
    return folder


@library()
def wavlm(path: Path, width: int = 32) -> Path:
    """WavLM as it is released: its configuration and its weights in one file."""
    import torch
    from TTS.vc.layers.freevc.wavlm.wavlm import WavLM, WavLMConfig

    stated: dict[str, Any] = {
        "encoder_layers": 2,
        "encoder_embed_dim": width,
        "encoder_ffn_embed_dim": 64,
        "encoder_attention_heads": 2,
        "conv_feature_layers": "[(16,10,5)] + [(16,3,2)] * 4 + [(16,2,2)] * 2",
        "conv_pos": 16,
        "conv_pos_groups": 4,
        "relative_position_embedding": True,
        "gru_rel_pos": True,
    }
    torch.manual_seed(0)
    torch.save({"cfg": stated, "model": WavLM(WavLMConfig(stated)).state_dict()}, path)
    return path


@library()
def knn_vc(folder: Path, width: int = 32) -> Path:
    """WavLM, and a HiFi-GAN on its features as the library releases it."""
    import torch
    from TTS.vocoder.configs import HifiganConfig
    from TTS.vocoder.models.gan import GAN

    (folder / "vocoder").mkdir(parents=True, exist_ok=True)
    wavlm(folder / "WavLM-Large.pt", width)
    torch.manual_seed(0)
    config = HifiganConfig()
    config.audio.sample_rate = 16_000
    config.generator_model_params = {
        "in_channels": 16,
        "pre_linear": width,
        "upsample_factors": [10, 8, 2, 2],
        "upsample_kernel_sizes": [20, 16, 4, 4],
        "upsample_initial_channel": 32,
        "resblock_kernel_sizes": [3],
        "resblock_dilation_sizes": [[1, 3, 5]],
        "resblock_type": "1",
        "inference_padding": 0,
    }
    network = GAN(config)
    torch.save(
        {"model": {f"model_g.{name}": value for name, value in network.model_g.state_dict().items()}},
        folder / "vocoder" / "model.pth",
    )
    config.save_json(str(folder / "vocoder" / "config.json"))
    return folder


@library()
def released_knn_vc(folder: Path) -> Path:
    """kNN-VC's own release: the vocoder at its true size, named as torch's older weight norm does, no configuration."""
    import torch
    from TTS.vocoder.configs import HifiganConfig
    from TTS.vocoder.models import setup_generator

    from services.dubbing.engines.knn_vc import RELEASED

    folder.mkdir(parents=True, exist_ok=True)
    wavlm(folder / "WavLM-Large.pt", 1024)
    torch.manual_seed(0)
    state = setup_generator(HifiganConfig(generator_model_params=dict(RELEASED))).state_dict()
    older = {".parametrizations.weight.original0": ".weight_g", ".parametrizations.weight.original1": ".weight_v"}
    for new, old in older.items():
        state = {name.replace(new, old): value for name, value in state.items()}
    torch.save({"generator": state}, folder / "prematch_g_02500000.pt")
    return folder


@library()
def freevc(folder: Path, width: int = 32) -> Path:
    """FreeVC with its three parts: its own weights, WavLM and the speaker encoder."""
    import torch
    from TTS.vc.configs.freevc_config import FreeVCConfig
    from TTS.vc.layers.freevc.speaker_encoder import hparams
    from TTS.vc.models import freevc as theirs

    from services.dubbing.engines.conversion import own_wavlm

    folder.mkdir(parents=True, exist_ok=True)
    wavlm(folder / "WavLM-Large.pt", width)
    torch.manual_seed(0)
    size = hparams.model_hidden_size
    encoder = torch.nn.ModuleDict(
        {
            "lstm": torch.nn.LSTM(hparams.mel_n_channels, size, hparams.model_num_layers, batch_first=True),
            "linear": torch.nn.Linear(size, hparams.model_embedding_size),
        }
    )
    torch.save({"model_state": encoder.state_dict()}, folder / "speaker_encoder.pt")
    config = FreeVCConfig()
    small = {
        "inter_channels": 16,
        "hidden_channels": 16,
        "filter_channels": 32,
        "upsample_initial_channel": 32,
        "resblock_kernel_sizes": [3],
        "resblock_dilation_sizes": [[1, 3, 5]],
        "ssl_dim": width,
    }
    for name, value in small.items():
        setattr(config.model_args, name, value)

    class Local(theirs.FreeVC):  # type: ignore[misc,unused-ignore]
        def load_pretrained_speaker_encoder(self) -> None:
            self.enc_spk_ex = theirs.SpeakerEncoderEx(str(folder / "speaker_encoder.pt"))

    with own_wavlm(theirs, folder / "WavLM-Large.pt"):
        model = Local(config)
    torch.save({"model": model.state_dict()}, folder / "model.pth")
    config.save_json(str(folder / "config.json"))
    return folder


@library()
def openvoice(folder: Path) -> Path:
    """OpenVoice's converter: the configuration in its makers' own form."""
    import torch
    from TTS.vc.configs.openvoice_config import OpenVoiceConfig
    from TTS.vc.models.openvoice import OpenVoice

    folder.mkdir(parents=True, exist_ok=True)
    small = {
        "zero_g": True,
        "inter_channels": 16,
        "hidden_channels": 16,
        "filter_channels": 32,
        "resblock": "1",
        "resblock_kernel_sizes": [3],
        "resblock_dilation_sizes": [[1, 3, 5]],
        "upsample_rates": [8, 8, 2, 2],
        "upsample_initial_channel": 32,
        "upsample_kernel_sizes": [16, 16, 4, 4],
        "gin_channels": 16,
    }
    stated = {
        "_version_": "v2",
        "data": {
            "sampling_rate": 22_050,
            "filter_length": 1024,
            "hop_length": 256,
            "win_length": 1024,
            "n_speakers": 0,
        },
        "model": small,
    }
    (folder / "config.json").write_text(json.dumps(stated), encoding="utf-8")
    torch.manual_seed(0)
    config = OpenVoiceConfig()
    for name, value in small.items():
        setattr(config.model_args, name, value)
    model = OpenVoice(config)
    with torch.no_grad():
        # A new flow changes nothing: its last layers start at zero, and so would the voice not matter.
        for name, value in model.flow.named_parameters():
            if ".post." in name:
                value.normal_(0, 0.1)
    torch.save({"model": model.state_dict()}, folder / "checkpoint.pth")
    return folder
