"""Telling languages of the Latin script apart by their commonest words: crude, instant, and enough for whole lines."""

from __future__ import annotations

from shared.core.text import normalise

WORDS = {
    "en": "the and you is are was were to of it that this i my your we they he she have has had do does did not "
    "with for what how be been will would can could there here but from at on just don't i'm it's all now "
    "nothing want know go get so if or then their them him her",
    "es": "el los las y que es está son de en un una por para con no lo le se mi tu su yo tú él ella nosotros "
    "hay he ha pero como qué cómo muy aquí esto eso ese esta este del al te me soy fue era sí la a ahora "
    "nada todo nos vamos creo tengo tiene quiero puedo si porque cuando hace unos más",
    "fr": "le les et est sont de des du un une que qui pour avec pas ne je tu il elle nous vous ils mon ton son "
    "ce cette ça c'est j'ai dans mais où sur au aux très ici était été faut suis avez êtes oui la a rien "
    "tout maintenant veux peux si ou quand on lui leur plus moi toi",
    "it": "il gli e è sono di del della un una che per con non io tu lui lei noi mio tuo suo questo questa ci "
    "mi ti si ho hai ha ma come cosa dove molto qui era stato sì anche nel al alla devo la a adesso "
    "niente tutto nostro voglio posso se o quando più mia tua perché nella",
    "pt": "o os as e é são de do da em no na um uma que para com não eu você ele ela nós meu teu seu isso este "
    "esta há mas como muito aqui foi era sim está ao à se me te lhe tenho tem pelo a agora nada tudo nos "
    "quero posso ou quando mais minha tua porque pela",
    "de": "der die das und ist sind war den dem des ein eine einen zu von mit für nicht ich du er sie wir ihr "
    "mein dein sein es auf im in an aber wie was wo hier habe hat haben bin bist ja auch noch mir dir "
    "jetzt alles nichts will kann wenn wird werden uns dich mich sich schon nur",
    "nl": "de het en is zijn was een van te met voor niet ik jij je hij zij we wij mijn jouw dat dit die er op "
    "in aan maar hoe wat waar hier heb heeft hebben ben bent ja ook nog nu alles niets wil kan als wordt "
    "worden ons jou mij zich al",
}
_SETS = {language: frozenset(normalise(word) for word in words.split()) for language, words in WORDS.items()}

MIN_HITS = 3
"""Common words of another language before it is believed over the one expected."""


def looks_like(text: str, expected: str) -> str | None:
    """The language whose common words are most, when that is clear; None when it is not, or cannot be known.

    The expected language wins unless another has at least :data:`MIN_HITS` and half as many again.
    """
    if expected not in _SETS:
        return None
    words = normalise(text).split()
    hits = {language: sum(word in common for word in words) for language, common in _SETS.items()}
    best = max(hits, key=lambda language: (hits[language], language == expected))
    if best == expected:
        return expected if hits[best] else None
    clear = hits[best] >= MIN_HITS and hits[best] > 1.5 * hits[expected]
    return best if clear else None
