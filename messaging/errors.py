"""Refusals of the services that change a broker."""


class BrokerChangeRefused(Exception):
    """Nothing (more) can be made anew on the broker now; the text says why. A later run goes on from here."""
