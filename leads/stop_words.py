"""Whether a person said that nobody should write to them again. Pure.

Rules, in every language of the lists:
- A message that is nothing but a stop word ("STOP!!!", "«Стоп».", "stop, please") stops.
- A first clause that is nothing but a strong stop word stops, whatever follows: "Stop. Who are you?".
- In any clause, at its beginning: a strong stop word followed by what makes it mean us ("stop writing to me", "стоп
  рассылка"), one of the plainest stop words alone ("Not interested. Stop."), or a phrase that cannot mean anything else
  ("unsubscribe …", "Не интересно, не пишите") stops.
- What begins a request does not change it: "Can you stop messaging me", "прошу вас больше не писать".
- Anything else does not: "stop by tomorrow", "can you stop by tomorrow?", "non-stop", "the bus stop", "can I cancel a
  lesson later?". What such a message means is left to the LLM, which has its own way to stop.
In doubt the answer is yes: a lead lost by mistake costs less than a message to somebody who said stop.
"""

import re
import unicodedata
from itertools import dropwhile, takewhile


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
# Strong words that are hardly anything else: they stop as a later clause, too. "Хватит?" after a number does not.
_PLAINEST = _words("stop stopp stopall unsubscribe unsub стоп отписка отписаться отпишите отпишитесь отстаньте")
# Said before a clause without changing it.
_JOINING = _words("and so but then also и а но так поэтому тогда")
# What begins a request.
_REQUESTS = tuple(
    phrase.split()
    for phrase in (
        "can you",
        "could you",
        "will you",
        "would you",
        "can u",
        "i want you to",
        "i'd like you to",
        "i would like you to",
        "i want to",
        "i'd like to",
        "i would like to",
        "i ask you to",
        "i asked you to",
        "i told you to",
        "you must",
        "можете",
        "можешь",
        "можно",
        "вы можете",
        "не могли бы вы",
        "могли бы вы",
        "прошу вас",
        "прошу",
        "я прошу",
        "попрошу",
    )
)
# At the beginning of a clause these need nothing else.
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
        "мне больше не писать",
        "больше не писать",
        "больше мне не писать",
        "не писать мне",
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


def is_stop_request(text: str) -> bool:
    """True when the message asks for silence by its words (see the module's rules)."""
    plain = unicodedata.normalize("NFKC", text).translate(_INVISIBLE).casefold().translate(_QUOTES).strip()
    if not _LETTER.search(plain):
        return any(sign in _SIGNS for sign in plain)
    tokens = [_unmask(token) for token in _TOKEN.findall(plain)]
    tokens = _beginning(tokens, _POLITE | _MARKS)
    return bool(tokens) and (_whole(tokens) or _clause(tokens, _STRONG) or any(map(_requests_stop, _clauses(tokens))))


def _whole(tokens: list[str]) -> bool:
    """Nothing but stop words and politeness, each clause of it."""
    words = [token for token in tokens if token not in _MARKS]
    while len(words) > 1 and words[-1] in _POLITE and " ".join(words) not in _WEAK:
        words = words[:-1]
    return " ".join(words) in _WEAK or all(word in _STRONG for word in words)


def _beginning(tokens: list[str], without: frozenset[str]) -> list[str]:
    return list(dropwhile(lambda token: token in without, tokens))


def _clauses(tokens: list[str]) -> list[list[str]]:
    """What begins at the start and after each mark, to the end of the message: a phrase may go on behind a mark."""
    starts = [0, *(at + 1 for at, token in enumerate(tokens) if token in _MARKS)]
    return [_beginning(tokens[at:], _POLITE | _JOINING | _MARKS) for at in starts]


def _requests_stop(tokens: list[str]) -> bool:
    """The clause asks for silence, be it as a request."""
    for request in _REQUESTS:
        if tokens[: len(request)] == request:
            asked = _beginning(tokens[len(request) :], _POLITE)
            return _clause(asked, _STRONG) or _phrase(asked)
    return _clause(tokens, _PLAINEST) or _phrase(tokens)


def _clause(tokens: list[str], alone: frozenset[str]) -> bool:
    """The first clause is a strong word and that it means us; of the words in `alone` also the word by itself."""
    clause = list(takewhile(lambda token: token not in _MARKS, tokens))
    if not clause or clause[0] not in _STRONG:
        return False
    rest = [word for word in clause[1:] if word not in _POLITE and word not in _STRONG]
    return rest[0] in _MEANS_US if rest else clause[0] in alone


def _phrase(tokens: list[str]) -> bool:
    words = [token for token in tokens if token not in _MARKS]
    return any(words[: len(phrase)] == phrase for phrase in _PHRASES)


def _unmask(token: str) -> str:
    return token.translate(_LOOKALIKES) if _CYRILLIC.search(token) else token
