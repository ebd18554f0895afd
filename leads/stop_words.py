"""Recognises messages in which a person asks not to be written to again.

Rules, in every language of the lists:
- A message is a stop if it consists only of stop words ("STOP!!!", "«Стоп».", "stop, please").
- It is a stop if its first clause consists only of a strong stop word, whatever follows: "Stop. Who are you?".
- It is a stop if any clause begins with a strong stop word followed by words that refer to our messages ("stop writing
  to me", "стоп рассылка"), consists of a stop word that has hardly any other meaning ("Not interested. Stop."), or
  begins with a phrase that has no other meaning ("unsubscribe …", "Не интересно, не пишите").
- A request counts like the words that it contains: "Can you stop messaging me", "прошу вас больше не писать".
- No other message is a stop: "stop by tomorrow", "can you stop by tomorrow?", "non-stop", "the bus stop", "can I cancel
  a lesson later?". The LLM decides what such a message means; its action `opt_out` stops too.
In doubt a message is a stop: to lose a lead by mistake costs less than to write to a person who has asked to stop.
"""

import re
from itertools import dropwhile, takewhile

from texts.words.folding import fold, unmix


def _words(text: str) -> frozenset[str]:
    return frozenset(fold(text).split())


# Words that are a stop as a clause of their own.
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
# Words by which mobile carriers' customers stop messages. They are a stop only as the whole message.
_WEAK = frozenset(["cancel", "quit", "end", "remove", "leave", "enough", "нет спасибо", "no thanks", "no thank you"])
# Words that may stand before or after a stop word without changing its meaning.
_POLITE = _words(
    """
    please pls plz thanks thank you ok okay hey hi hello now just immediately already
    пожалуйста пожалуста пж спасибо ок окей ну всё все уже просто сейчас немедленно здравствуйте привет
    будь ласка дякую bitte danke merci svp por favor gracias obrigado grazie proszę lütfen
    """
)
# Words after a strong stop word that show that it refers to our messages.
_MEANS_US = _words(
    """
    writing messaging texting sending contacting spamming spam bothering pinging mailing talking it this that these
    messages me sms all
    писать пишите пиши писанину слать спам спамить рассылка рассылку рассылки сообщения сообщений беспокоить звонить
    меня мне не больше хватит вам тебе
    писати надсилати schreiben écrire escribir de scrivere pisać yazma
    """
)
# Strong words with hardly any other meaning: they are a stop as a later clause, too. "Хватит?" after a number is not.
_PLAINEST = _words("stop stopp stopall unsubscribe unsub стоп отписка отписаться отпишите отпишитесь отстаньте")
# Words that may begin a clause without changing its meaning.
_JOINING = _words("and so but then also и а но так поэтому тогда")
# Beginnings of requests.
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
# Phrases that are a stop at the beginning of a clause, whatever follows.
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


def is_stop_request(text: str) -> bool:
    """Whether the message is a stop by the rules in the module's docstring."""
    plain = fold(text).strip()
    if not _LETTER.search(plain):
        return any(sign in _SIGNS for sign in plain)
    # Letters that only look like those of the word's alphabet: "стoп" with a Latin o is a stop, too.
    tokens = [unmix(token) for token in _TOKEN.findall(plain)]
    tokens = _beginning(tokens, _POLITE | _MARKS)
    return bool(tokens) and (_whole(tokens) or _clause(tokens, _STRONG) or any(map(_requests_stop, _clauses(tokens))))


def _whole(tokens: list[str]) -> bool:
    """Whether the message consists only of stop words and polite words."""
    words = [token for token in tokens if token not in _MARKS]
    while len(words) > 1 and words[-1] in _POLITE and " ".join(words) not in _WEAK:
        words = words[:-1]
    return " ".join(words) in _WEAK or all(word in _STRONG for word in words)


def _beginning(tokens: list[str], without: frozenset[str]) -> list[str]:
    return list(dropwhile(lambda token: token in without, tokens))


def _clauses(tokens: list[str]) -> list[list[str]]:
    """The rests of the message from the start and from each mark on. A phrase may continue after a mark."""
    starts = [0, *(at + 1 for at, token in enumerate(tokens) if token in _MARKS)]
    return [_beginning(tokens[at:], _POLITE | _JOINING | _MARKS) for at in starts]


def _requests_stop(tokens: list[str]) -> bool:
    """Whether the clause is a stop, perhaps in the form of a request."""
    for request in _REQUESTS:
        if tokens[: len(request)] == request:
            asked = _beginning(tokens[len(request) :], _POLITE)
            return _clause(asked, _STRONG) or _phrase(asked)
    return _clause(tokens, _PLAINEST) or _phrase(tokens)


def _clause(tokens: list[str], alone: frozenset[str]) -> bool:
    """Whether the first clause is a strong word that refers to our messages, or a word of `alone` by itself."""
    clause = list(takewhile(lambda token: token not in _MARKS, tokens))
    if not clause or clause[0] not in _STRONG:
        return False
    rest = [word for word in clause[1:] if word not in _POLITE and word not in _STRONG]
    return rest[0] in _MEANS_US if rest else clause[0] in alone


def _phrase(tokens: list[str]) -> bool:
    words = [token for token in tokens if token not in _MARKS]
    return any(words[: len(phrase)] == phrase for phrase in _PHRASES)
