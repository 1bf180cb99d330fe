"""What small models get wrong, one row each, and what must not be mistaken for it."""

import pytest

from services.translation.budget import Budget
from services.translation.checks import fault

ROOM = Budget(aim=40, limit=60, expected=40)
LINE = "I think that we should call the police right now."

BAD = [
    ("empty", LINE, "", "es"),
    ("empty", LINE, "…!", "es"),
    ("meta", LINE, "Here is the translation: Creo que hay que llamar.", "es"),
    ("meta", LINE, "Spanish: Creo que hay que llamar.", "es"),
    ("meta", LINE, "Creo que hay que llamar. (Nota: informal)", "es"),
    ("meta", LINE, "Creo que hay que llamar.\nCreo que sí.", "es"),
    ("meta", LINE, "<|im_start|>assistant", "es"),
    ("meta", LINE, "[Creo que hay que llamar]", "es"),
    ("copied", LINE, LINE, "es"),
    ("copied", LINE, "I think that we should call the policía right now.", "es"),
    ("repeats", LINE, "Creo que sí, creo que sí, creo que sí, creo que sí", "es"),
    ("repeats", LINE, "Hay que llamar a la policía. Hay que llamar a la policía.", "es"),
    ("repeats", LINE, "警察を呼ぶ警察を呼ぶ警察を呼ぶ", "ja"),
    ("wrong_script", LINE, "Keisatsu o yobu beki da to omou", "ja"),
    ("wrong_script", LINE, "我觉得我们应该马上叫警察", "ja"),
    ("wrong_script", LINE, "はい、大変な压力です。", "ja"),
    ("wrong_script", LINE, "すぐに警察を呼ぶべきだと思う", "es"),
    ("wrong_language", LINE, "Je pense que nous devrions appeler la police.", "es"),
    ("wrong_language", LINE, "Creo que deberíamos llamar a la policía ahora.", "fr"),
    ("left_in_english", "It is nice to finally meet you.", "Me alegro de finally poder conocerte.", "es"),
    ("wrong_language", "Nous devons partir.", "We have to leave here, I think that is it.", "de"),
    (
        "too_long",
        "Go on then.",
        "Adelante, pues, " + "porque el mundo gira y nadie espera cuando cae la noche " * 3,
        "es",
    ),
]

GOOD = [
    (LINE, "Creo que deberíamos llamar a la policía ahora mismo.", "es"),
    (LINE, "Je pense qu'on devrait appeler la police.", "fr"),
    (LINE, "Penso che dovremmo chiamare la polizia.", "it"),
    (LINE, "Acho que devíamos chamar a polícia agora.", "pt"),
    (LINE, "Ich glaube, wir sollten jetzt die Polizei rufen.", "de"),
    (LINE, "すぐに警察を呼ぶべきだと思う。", "ja"),
    ("OK.", "OK.", "es"),
    ("Taxi!", "Taxi!", "fr"),
    ("Taxi!", "Taxi!", "ja"),
    ("Tom? Anna? Vivian Moran?", "Tom? Anna? Vivian Moran?", "it"),
    ("No, no, no!", "¡No, no, no!", "es"),
    ("Never, never, never!", "Jamais, jamais, jamais !", "fr"),
    ("Go!", "行け！", "ja"),
    ("The police.", "警察。", "ja"),
    ("The note says: wait.", "La nota dice: espera.", "es"),
]


@pytest.mark.parametrize(("reason", "source", "text", "target"), BAD)
def test_bad_output_is_refused_with_its_reason(reason, source, text, target):
    room = Budget(12, 20, 12) if reason == "too_long" else ROOM
    first = "fr" if source.startswith("Nous") else "en"
    assert fault(source, text, first, target, room) == reason


@pytest.mark.parametrize(("source", "text", "target"), GOOD)
def test_good_output_passes(source, text, target):
    assert fault(source, text, "en", target, ROOM) is None
