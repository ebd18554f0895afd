"""The replies of the local LLM. A few rules play a sales manager; there is no model.

`answer(messages)` gets a conversation as chat-completions messages, and decides what a manager would send and do. The
same conversation always gets the same answer. The answer depends on the number of turns, on the words and the language
of the person's last messages, and on the `Product:` and `Price:` lines of the system prompt.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

Action = Literal["reply", "wait", "handover", "opt_out", "close"]
Language = Literal["ru", "en"]

# The longest quote of the person's words, in characters, so that an answer is a short message.
QUOTE_LIMIT = 60


@dataclass(frozen=True)
class ManagerReply:
    """The messages that the manager sends, if any, its next action, and the reason."""

    messages: tuple[str, ...]
    action: Action
    reason: str

    def as_json(self) -> dict[str, Any]:
        return {"messages": list(self.messages), "action": self.action, "reason": self.reason}


@dataclass(frozen=True)
class ChatHistory:
    """A conversation as the rules use it. Consecutive user messages count as one turn."""

    system: str
    turns: int
    last: str
    open: bool  # the person wrote last, so an answer is due
    language: Language
    answered: str  # all messages of the manager so far


# Patterns are searched in the order of this table: a refusal outweighs every other intent in the text.
INTENTS: tuple[tuple[str, str], ...] = (
    (
        "opt_out",
        r"не\s*интерес(но|ует)|больше не (надо|нужно|пиш)|не пишите|отпишите|отстаньте|оставьте меня"
        r"|мне (это )?не (надо|нужно)\s*([.,!]|$)|^\s*(стоп|stop)\b|not interested|not for me|leave (it|me)\b"
        r"|don.?t (write|message|contact|text)|no more (messages|of this)|no,? thanks?\b",
    ),
    (
        "handover",
        r"(с|со|позовите|позвать|переключите|соедините|дайте)\s[^.?!]{0,30}"
        r"(человек|оператор|менеджер|сотрудник)|жив(ым|ого|ому|ой)\s+(человек|оператор|менеджер)"
        r"|\b(a|real|actual|live) (human|person)\b|\boperator\b"
        r"|(speak|talk) (to|with) (a |your |the )?(human|person|manager|someone)",
    ),
    ("bot", r"\b(вы|ты|это)( \w+)? (бот|робот|ии)\b|\b(are you|is this) (a |an )?(bot|robot|ai)\b"),
    (
        "close",
        r"до свидания|всего (доброго|хорошего)|до связи|договорились|созвон|жду звонка|позвоните мне"
        r"|\bпока\s*[.!)]*$|\b(good)?bye\b|call me\b|talk (soon|tomorrow)|see you|it.?s a deal",
    ),
    (
        "wait",
        r"напишу (позже|потом|сам)|я подумаю|надо подумать|сейчас занят|чуть позже|минутк[уи]"
        r"|think about it|\bbusy\b|\blater\b|get back to you|one moment",
    ),
    (
        "price",
        r"цен[аыуе]|стои(т|мость)|сколько|дорого|прайс|тариф|\bpric(e|es|ing)\b|\bcosts?\b|how much|expensive",
    ),
    (
        "time",
        r"расписани|когда|во сколько|по каким дням|вечер|выходн|\bwhen\b|schedule|what time|evening|weekend",
    ),
    ("place", r"\bгде\b|адрес|онлайн|доставк|район|\bwhere\b|address|online|deliver|shipping"),
    ("trial", r"пробн|попробовать|на пробу|образец|\btry\b|trial|sample|taste"),
)
_COMPILED = tuple((name, re.compile(pattern, re.IGNORECASE | re.MULTILINE)) for name, pattern in INTENTS)

# Texts take {product}, {price} and {quote}. `turn1` and so on are used if no intent was found.
TEXTS: dict[Language, dict[str, str]] = {
    "ru": {
        "price": "{product}: {price}. Что для вас важнее: цена или гибкость?",
        "time": "По времени подстроимся: есть и будни вечером, и выходные. Какой день вам удобнее?",
        "place": "{product}: можно и онлайн с доставкой, и лично. Какой вариант вам ближе?",
        "trial": "Да, первый раз можно просто попробовать. Когда вам удобно?",
        "bot": "Да, вам пишет ИИ-помощник: {product}. Могу позвать коллегу-человека, если хотите. О чём рассказать?",
        "handover": "Конечно, передаю разговор коллеге. Вам ответит человек.",
        "close": "Спасибо за разговор! {product}: коллега свяжется с вами. Хорошего дня!",
        "turn1": "Спасибо, что ответили! Чтобы советовать по делу: что вы уже пробовали и что не подошло?",
        "turn2": "Понимаю: «{quote}». {product} как раз об этом. Хотите начать с пробного раза?",
        "later": "Записали: «{quote}». Это ваше {turns}-е сообщение, предлагаю короткий звонок. Удобно завтра?",
    },
    "en": {
        "price": "{product}: {price}. Which matters more to you, the price or the flexibility?",
        "time": "We can fit your week: weekday evenings and weekends are both open. Which day suits you?",
        "place": "{product}: both online with delivery and in person. Which would you prefer?",
        "trial": "Yes, the first time can be just a try. When would suit you?",
        "bot": "Yes, an AI assistant is writing: {product}. I can call a human colleague. What would you like to know?",
        "handover": "Of course, I am passing this on. A colleague will answer you in person.",
        "close": "Thank you for the talk! {product}: a colleague will be in touch. Have a good day!",
        "turn1": "Thanks for answering! To suggest something useful: what have you tried so far, and what was missing?",
        "turn2": "I see: “{quote}”. {product} is about exactly that. Would you like to start with a trial?",
        "later": "Noted: “{quote}”. That was message {turns} from you, shall we have a short call? Is tomorrow fine?",
    },
}
# Put before an answer that was already given in this conversation, so that no text is sent twice.
AGAIN: dict[Language, str] = {
    "ru": "Ещё раз, на ваше {turns}-е сообщение. ",
    "en": "Once more, to your message {turns}. ",
}
DEFAULTS: dict[Language, dict[str, str]] = {
    "ru": {"product": "Наш сервис", "price": "от 20 евро"},
    "en": {"product": "Our service", "price": "from 20 euros"},
}
_LABELS = {"product": r"(?:product|продукт)", "price": r"(?:price|цена)"}
# The reason of an answer, which the team sees beside the conversation.
REASONS = {
    "bot": "The person asks whether a bot writes.",
    "handover": "The person asks for a human.",
    "close": "The person ends the conversation.",
    "price": "The person asks for the price.",
    "time": "The person asks when it takes place.",
    "place": "The person asks where it is.",
    "trial": "The person would like a trial.",
}
NO_TOPIC = "The person names no particular topic."
_ACTIONS: dict[str, Action] = {"handover": "handover", "close": "close"}


def answer(messages: Iterable[Mapping[str, Any]]) -> ManagerReply:
    """The manager's answer to a conversation given as chat-completions messages, oldest first."""
    history = read_conversation(messages)
    if not history.open:
        return ManagerReply((), "wait", "The person has not written since our last message.")
    intent = intent_of(history.last)
    if intent == "opt_out":
        return ManagerReply((), "opt_out", "The person does not want this.")
    if intent == "wait":
        return ManagerReply((), "wait", "The person asks for time.")
    action = _ACTIONS.get(intent or "", "reply")
    return ManagerReply((_text(history, intent),), action, REASONS.get(intent or "", NO_TOPIC))


def read_conversation(messages: Iterable[Mapping[str, Any]]) -> ChatHistory:
    """The conversation as the rules use it. Messages with an unknown role are ignored."""
    system: list[str] = []
    burst: list[str] = []
    everything: list[str] = []
    answered: list[str] = []
    turns, opened = 0, False
    for message in messages:
        role, text = message.get("role"), text_of(message.get("content"))
        if role in ("system", "developer"):
            system.append(text)
        elif role == "user":
            turns, burst = (turns, burst) if opened else (turns + 1, [])
            burst.append(text)
            everything.append(text)
            opened = True
        elif role == "assistant":
            opened = False
            answered.append(text)
    last = "\n".join(burst)
    language = _language(last, *reversed(everything), *system)
    return ChatHistory("\n".join(system), turns, last, opened, language, "\n".join(answered))


def text_of(content: object) -> str:
    """The text of a message's content: a string, a list of parts, or None."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "\n".join(str(part.get("text", "")) for part in content if isinstance(part, Mapping))
    return ""


def intent_of(text: str) -> str | None:
    """The first intent of INTENTS whose words are in the text."""
    return next((name for name, pattern in _COMPILED if pattern.search(text)), None)


def _language(*texts: str) -> Language:
    """The language of the first text that has any letters."""
    for text in texts:
        cyrillic = len(re.findall(r"[а-яё]", text, re.IGNORECASE))
        latin = len(re.findall(r"[a-z]", text, re.IGNORECASE))
        if cyrillic or latin:
            return "ru" if cyrillic >= latin else "en"
    return "en"


def _text(history: ChatHistory, intent: str | None) -> str:
    key = intent or ("turn1" if history.turns <= 1 else "turn2" if history.turns == 2 else "later")
    text = TEXTS[history.language][key].format(
        product=_labelled(history, "product"),
        price=_labelled(history, "price"),
        quote=_quote(history.last),
        turns=history.turns,
    )
    return AGAIN[history.language].format(turns=history.turns) + text if text in history.answered else text


def _labelled(history: ChatHistory, label: str) -> str:
    """The value of a `Product:` or `Price:` line of the system prompt."""
    found = re.search(rf"^\W*{_LABELS[label]}\s*:\s*(.+?)[\s.]*$", history.system, re.IGNORECASE | re.MULTILINE)
    return found.group(1) if found else DEFAULTS[history.language][label]


def _quote(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= QUOTE_LIMIT else line[:QUOTE_LIMIT].rsplit(" ", 1)[0] + "…"
