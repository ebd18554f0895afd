"""Comments on a channel's posts: messages in the threads of the posts that Telegram forwards to the discussion group.

When a channel is watched, only the comments in its discussion group are read, because the permission of the channel's
owner covers nothing else there. Comments on posts from before the account was in the group are left out.
"""

from collections.abc import Iterable

from parser.models import DiscussionPost
from telegram.types import IncomingMessage

# A message of a discussion group: its marked id, and the number of a post there.
_Post = tuple[int, int]


def posts_record(messages: Iterable[IncomingMessage]) -> None:
    """Record the posts among messages of discussion groups."""
    posts = [each for each in messages if each.is_post and each.author.kind == "channel"]
    if posts:
        rows = [DiscussionPost(peer_id=post.peer_id, message_id=post.message_id) for post in posts]
        DiscussionPost.objects.bulk_create(rows, ignore_conflicts=True)


def posts_known(messages: Iterable[IncomingMessage]) -> set[_Post]:
    """The recorded posts in whose threads these messages are."""
    threads = {(each.peer_id, each.thread_id) for each in messages if each.thread_id is not None}
    if not threads:
        return set()
    there = DiscussionPost.objects.filter(
        peer_id__in={peer for peer, _ in threads}, message_id__in={thread for _, thread in threads}
    )
    return set(there.values_list("peer_id", "message_id"))


def is_comment(message: IncomingMessage) -> bool:
    return (message.peer_id, message.thread_id) in posts_known([message])
