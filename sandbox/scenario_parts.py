"""The parts of a scenario file: accounts, people, chats, lines, small talk and replies."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

Behaviour = Literal["curious", "asks_price", "asks_human", "silent", "stops", "refuses"]
Language = Literal["ru", "en"]
Key = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]*$")]
Text = Annotated[str, Field(min_length=1, max_length=4096)]


class ScenarioPart(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Resident(ScenarioPart):
    key: Key
    first_name: Text
    last_name: str = ""
    username: str | None = None


class Account(Resident):
    """One of the team's own accounts. A phone 99966XYYYY of Telegram's test form has the login code XXXXX."""

    phone: Annotated[str, Field(pattern=r"^\d{7,15}$")]


class ScenarioPerson(Resident):
    """A person outside the team. `turns` overrides how often they answer before their last answer."""

    language: Language
    behaviour: Behaviour = "curious"
    turns: Annotated[int, Field(ge=0)] | None = None


class ScenarioChat(ScenarioPart):
    """A group. `id` is its marked id, needed only if another file refers to a chat without a link."""

    key: Key
    kind: Literal["group", "supergroup"]
    title: Text
    username: str | None = None
    invite: str | None = None
    id: Annotated[int, Field(lt=0)] | None = None
    owner: Key | None = None
    members: tuple[Key, ...]


class ScenarioLine(ScenarioPart):
    """A message that a person sends to a chat. `wants`: the campaigns that should find it."""

    key: Key | None = None
    who: Key
    chat: Key
    text: Text
    reply_to: Key | None = None
    wants: tuple[str, ...] = ()

    @field_validator("wants", mode="before")
    @classmethod
    def _one_or_more(cls, value: object) -> object:
        return (value,) if isinstance(value, str) else value


class Chatter(ScenarioPart):
    """Phrases that no campaign looks for. The seed determines which member of the chat sends each of them."""

    chat: Key
    phrases: tuple[Text, ...]


class Phrases(ScenarioPart):
    answers: tuple[Text, ...] = ()
    last: tuple[Text, ...]


class Replies(ScenarioPart):
    """How a behaviour answers in private: some `answers` (their number within `turns`), one `last`, then silence."""

    turns: tuple[Annotated[int, Field(ge=0)], Annotated[int, Field(ge=0)]]
    ru: Phrases
    en: Phrases

    @model_validator(mode="after")
    def _in_order(self) -> "Replies":
        if self.turns[0] > self.turns[1]:
            raise ValueError("turns: the smaller number comes first")
        return self

    def phrases(self, language: Language) -> Phrases:
        return self.ru if language == "ru" else self.en
