"""Records which discussion group a channel has, as accounts see it."""

from uuid import UUID

from campaigns.models import Chat


def discussion_store(*, chat_id: UUID, discussion_id: int | None) -> None:
    """Record the marked id of the channel's discussion group; None if it has none now."""
    Chat.objects.filter(pk=chat_id).exclude(discussion_id=discussion_id).update(discussion_id=discussion_id)
