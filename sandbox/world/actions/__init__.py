"""What users and chats do in the world: messages, membership, usernames and so on, each as Telegram carries it out."""
