"""An account's connection: configuration, proxy, data centre, stored session."""
