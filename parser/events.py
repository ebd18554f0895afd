"""What the parser publishes; other programs publish it as well."""

from pydantic import AwareDatetime

from messaging import topology
from messaging.events import Event


class NewTargetMessage(Event, exchange=topology.LEADS_EXCHANGE, key="lead.{campaign_id}", service="parser"):
    """Somebody said what a campaign looks for.

    A foreign event has the first five fields only. `chat_id` is the chat's marked id, `message_id` the message's id
    as the parser bot sees it, `chat_key` and `keyword` are the names that the team gave them. `username` is empty
    for a person who has none; then `telegram_user_id` says who it is.
    """

    worker_id: str
    campaign_id: str
    chat_id: int
    username: str
    message: str
    telegram_user_id: int | None = None
    message_id: int | None = None
    chat_key: str | None = None
    keyword: str | None = None
    said_at: AwareDatetime | None = None
