"""What stands in captions beside the words: who speaks, noises, music, two people in one cue.

Speakers are ``<v Name>`` (VTT), ``"speaker"`` (JSON), ``>> NAME:``, ``[S1] text``, ``（アンナ）text`` or ``S1: text``.
Other names in that place count when they come back and look like names: “Anna:” twice is a person, ``[door]`` once is
a noise and is left out, and “Remember: the door …” twice is a word.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence

from shared.media.subtitles import Cue, join_lines, shared_time

OPEN, CLOSE = r"[\[(（［【〔]", r"[\])）］】〕]"
BRACKETED = re.compile(rf"^\s*+{OPEN}([^\[\](){{}}（）［］【】〔〕\n]{{1,40}}){CLOSE}\s*+[:：]?\s*+")
NAMED = re.compile(
    r"^\s*+(?:[-–—]\s*+)?([^\W_][\w.'’#-]{0,30}(?: [#\w][\w.'’#-]{0,30}){0,3})"
    r"(?:\s?\([^()\n]{1,30}\))?\s?(?::\s+|：\s*)"
)
NUMBERED = re.compile(r"(s|spk|speaker|sprecher|locutor|hablante|voice)[ _-]?\d{1,3}", re.IGNORECASE)
CHANGE = re.compile(r"(?:^|\s)(?:>>|＞＞|»)>?\s*+")
DASH = re.compile(r"^\s*+[-–—‐－]\s*+(?=\S)")
SECOND_DASH = re.compile(r"(?<=[.!?…。！？\"”’])\s+[-–—]\s*(?=[^\s\d-])")
STARRED = re.compile(r"\*([^*\s][^*\n]{0,60})\*")
SQUARE = re.compile(r"\[[^\[\]\n]{0,120}\]|［[^［］\n]{0,120}］|【[^【】\n]{0,120}】|（[^（）\n]{0,120}）")
ROUND = re.compile(r"\(([^()\n]{1,60})\)")
MUSIC = re.compile(r"[♪♫♬♩]+")

SOUNDS = (
    "applause applauding applausi barking bell bells blows breathes breathing buzzing cheering cheers chuckles "
    "chuckling claps clears coughing coughs cries crying door footsteps gasping gasps giggles giggling groaning "
    "groans growls grunts hums inaudible indistinct knock knocking knocks laugh laughing laughs laughter moans "
    "muffled music musik noise panting pants phone ringing rings screaming screams shouting shouts sigh sighing "
    "sighs silence singing sings sniffles sniffs snores sobbing sobs speaking static thunder whimpers whispering "
    "whispers whistles whistling wind yawns yells aplausos gritos llanto música ríe risa risas suspira suspiro "
    "suspiros tos toses susurra silencio applaudissements bruit cris musique pleurs rire rires soupir soupire "
    "soupirs toux chuchote applaus gelächter geräusch lacht lachen schreit schreie seufzen seufzt stöhnt weint "
    "flüstert grida musica pianto ride risate ridono sospira sospiro sussurra tosse choro ri risos gelach muziek "
    "zucht zuchten fluistert huilt вздох вздыхает смех смеется смеётся музыка плач аплодисменты кашель шепотом "
    "шёпотом кричит ため息 拍手 笑い声 音楽 笑い 悲鳴 叹气 笑声 音乐 掌声 "
)
NOISES = frozenset(SOUNDS.split())
"""Words by which a description of a sound is known."""

OPENERS = (
    "remember note notes notice warning attention listen look see wait hey well so but and yes no ok okay please "
    "question answer example result results fact facts problem solution rule rules step tip tips hint reminder "
    "update breaking summary conclusion conclusions first second third fourth finally lastly next then now today "
    "tomorrow yesterday important imagine think consider guess trust believe know understand say said says told "
    "ask asked asks here there this that these those it i you we they he she what why how who when where which "
    "chapter part section page title subject date time place names name address phone email price total score "
    "english spanish french german italian translation caption captions credit credits subtitles source quote ps "
    "nota notas aviso atención recuerda recuerde recuerden recordad escucha escuchen mira miren oye pregunta "
    "respuesta ejemplo resultado hecho problema solución regla paso consejo resumen conclusión primero segundo "
    "tercero finalmente hoy mañana ayer importante imagina piensa aquí allí esto eso sí souviens souvenez rappel "
    "rappelle rappelez écoute écoutez regarde regardez réponse exemple résultat problème règle étape conseil "
    "résumé premièrement deuxièmement enfin demain hier imaginez ici là ceci cela oui non voilà bref donc hinweis "
    "achtung denk denke denkt erinnere höre hör hört schau schaut frage antwort beispiel ergebnis tatsache lösung "
    "regel schritt tipp fazit erstens zweitens drittens schließlich heute morgen gestern wichtig dort ja nein "
    "also merke attenzione ricorda ricordate ascolta ascoltate guarda guardate domanda risposta esempio risultato "
    "fatto soluzione regola passo consiglio riassunto conclusione primo secondo terzo infine oggi domani ieri "
    "immagina qui lì questo quello atenção lembre lembra escuta escute olha olhe pergunta resposta exemplo "
    "solução regra dica resumo primeiro terceiro hoje amanhã ontem aqui ali isto isso sim não let op onthoud "
    "luister kijk vraag antwoord voorbeeld resultaat oplossing stap eerst ten daar nee помни помните внимание "
    "слушай слушайте смотри смотрите вопрос ответ пример итог факт проблема решение правило шаг совет вывод "
    "сегодня завтра вчера важно здесь там да нет 注意 注 例 質問 答え "
    "問題 結論 今日 明日 重要 ポイント 问题 答案 例子 结论 今天 明天 记住 提示 "
)
INTRODUCING = frozenset(OPENERS.split())
"""Words that stand before a colon without being names."""
SMALL = frozenset("de la le du des von van der den di da del della dos el al bin ibn of the and und y et e".split())  # noqa: SIM905
LOWER_SHARE = 0.2
"""Of the texts behind a name, the most that may begin with a small letter: after a word that is no name they do."""


def tagged(cues: Sequence[Cue]) -> list[Cue]:
    """One cue for each speaker, on one line: speakers in ``speaker``, noises and marks left out."""
    parts = [part for cue in cues for part in apart(cue)]
    names = speakers([part.text for part in parts])
    out = []
    for part in (piece for whole in parts for piece in by_name(whole, names)):
        speaker, text = part.speaker, MUSIC.sub(" ", part.text)
        if text.strip().startswith("# ") and text.strip().endswith(" #"):
            text = text.strip().strip("# ")  # Sung, as British captions mark it.
        while match := BRACKETED.match(text):
            tag, text = match[1].strip(), text[match.end() :]
            if speaker is None and text.strip() and tag in names:
                speaker = tag
        if (named := NAMED.match(text)) and named[1].strip() in names and text[named.end() :].strip():
            speaker, text = speaker or named[1].strip(), text[named.end() :]
        text = DASH.sub("", without_noises(text), count=1)
        out.append(part._replace(text=join_lines(text.split("\n")), speaker=speaker))
    return out


def apart(cue: Cue) -> Iterator[Cue]:
    """A cue of several speakers (``>>``, or a dash before each) as one cue for each, time shared by characters.

    A name behind ``>>`` becomes the speaker; ``>>`` alone says only that another one speaks.
    """
    text = cue.text
    pieces: list[tuple[str | None, str]] = []
    if CHANGE.search(text):
        for number, piece in enumerate(CHANGE.split(text)):
            named = NAMED.match(piece) if number else None
            if named and piece[named.end() :].strip() and looks_like_name(named[1]):
                pieces.append((named[1].strip(), piece[named.end() :]))
            else:
                pieces.append((None, piece))
    else:
        lines = text.split("\n")
        dashed = [bool(DASH.match(line)) for line in lines]
        if any(dashed[1:]):
            for line, begins in zip(lines, dashed, strict=True):
                if begins or not pieces:
                    pieces.append((None, DASH.sub("", line, count=1)))
                else:
                    pieces[-1] = (None, pieces[-1][1] + "\n" + line)
        elif dashed[0]:
            pieces = [(None, piece) for piece in SECOND_DASH.split(DASH.sub("", text, count=1))]
        else:
            pieces = [(None, text)]
    yield from shared(cue, pieces)


def by_name(cue: Cue, names: frozenset[str]) -> Iterator[Cue]:
    """A cue whose lines begin with several speakers' names as one cue for each."""
    pieces: list[tuple[str | None, str]] = []
    for line in cue.text.split("\n"):
        match = NAMED.match(line) or BRACKETED.match(line)
        begins = match is not None and match[1].strip() in names
        if begins or not pieces:
            pieces.append((None, line))
        else:
            pieces[-1] = (None, pieces[-1][1] + "\n" + line)
    yield from shared(cue, pieces)


def shared(cue: Cue, pieces: Sequence[tuple[str | None, str]]) -> Iterator[Cue]:
    """A cue's pieces one after the other in its time."""
    spoken = [(speaker, text) for speaker, text in pieces if text.strip()] or [(None, cue.text)]
    spans = shared_time(cue.start, cue.end, [text for _, text in spoken])
    for (start, end), (speaker, text) in zip(spans, spoken, strict=True):
        yield cue._replace(start=start, end=end, text=text, speaker=speaker or cue.speaker)


def speakers(texts: Sequence[str]) -> frozenset[str]:
    """The tags that name speakers: numbered ones, and those that come back and look like names."""
    rests: dict[str, list[str]] = {}
    bracketed: Counter[str] = Counter()
    for text in texts:
        for line in text.split("\n"):
            for pattern in (BRACKETED, NAMED):
                if match := pattern.match(line):
                    tag = match[1].strip()
                    rests.setdefault(tag, []).append(line[match.end() :].strip())
                    bracketed[tag] += pattern is BRACKETED
    return frozenset(tag for tag, behind in rests.items() if is_speaker(tag, behind, bracketed[tag] > 0))


def is_speaker(tag: str, behind: Sequence[str], bracketed: bool) -> bool:
    """Whether a tag names who speaks, by how often it comes and what follows it."""
    texts = [text for text in behind if text]
    if not texts or is_noise(tag):
        return False
    if NUMBERED.fullmatch(tag):
        return True
    if len(behind) < 2 or not looks_like_name(tag):
        return False
    small = sum(text[0].islower() for text in texts)
    return bracketed or (tag.isupper() and len(tag) > 1) or small <= LOWER_SHARE * len(texts)


def looks_like_name(tag: str) -> bool:
    """Capital letters, or a script without them, and no word that introduces a sentence."""
    words = re.findall(r"[^\W_]+", tag)
    if not words or any(word.casefold() in INTRODUCING for word in words[:1]):
        return False
    first = next((char for char in tag if char.isalpha()), "")
    if not first or first.islower():
        return False
    return all(not word[0].islower() or word in SMALL or len(words) <= 2 for word in words)


def is_noise(tag: str) -> bool:
    return any(word in NOISES for word in re.findall(r"[^\W\d_]+", tag.casefold()))


def without_noises(text: str) -> str:
    """Text without descriptions of sounds; a word set off with asterisks for stress stays."""
    text = SQUARE.sub(" ", text)
    text = ROUND.sub(lambda match: " " if is_noise(match[1]) else match[0], text)
    out, at = [], 0
    for match in STARRED.finditer(text):
        before, after = text[: match.start()].rstrip(), text[match.end() :].lstrip()
        alone = (not before or before[-1] in '.!?…。！？"”-') and (not after or not after[0].islower())
        described = is_noise(match[1]) or (alone and match[1][:1].islower() and after[:1] not in (".", ",", "!", "?"))
        out += [text[at : match.start()], " " if described else match[1]]
        at = match.end()
    return "".join([*out, text[at:]])
