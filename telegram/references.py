"""Checks to which chat a reference leads, without joining any chat."""

from telethon import TelegramClient
from telethon.tl import functions, types

from telegram.calls import call
from telegram.errors import NOT_INSIDE, ChatRefuses, ReferenceLeadsElsewhere
from telegram.membership import membership
from telegram.peers import expected, group, parse_reference, resolve
from telegram.types import ResolvedChat


async def check_reference(client: TelegramClient, reference: str, known_id: int) -> ResolvedChat:
    """Return the chat with the marked id `known_id` if the reference leads to it.

    Raises ReferenceLeadsElsewhere if it leads to another chat, and ChatRefuses(NOT_INSIDE) if this account cannot see
    to which chat it leads.
    """
    name, invite = parse_reference(reference)
    if not invite:
        return await resolve(client, reference, known_id)
    # Checked before and after, because an admin may add the account at this moment.
    inside = await _is_inside(client, known_id)
    answer = await call(client, functions.messages.CheckChatInviteRequest(name))
    if isinstance(answer, types.ChatInviteAlready | types.ChatInvitePeek):
        client.session.process_entities([answer.chat])
        return await expected(client, await group(client, answer.chat), known_id)
    if inside and await _is_inside(client, known_id):
        # If the invite led to this chat, Telegram would have answered that the account is in it.
        raise ReferenceLeadsElsewhere(0, answer.title)
    raise ChatRefuses(NOT_INSIDE)


async def _is_inside(client: TelegramClient, known_id: int) -> bool:
    """Whether the account is in the chat. Requests the chat by its id, never by the reference."""
    try:
        return await membership(client, str(known_id), known_id) is not None
    except ChatRefuses:
        return False
