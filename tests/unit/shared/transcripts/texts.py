"""What people say, in languages and the encodings that their subtitles came in before Unicode."""

from __future__ import annotations

TEXTS = {
    "en": ("“Don’t go,” he said — it’s raining outside…", "I missed the last train to the city."),
    "es": ("Buenas noches, Tomás. Pasa, por favor, está lloviendo.", "¿Qué pasó, señor? Perdí el último tren."),
    "fr": ("Bonsoir, Tom. Entre, s'il te plaît, il pleut dehors.", "Où étais-tu passé ? Ça va mieux ?"),
    "de": ("Guten Abend, Tom. Bitte komm herein, draußen regnet es.", "Möchtest du heißen Tee?"),
    "pl": ("Dobry wieczór, Tomku. Wejdź, proszę, pada deszcz.", "Spóźniłem się na ostatni pociąg."),
    "cs": ("Dobrý večer, Tome. Pojďte dál, venku prší.", "Ujel mi poslední vlak do města."),
    "ru": ("Добрый вечер, Том. Пожалуйста, входи, на улице дождь.", "Я опоздал на последний поезд в город."),
    "uk": ("Добрий вечір, Томе. Будь ласка, заходь, надворі дощ.", "Дякую, Анно. Я запізнився на поїзд."),
    "el": ("Καλησπέρα, Τομ. Πέρασε μέσα, βρέχει έξω.", "Έχασα το τελευταίο τρένο για την πόλη."),
    "tr": ("İyi akşamlar Tom. Lütfen içeri gel, yağmur yağıyor.", "Şehre giden son treni kaçırdım."),
    "ja": ("こんばんは、トム。どうぞ入って、外は雨です。", "ありがとう、アンナ。最終電車に乗り遅れました。"),
    "zh": ("晚上好，汤姆。请进，外面在下雨。", "谢谢你，安娜。我错过了最后一班火车。"),
    "ko": ("안녕하세요, 톰. 들어오세요, 밖에 비가 옵니다.", "고마워요, 안나. 마지막 기차를 놓쳤어요."),
    "he": ("ערב טוב, תום. בבקשה היכנס, יורד גשם בחוץ.", "פספסתי את הרכבת האחרונה לעיר."),
    "ar": ("مساء الخير يا توم. تفضل بالدخول، إنها تمطر.", "شكرا يا آنا. فاتني القطار الأخير."),
    "th": ("สวัสดีตอนเย็น ทอม เชิญเข้ามา ข้างนอกฝนตก", "ขอบคุณ แอนนา ฉันพลาดรถไฟขบวนสุดท้าย"),
}
OLDER = [
    *(("en", "cp1252"), ("es", "cp1252"), ("es", "mac-roman"), ("fr", "cp1252"), ("de", "cp1252"), ("de", "cp850")),
    *(("pl", "cp1250"), ("pl", "iso8859-2"), ("cs", "cp1250"), ("cs", "iso8859-2"), ("ru", "cp1251"), ("ru", "koi8-r")),
    *(("ru", "cp866"), ("ru", "iso8859-5"), ("uk", "cp1251"), ("uk", "koi8-u"), ("el", "cp1253"), ("tr", "cp1254")),
    *(("ja", "cp932"), ("ja", "euc_jp"), ("ja", "iso2022_jp"), ("zh", "gb18030"), ("ko", "cp949"), ("he", "cp1255")),
    *(("ar", "cp1256"), ("th", "cp874")),
]


def srt(lines: tuple[str, ...] | list[str]) -> str:
    return "\n".join(f"{n}\n00:00:{n:02},000 --> 00:00:{n:02},900\n{line}\n" for n, line in enumerate(lines, 1))
