"""What is said: parallel lists of 14 subjects, objects and places, the last four words of each in tests only."""

from __future__ import annotations

LANGUAGES = ("en", "es", "fr", "ja")
TRAINED = 10
"""Words of each list that training hears; the others are spoken in tests alone."""

SUBJECTS = {
    "en": "the doctor|the farmer|the sailor|the teacher|the baker|the soldier|the painter|the driver|the singer|"
    "the hunter|the lawyer|the miner|the tailor|the pilot",
    "es": "el médico|el granjero|el marinero|el maestro|el panadero|el soldado|el pintor|el chófer|el cantante|"
    "el cazador|el abogado|el minero|el sastre|el piloto",
    "fr": "le médecin|le fermier|le marin|le maître|le boulanger|le soldat|le peintre|le chauffeur|le chanteur|"
    "le chasseur|l'avocat|le mineur|le tailleur|le pilote",
    "ja": "いしゃ|のうみん|ふなのり|せんせい|ぱんや|へいたい|がか|うんてんしゅ|かしゅ|りょうし|べんごし|こうふ|"
    "したてや|ぱいろっと",
}
OBJECTS = {
    "en": "the lamp|the basket|the letter|the bottle|the hammer|the blanket|the mirror|the ladder|the bread|the clock|"
    "the guitar|the carpet|the bucket|the candle",
    "es": "la lámpara|la cesta|la carta|la botella|el martillo|la manta|el espejo|la escalera|el pan|el reloj|"
    "la guitarra|la alfombra|el cubo|la vela",
    "fr": "la lampe|le panier|la lettre|la bouteille|le marteau|la couverture|le miroir|l'échelle|le pain|l'horloge|"
    "la guitare|le tapis|le seau|la bougie",
    "ja": "らんぷ|かご|てがみ|びん|かなづち|もうふ|かがみ|はしご|ぱん|とけい|ぎたー|じゅうたん|ばけつ|ろうそく",
}
PLACES = {
    "en": "to the river|to the market|to the church|to the station|to the garden|to the harbour|to the school|"
    "to the forest|to the bridge|to the castle|to the kitchen|to the island|to the valley|to the cellar",
    "es": "al río|al mercado|a la iglesia|a la estación|al jardín|al puerto|a la escuela|al bosque|al puente|"
    "al castillo|a la cocina|a la isla|al valle|al sótano",
    "fr": "à la rivière|au marché|à l'église|à la gare|au jardin|au port|à l'école|à la forêt|au pont|au château|"
    "à la cuisine|à l'île|à la vallée|à la cave",
    "ja": "かわ|いちば|きょうかい|えき|にわ|みなと|がっこう|もり|はし|しろ|だいどころ|しま|たに|ちかしつ",
}
FORMS = {
    "en": "{subject} carries {object} {place}",
    "es": "{subject} lleva {object} {place}",
    "fr": "{subject} porte {object} {place}",
    "ja": "{subject}が {place}へ {object}を はこびます",
}


def sentence(language: str, subject: int, thing: int, place: int) -> str:
    """One sentence of one of :data:`LANGUAGES`, by numbers of its words."""
    words = (table[language].split("|")[at] for table, at in ((SUBJECTS, subject), (OBJECTS, thing), (PLACES, place)))
    return FORMS[language].format(**dict(zip(("subject", "object", "place"), words, strict=True)))
