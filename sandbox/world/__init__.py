"""The sandbox's world: users, chats, messages. Pure memory, no network."""
