"""The parser's event. Other programs may publish it too."""

from typing import Self

from pydantic import model_validator

from messaging import wire
from messaging.broker import topology
from messaging.events import Event


class NewTargetMessage(Event, exchange=topology.LEADS_EXCHANGE, key="lead.{campaign_id}", service="parser"):
    """A message matched the keywords of a campaign.

    An event of another program has only the first five fields. `chat_id` is the chat's marked id, and `message_id` is
    the message's id as the parser bot sees it. `chat_key` is the chat's key in the panel, `keyword` the keyword that
    matched. `topic_id` and `topic` are the id and the title of the forum's topic. `username` is "" if it is null or
    missing in the body; then `telegram_user_id` identifies the person.
    """

    worker_id: wire.IdText
    campaign_id: str
    chat_id: wire.ChatId
    username: wire.Username = ""
    message: str
    telegram_user_id: wire.PersonId | None = None
    message_id: wire.MessageId | None = None
    chat_key: str | None = None
    keyword: str | None = None
    said_at: wire.Time | None = None
    topic_id: wire.MessageId | None = None
    topic: str | None = None

    @model_validator(mode="after")
    def _identifies_a_person(self) -> Self:
        if not self.username and self.telegram_user_id is None:
            raise ValueError("it identifies no person: it has neither a username nor a telegram_user_id")
        return self
