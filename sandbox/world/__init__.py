"""The sandbox's world: users, chats and messages. In memory, no network."""
