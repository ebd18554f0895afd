"""The adapter to Telegram: accounts, their connections and logins. No Telethon object or error leaves it."""
