"""Translation models of a few kilobytes in the released formats, one of each family, with random weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

CODES = ("en", "es", "fr", "ja")
SEAMLESS = ("eng", "spa", "fra", "jpn", "cmn")
LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZáéíóúñü.,!?¿¡'-0123456789"
LAYERS = {
    "d_model": 16,
    "encoder_layers": 1,
    "decoder_layers": 1,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
    "encoder_ffn_dim": 32,
    "decoder_ffn_dim": 32,
    "max_position_embeddings": 40,
}
"""Few positions, because random models never end."""


def pieces(folder: Path, name: str) -> list[str]:
    """A sentencepiece model of single letters; its pieces."""
    import sentencepiece

    text = folder / "letters.txt"
    text.write_text("\n".join([" ".join(LETTERS), LETTERS, "hello my friend how are you"] * 10), encoding="utf-8")
    sentencepiece.SentencePieceTrainer.train(
        input=str(text), model_prefix=str(folder / name), vocab_size=len(set(LETTERS)) + 8, model_type="char",
        character_coverage=1.0, minloglevel=2, hard_vocab_limit=False,
    )  # fmt: skip
    text.unlink()
    (folder / f"{name}.vocab").unlink()
    model = sentencepiece.SentencePieceProcessor(model_file=str(folder / f"{name}.model"))
    return [model.id_to_piece(place) for place in range(model.get_piece_size())][3:]


def m2m100(folder: Path) -> Path:
    from transformers import M2M100Config, M2M100ForConditionalGeneration, M2M100Tokenizer

    folder.mkdir()
    vocabulary = {piece: n for n, piece in enumerate(["<s>", "<pad>", "</s>", "<unk>", *pieces(folder, "spm")])}
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    tokenizer = M2M100Tokenizer(str(folder / "vocab.json"), str(folder / "spm.model"))
    tokenizer.save_pretrained(folder)
    size = len(vocabulary) + 108
    return saved(M2M100ForConditionalGeneration(M2M100Config(vocab_size=size, **LAYERS)), folder)


def nllb(folder: Path) -> Path:
    from transformers import M2M100Config, M2M100ForConditionalGeneration, NllbTokenizer

    folder.mkdir()
    vocabulary = {piece: n for n, piece in enumerate(["<s>", "<pad>", "</s>", "<unk>", "▁", *LETTERS])}
    tokenizer = NllbTokenizer(vocab=vocabulary, merges=[])
    tokenizer.save_pretrained(folder)
    return saved(M2M100ForConditionalGeneration(M2M100Config(vocab_size=len(tokenizer), **LAYERS)), folder)


def marian(folder: Path, targets: tuple[str, ...] = (), pair: tuple[str, str] = ("en", "es")) -> Path:
    from transformers import MarianConfig, MarianMTModel

    folder.mkdir()
    for name in ("source", "target"):
        found = pieces(folder, name)
        (folder / f"{name}.model").rename(folder / f"{name}.spm")
    tokens = ["</s>", "<unk>", *found, *(f">>{target}<<" for target in targets), "<pad>"]
    (folder / "vocab.json").write_text(json.dumps({piece: n for n, piece in enumerate(tokens)}))
    about = {
        "source_lang": pair[0],
        "target_lang": pair[1],
        "model_max_length": 512,
        "tokenizer_class": "MarianTokenizer",
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(about))
    padding = len(tokens) - 1
    config = MarianConfig(
        vocab_size=len(tokens), pad_token_id=padding, eos_token_id=0, decoder_start_token_id=padding,
        forced_eos_token_id=0, **LAYERS,
    )  # fmt: skip
    return saved(MarianMTModel(config), folder)


def madlad(folder: Path) -> Path:
    from transformers import T5Config, T5ForConditionalGeneration, T5Tokenizer

    folder.mkdir()
    vocabulary = [(piece, -float(n)) for n, piece in enumerate(["<unk>", "<s>", "</s>", "▁", *LETTERS])]
    tokenizer = T5Tokenizer(vocab=vocabulary, extra_ids=0, pad_token="<s>", eos_token="</s>", unk_token="<unk>")
    tokenizer.add_tokens([f"<2{code}>" for code in CODES])
    tokenizer.save_pretrained(folder)
    config = T5Config(
        vocab_size=len(tokenizer), d_model=16, d_kv=8, d_ff=32, num_layers=1, num_heads=2,
        pad_token_id=1, eos_token_id=2, decoder_start_token_id=1, max_position_embeddings=40,
    )  # fmt: skip
    return saved(T5ForConditionalGeneration(config), folder)


def seamless(folder: Path, version: int = 2) -> Path:
    """With speech: a whole SeamlessM4T as published, text and units and vocoder."""
    import transformers

    folder.mkdir()
    vocabulary = {piece: n for n, piece in enumerate(["<pad>", "<unk>", "<s>", "</s>", "▁", *LETTERS])}
    tokenizer = transformers.SeamlessM4TTokenizer(
        vocab=vocabulary, merges=[], additional_special_tokens=[f"__{code}__" for code in SEAMLESS]
    )
    tokenizer.save_pretrained(folder)
    kind = "SeamlessM4T" if version == 1 else "SeamlessM4Tv2"
    small = {
        "vocab_size": len(tokenizer), "t2u_vocab_size": 40, "hidden_size": 16, "max_position_embeddings": 48,
        "encoder_layers": 1, "decoder_layers": 1, "encoder_ffn_dim": 32, "decoder_ffn_dim": 32,
        "encoder_attention_heads": 2, "decoder_attention_heads": 2, "t2u_encoder_layers": 1, "t2u_decoder_layers": 1,
        "t2u_encoder_ffn_dim": 32, "t2u_decoder_ffn_dim": 32, "t2u_encoder_attention_heads": 2,
        "t2u_decoder_attention_heads": 2, "t2u_max_position_embeddings": 512, "speech_encoder_layers": 1,
        "speech_encoder_attention_heads": 2, "speech_encoder_intermediate_size": 32, "unit_hifi_gan_vocab_size": 40,
        "unit_embed_dim": 8, "lang_embed_dim": 4, "spkr_embed_dim": 4, "upsample_initial_channel": 32,
        "vocoder_num_langs": 5, "vocoder_num_spkrs": 3, "pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3,
        "decoder_start_token_id": 3, "vocoder_offset": 0,
    }  # fmt: skip
    if version == 2:
        small |= {
            "char_vocab_size": 100,
            "t2u_variance_predictor_embed_dim": 16,
            "t2u_variance_predictor_hidden_dim": 8,
        }
    config = getattr(transformers, f"{kind}Config")(**small)
    model = getattr(transformers, f"{kind}Model")(config)
    saved(model, folder)
    named = {
        "text_decoder_lang_to_code_id": {code: tokenizer.convert_tokens_to_ids(f"__{code}__") for code in SEAMLESS},
        "t2u_lang_code_to_id": {code: 30 + n for n, code in enumerate(SEAMLESS)},
        "vocoder_lang_code_to_id": {code: n for n, code in enumerate(SEAMLESS)},
        "id_to_text": {str(n): piece for piece, n in tokenizer.get_vocab().items()},
        "char_to_id": {letter: 4 + n for n, letter in enumerate("▁" + LETTERS)},
        "max_new_tokens": 24,
    }
    ids = {name: small[name] for name in ("pad_token_id", "bos_token_id", "eos_token_id", "decoder_start_token_id")}
    (folder / "generation_config.json").write_text(json.dumps({**ids, **named}), encoding="utf-8")
    return folder


def saved(model: Any, folder: Path) -> Path:
    import torch

    torch.manual_seed(0)
    for name, tensor in model.named_parameters():
        # Wide weights: random models with the usual ones say one token for ever.
        if "bias" not in name and "norm" not in name:
            torch.nn.init.normal_(tensor, std=0.3)
    model.save_pretrained(folder)
    return folder
