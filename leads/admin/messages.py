"""The pages of messages: those of conversations, and those whose sender is not known yet."""

from django.contrib import admin
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.decorators import display

from leads.models import Message, UnclaimedMessage
from panelkit.base import FactAdmin
from panelkit.labels import choice_label, link_to, text_column, waits
from panelkit.lists.filters import RangeDateTimeFilter


@admin.register(Message)
class MessageAdmin(FactAdmin):
    empty_hint = "The messages that leads and manager accounts send each other are listed here."
    list_display = ("at", "conversation_name", "author_label", "excerpt", "delivery_state")
    list_filter = (("author", ChoicesDropdownFilter), ("at", RangeDateTimeFilter))
    list_select_related = ("conversation__lead", "conversation__bot", "delivery")
    search_fields = ("text", "conversation__lead__username", "conversation__bot__key")
    ordering = ("-at",)

    author_label = choice_label("author")
    excerpt = text_column("text", "message")

    @display(description="conversation")
    def conversation_name(self, message: Message) -> str:
        return link_to(message.conversation, str(message.conversation))

    @display(description="delivery")
    def delivery_state(self, message: Message) -> str:
        if message.delivery is None:
            return ""
        why = waits(message.delivery.waiting_reason, message.delivery.waiting_until)
        return " · ".join(filter(None, [message.delivery.get_state_display(), why or message.delivery.error]))


@admin.register(UnclaimedMessage)
class UnclaimedMessageAdmin(FactAdmin):
    empty_hint = (
        "Messages from a manager account are listed here until CoolThing knows who sent them: CoolThing itself, or a "
        "team member who uses the account's phone."
    )
    list_display = ("said_at", "conversation_name", "excerpt", "telegram_message_id", "error", "given_up_at")
    list_filter = (("said_at", RangeDateTimeFilter), ("given_up_at", RangeDateTimeFilter))
    list_select_related = ("conversation__lead", "conversation__bot")
    search_fields = ("text", "conversation__lead__username")
    ordering = ("-said_at",)

    excerpt = text_column("text", "message")

    @display(description="conversation")
    def conversation_name(self, message: UnclaimedMessage) -> str:
        return link_to(message.conversation, str(message.conversation))
