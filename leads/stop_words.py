"""Whether a person said that nobody should write to them again. Pure.

Rules, in every language of the lists:
- A message that is nothing but a stop word ("STOP!!!", "«Стоп».", "stop, please") stops.
- A first clause that is nothing but a strong stop word stops, whatever follows: "Stop. Who are you?".
- A strong stop word followed by what makes it mean us ("stop writing to me", "стоп рассылка") stops.
- A phrase that cannot mean anything else ("unsubscribe …", "не пишите мне …") stops at the beginning of a message.
- Anything else does not: "stop by tomorrow", "non-stop", "the bus stop", "can I cancel a lesson later?". What such a
  message means is left to the LLM, which has its own way to stop.
In doubt the answer is yes: a lead lost by mistake costs less than a message to somebody who said stop.
"""

import re
import unicodedata


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Words that stop when they are a clause of their own.
_STRONG = _words(
    """
    stop stopp stopall stop-all unsubscribe optout opt-out unsub cnjg
    стоп стопэ стопе отписка отпиши отпишите отписаться отпишись отпишитесь хватит отстань отстаньте отвали отвалите
    прекрати прекратите перестань перестаньте ыещз
    відписатися відпишіть досить припиніть годі
    arrêt arrête arrêtez arret arrete arretez désabonner desabonner désinscription
    aufhören aufhoeren abmelden abbestellen halt
    alto para pare parar basta detener cancelar baja
    fermati smettila cancellami
    przestań przestan wypisz
    dur durdur yeter тоқта
    """
)
# Words of carriers' conventions that stop only as the whole message: they are ordinary words otherwise.
_WEAK = frozenset(["cancel", "quit", "end", "remove", "leave", "enough", "нет спасибо", "no thanks", "no thank you"])
# Said before or after a stop word without changing it.
_POLITE = _words(
    """
    please pls plz thanks thank you ok okay hey hi hello now just immediately already
    пожалуйста пожалуста пж спасибо ок окей ну всё все уже просто сейчас немедленно здравствуйте привет
    будь ласка дякую bitte danke merci svp por favor gracias obrigado grazie proszę lütfen
    """
)
# After a strong word: what makes it mean our messages.
_MEANS_US = _words(
    """
    writing messaging texting sending contacting spamming spam bothering pinging mailing talking it this that these
    messages me sms all
    писать пишите пиши писанину слать спам спамить рассылка рассылку рассылки сообщения сообщений беспокоить звонить
    меня мне не больше хватит вам тебе
    писати надсилати schreiben écrire escribir de scrivere pisać yazma
    """
)
# At the beginning of a message these need nothing else.
_PHRASES = tuple(
    phrase.split()
    for phrase in (
        "unsubscribe",
        "opt out",
        "opt me out",
        "stop all",
        "take me off",
        "remove me",
        "delete my number",
        "leave me alone",
        "do not write",
        "do not message",
        "do not contact",
        "do not text",
        "don't write",
        "don't message",
        "don't contact",
        "don't text",
        "dont write",
        "dont message",
        "dont contact",
        "dont text",
        "never write",
        "never contact",
        "no more messages",
        "отпишите",
        "отпишитесь",
        "отписаться",
        "отписка",
        "не пишите",
        "не пиши мне",
        "не пиши больше",
        "не надо мне писать",
        "больше не пиши",
        "больше не пишите",
        "больше мне не пишите",
        "мне больше не пишите",
        "мне не пишите",
        "не беспокойте",
        "не беспокоить",
        "отстаньте",
        "отстань от меня",
        "оставьте меня в покое",
        "удалите меня",
        "уберите меня",
        "исключите меня",
        "не пишіть",
        "більше не пишіть",
        "nicht mehr schreiben",
        "schreib mir nicht",
        "schreiben sie mir nicht",
        "ne m'écrivez plus",
        "ne m'ecrivez plus",
        "désabonnez-moi",
        "no me escribas",
        "no me escriba",
        "não me escreva",
        "non scrivermi",
        "nie pisz",
        "bana yazma",
    )
)
_SIGNS = frozenset("🛑⛔🚫✋")

_TOKEN = re.compile(r"[^\W_]+(?:['\-][^\W_]+)*|[.,!?;:…\n—–(]")
_LETTER = re.compile(r"[^\W\d_]")
_MARKS = frozenset(".,!?;:…\n—–(")
_INVISIBLE = dict.fromkeys(map(ord, "\u0301\u00ad\u200b\u200c\u200d\u2060\ufeff\ufe0f"))
_QUOTES = str.maketrans("’`´", "'''")
# Latin letters that look like Cyrillic ones: "стoп" with a Latin o is a stop, too.
_LOOKALIKES = str.maketrans("aceopxyktmh", "асеорхуктмн")
_CYRILLIC = re.compile(r"[\u0400-\u04ff]")


def says_stop(text: str) -> bool:
    """True when the message asks for silence by its words (see the module's rules)."""
    plain = unicodedata.normalize("NFKC", text).translate(_INVISIBLE).casefold().translate(_QUOTES).strip()
    if not _LETTER.search(plain):
        return any(sign in _SIGNS for sign in plain)
    tokens = [_unmask(token) for token in _TOKEN.findall(plain)]
    while tokens and (tokens[0] in _POLITE or tokens[0] in _MARKS):
        tokens = tokens[1:]
    return bool(tokens) and (_whole(tokens) or _clause(tokens) or _phrase(tokens))


def _whole(tokens: list[str]) -> bool:
    """Nothing but stop words and politeness, each clause of it."""
    words = [token for token in tokens if token not in _MARKS]
    while len(words) > 1 and words[-1] in _POLITE and " ".join(words) not in _WEAK:
        words = words[:-1]
    return " ".join(words) in _WEAK or all(word in _STRONG for word in words)


def _clause(tokens: list[str]) -> bool:
    """The first clause begins with a strong word and says no more, or says that it means us."""
    clause = tokens[: next((at for at, token in enumerate(tokens) if token in _MARKS), len(tokens))]
    if not clause or clause[0] not in _STRONG:
        return False
    rest = [word for word in clause[1:] if word not in _POLITE and word not in _STRONG]
    return not rest or rest[0] in _MEANS_US


def _phrase(tokens: list[str]) -> bool:
    words = [token for token in tokens if token not in _MARKS]
    return any(words[: len(phrase)] == phrase for phrase in _PHRASES)


def _unmask(token: str) -> str:
    return token.translate(_LOOKALIKES) if _CYRILLIC.search(token) else token
