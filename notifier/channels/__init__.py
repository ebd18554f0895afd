"""Where the team is notified: addresses, rules, and how a notification is delivered."""
