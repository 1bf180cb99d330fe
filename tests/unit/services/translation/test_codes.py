"""The system's ISO 639-1 codes and what models call the same languages."""

from __future__ import annotations

from services.translation.codes import by_language, find


def test_flores_codes_are_found_by_language() -> None:
    codes = by_language(
        ["spa_Latn", "jpn_Jpan", "kor_Hang", "zho_Hant", "zho_Hans", "yue_Hant", "arz_Arab", "arb_Arab", "azb_Arab",
         "azj_Latn", "nno_Latn", "nob_Latn", "pes_Arab", "swh_Latn", "knc_Arab", "<mask>", "zsm_Latn"]
    )  # fmt: skip
    wanted = {"es": "spa_Latn", "ja": "jpn_Jpan", "ko": "kor_Hang", "zh": "zho_Hans", "ar": "arb_Arab"}
    assert wanted.items() <= codes.items()
    assert (codes["az"], codes["fa"], codes["sw"], codes["ms"]) == ("azj_Latn", "pes_Arab", "swh_Latn", "zsm_Latn")
    assert codes["no"] == find(codes, "nb") == "nob_Latn" and find(codes, "de") is None


def test_short_codes_are_themselves() -> None:
    assert by_language(["en", "zh", "ceb", ""]) == {"en": "en", "zh": "zh"}
    assert by_language(["cmn", "cmn_Hant", "arb"]) == {"zh": "cmn", "ar": "arb"}
