"""Refusals of the services that change a broker."""


class BrokerChangeRefused(Exception):
    """The broker cannot be changed (further) now. The text is the reason. A later run continues from here."""
