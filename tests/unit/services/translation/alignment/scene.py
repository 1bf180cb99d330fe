"""The sample's dialogue as it is recognised, and its Spanish subtitles as people write them."""

from __future__ import annotations

from collections.abc import Iterable

from shared.core.records import Utterance
from shared.media.subtitles import Cue, to_srt

HEARD = (
    (5.4, 6.4, "Anna", "Good evening, Tom."),
    (6.7, 8.8, "Anna", "Please come in, it is raining outside."),
    (9.3, 10.1, "Tom", "Thank you, Anna."),
    (10.5, 12.3, "Tom", "I missed the last train to the city."),
    (13.0, 14.7, "Anna", "You can sleep here tonight."),
    (15.0, 16.2, "Anna", "Would you like some hot tea?"),
    (16.6, 20.3, "Tom", "Yes, please. I have not eaten anything since this morning."),
    (20.9, 24.6, "Anna", "My brother found this letter under the kitchen table yesterday."),
    (25.4, 26.8, "Tom", "I know this letter."),
    (27.2, 29.0, "Tom", "My father wrote it 10 years ago."),
    (31.5, 33.2, "Anna", "I think that we should call"),
    (33.4, 34.4, "Anna", "the police right now."),
    (46.0, 48.6, "Tom", "Look, the old key opens the blue door."),
    (49.2, 51.0, "Anna", "I can see the ocean from here."),
    (51.3, 52.3, "Anna", "It is beautiful."),
)
SPANISH = (
    (5.3, 8.9, "Buenas noches, Tom.\nPase, por favor, que llueve mucho."),
    (9.2, 12.5, "Gracias, Anna.\nPerdí el último tren a la ciudad."),
    (12.9, 16.3, "Puede dormir aquí esta noche.\n¿Quiere un té caliente?"),
    (16.5, 17.4, "Sí, por favor."),
    (17.5, 20.6, "No he comido nada desde esta mañana."),
    (20.8, 24.9, "Mi hermano encontró esta carta ayer,\nbajo la mesa de la cocina."),
    (25.3, 26.9, "Conozco esta carta."),
    (27.1, 29.5, "Mi padre la escribió hace 10 años."),
    (31.4, 34.6, "Creo que deberíamos llamar a la policía ahora mismo."),
    (45.9, 48.9, "Mire, la llave vieja abre la puerta azul."),
    (49.1, 52.6, "Desde aquí se ve el mar.\nEs precioso."),
)
SAID = (
    "Buenas noches, Tom.",
    "Pase, por favor, que llueve mucho.",
    "Gracias, Anna.",
    "Perdí el último tren a la ciudad.",
    "Puede dormir aquí esta noche.",
    "¿Quiere un té caliente?",
    "Sí, por favor. No he comido nada desde esta mañana.",
    "Mi hermano encontró esta carta ayer, bajo la mesa de la cocina.",
    "Conozco esta carta.",
    "Mi padre la escribió hace 10 años.",
    "Creo que deberíamos llamar",
    "a la policía ahora mismo.",
    "Mire, la llave vieja abre la puerta azul.",
    "Desde aquí se ve el mar.",
    "Es precioso.",
)
"""What each line says by these subtitles."""


def lines(rows: Iterable[tuple[float, float, str, str]] = HEARD) -> list[Utterance]:
    return [
        Utterance(id=f"u{number:04}", start=start, end=end, speaker=speaker, text=text, language="en")
        for number, (start, end, speaker, text) in enumerate(rows, 1)
    ]


def cues(rate: float = 1.0, delay: float = 0.0, rows: Iterable[tuple[float, float, str]] = SPANISH) -> list[Cue]:
    """The subtitles on a clock of their own."""
    return [
        Cue(rate * start + delay, rate * end + delay, " ".join(text.split()), None, number)
        for number, (start, end, text) in enumerate(rows, 1)
    ]


def srt(rows: Iterable[tuple[float, float, str]] = SPANISH) -> str:
    return to_srt([Cue(start, end, text) for start, end, text in rows], "es")
