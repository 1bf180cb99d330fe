"""What is written short is read in words: numbers, prices, dates, times, units, ordinals, abbreviations, addresses."""

from __future__ import annotations

import re
import time

import babel
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.spoken_form import read_aloud
from shared.core.text import character_error_rate

LANGUAGES = ("en", "es", "fr", "it", "pt", "de", "hi", "ja")

CASES = [
    ("en", "On 01/02/2023 I paid $3.50, 20% less.",
     "On January second twenty twenty three I paid three dollars and fifty cents, twenty percent less."),
    ("en", "See www.example.com or mail me at a.b@example.org 😀👍",
     "See w w w dot example dot com or mail me at a dot b at example dot org"),
    ("en", "Dr. Smith weighs 72.5 kg, i.e. 1,000 lb on Nov. 3rd.",
     "Doctor Smith weighs seventy two point five kilograms, that is one thousand pounds on November third."),
    ("en", "Since 1999, the 1990s; the '60s.", "Since nineteen ninety nine, the nineteen nineties; the sixties."),
    ("en", "Call 555-1234 at 3 p.m.", "Call five five five, one two three four at three p m."),
    ("en", "The 1st and the 22nd of 5–10 men.", "The first and the twenty second of five to ten men."),
    ("en", "$5 million, €1, £0.50", "five million dollars, one euro, fifty pence"),
    ("en", "-5 °C, agent 007, MP3 & 4K", "minus five degrees Celsius, agent zero zero seven, MP three and four K"),
    ("en", "Wait for the 3 May train, Samuel L. Jackson.", "Wait for the third of May train, Samuel L. Jackson."),
    ("en", "I may 3 times, etc.", "I may three times, et cetera."),
    ("es", "1.000 personas", "mil personas"),
    ("es", "1,000 personas y 1,5 litros", "mil personas y uno coma cinco litros"),
    ("es", "Pesa 72,5 kg.", "Pesa setenta y dos coma cinco kilogramos."),
    ("es", "21 personas, 21 días, 200 libras, 1 día", "veintiuna personas, veintiún días, doscientas libras, un día"),
    ("es", "A las 15:30 del 21 de nov. de 2023",
     "A las quince y treinta del veintiuno de noviembre de dos mil veintitrés"),
    ("es", "Son 3,50 € o 0,50 €.", "Son tres euros con cincuenta o cincuenta céntimos."),
    ("es", "El Sr. López, p. ej., del 1.er piso.", "El señor López, por ejemplo, del primer piso."),
    ("es", "5 millones de dólares: $5 millones", "cinco millones de dólares: cinco millones de dólares"),
    ("es", "EE. UU. gana.", "Estados Unidos gana."),
    ("fr", "M. Dupont et Mme Curie", "Monsieur Dupont et madame Curie"),
    ("fr", "Il est 15h30, 1 h ou 8 h.", "Il est quinze heures trente, une heure ou huit heures."),
    ("fr", "1 000 € pour 21 personnes", "mille euros pour vingt-et-une personnes"),
    ("fr", "Le 1er mai, la 2e fois, 20 %.", "Le premier mai, la deuxième fois, vingt pour cent."),
    ("it", "Il Sig. Rossi paga 1.000 €, ecc.", "Il signor Rossi paga mille euro, eccetera."),
    ("it", "72,5 kg alle 15:30", "settantadue virgola cinque chilogrammi alle quindici e trenta"),
    ("pt", "O Sr. Silva paga R$ 3,50 às 15h30.", "O senhor Silva paga três reais e cinquenta às quinze e trinta."),
    ("pt", "2 pessoas, 22 gramas, 1.000 dias", "duas pessoas, vinte e dois gramas, mil dias"),
    ("de", "Am 02.01.2023 um 15.30 Uhr", "Am zweiten Januar zweitausenddreiundzwanzig um fünfzehn Uhr dreißig"),
    ("de", "1 Stunde, z. B. am 3. November", "eine Stunde, zum Beispiel am dritten November"),
    ("de", "Hr. Müller zahlt 1.000 € im Jahr 1999.",
     "Herr Müller zahlt eintausend Euro im Jahr neunzehnhundertneunundneunzig."),
    ("ja", "1,000円と$3.50、12:30、20%、72.5kg", "1000円と3ドル50セント、12時30分、20パーセント、72.5キログラム"),
    ("hi", "₹1,00,000 और १२ लोग", "एक लाख रुपये और बारह लोग"),
]  # fmt: skip


@pytest.mark.parametrize(("language", "text", "said"), CASES)
def test_what_is_written_short_is_read_in_words(language: str, text: str, said: str) -> None:
    assert read_aloud(text, language) == said


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_is_read_has_nothing_left_to_read(language: str) -> None:
    """Reading twice changes nothing: what Voicer and error rate both read stays one text."""
    for _, text, _ in CASES:
        once = read_aloud(text, language)
        assert read_aloud(once, language) == once


@given(st.text(max_size=80), st.sampled_from(LANGUAGES))
def test_any_text_is_read_without_digits(text: str, language: str) -> None:
    said = read_aloud(text, language)
    if language != "ja":
        assert not re.search(r"[0-9]", said)


@given(st.text(alphabet="abc ABC,.!?¿¡'’", max_size=60).filter(lambda text: text == " ".join(text.split())))
def test_plain_words_stay_as_they_are(text: str) -> None:
    assert read_aloud(text, "sv") == text


def test_every_language_of_the_cldr_is_read_or_left() -> None:
    for language in {name.split("_")[0] for name in babel.localedata.locale_identifiers()}:
        for text in ("12.5 and 1,234", "007 1234567890123456789", "0", "-5 %"):
            assert read_aloud(text, language)
    assert read_aloud("12 xx 😀", "xx") == "12 xx"


def test_the_error_rate_hears_numbers_in_either_form() -> None:
    assert character_error_rate("1.000 personas", "mil personas", "es") == 0
    assert character_error_rate("twenty one men", "21 men", "en") == 0


@pytest.mark.parametrize(
    "unit", ["1", "1.", "1,", "1 ", "1-", "1:", "1/", "$1", "M. ", "a@", "a.", "-", "1h", "+1 ", "Sr. ", "£"]
)
@pytest.mark.parametrize("language", ["en", "fr", "de"])
def test_time_grows_with_the_length_only(unit: str, language: str) -> None:
    seconds = []
    for times in (1_000, 8_000):
        began = time.process_time()
        read_aloud(unit * times, language)
        seconds.append(time.process_time() - began)
    # Eight times the text: 64 times the time if it were quadratic.
    assert seconds[1] < 0.25 or seconds[1] < 24 * seconds[0]
