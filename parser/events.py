"""What the parser publishes; other programs publish it as well."""

from typing import Self

from pydantic import model_validator

from messaging import wire
from messaging.broker import topology
from messaging.events import Event


class NewTargetMessage(Event, exchange=topology.LEADS_EXCHANGE, key="lead.{campaign_id}", service="parser"):
    """Somebody said what a campaign looks for.

    A foreign event has the first five fields only. `chat_id` is the chat's marked id, `message_id` the message's id
    as the parser bot sees it, `chat_key` and `keyword` are the names that the team gave them. `username` is empty
    for a person who has none, as it is when it is null or left out; then `telegram_user_id` says who it is.
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

    @model_validator(mode="after")
    def _names_somebody(self) -> Self:
        if not self.username and self.telegram_user_id is None:
            raise ValueError("it names nobody: it has neither a username nor a telegram_user_id")
        return self
