"""Exchange and routing key of an event, which determine its type, as an operator may choose them for a dead letter."""

from messaging import wire
from messaging.broker import topology
from messaging.broker.routing import Address, queues_for
from messaging.events import is_known, key_words, known_keys
from texts.json_text import from_json

# In another program's event `service` may be any text, whatever the key contains. The other words of a key are ids.
_FREE_WORDS = frozenset({"service"})


# The original exchange and routing key.
UNCHANGED = Address("", "")


def event_exchanges() -> list[str]:
    """The exchanges from which subscriptions get events."""
    subscribed = [name for name in topology.SUBSCRIPTIONS if name not in topology.RAW_SUBSCRIPTIONS]
    bindings = [topology.TOPOLOGY.queue(name).bindings for name in subscribed if topology.TOPOLOGY.has_queue(name)]
    return list(dict.fromkeys(exchange for pairs in bindings for exchange, _ in pairs))


def receivers(address: Address) -> list[str]:
    """The subscriptions' queues that get an event with this address."""
    return [name for name in queues_for(*address) if name in topology.SUBSCRIPTIONS]


def refusal(address: Address) -> str:
    """Why no event can be published with this address; "" if one can."""
    exchanges = event_exchanges()
    if address.exchange not in exchanges:
        return f"the exchange {address.exchange[:80]!r} has no events: choose one of {', '.join(exchanges)}"
    if problem := wire.unfit_key(address.routing_key):
        return f"the routing key {problem}"
    if not address.routing_key:
        return f"choose a routing key of {address.exchange}: {keys_in_words(address.exchange)}"
    if not receivers(address) or not is_known(*address):
        key, keys = address.routing_key[:80], keys_in_words(address.exchange)
        return f"{address.exchange} has no event with the routing key {key!r}; its routing keys: {keys}"
    return ""


def difference_from_body(address: Address, body: str) -> str:
    """The problem if the routing key and the body contain different values for the same field; "" if they agree."""
    try:
        fields = from_json(body)
    except (ValueError, RecursionError):
        return ""
    words = key_words(*address) if isinstance(fields, dict) else {}
    for name, word in words.items():
        own = fields.get(name)
        if name not in _FREE_WORDS and own is not None and str(own) != word:
            return (
                f"the {name} is {word[:80]!r} in the routing key and {str(own)[:80]!r} in the body: use the same value"
            )
    return ""


def keys_in_words(exchange: str) -> str:
    """The exchange's routing keys as text: "lead.{campaign_id}", or "{service}.error or any other key"."""
    known = ", ".join(known_keys(exchange))
    anything = any(pattern == "#" for name in topology.SUBSCRIPTIONS for pattern in _patterns(name, exchange))
    return f"{known} or any other key" if anything else known


def suggested(queue: str, body: str) -> Address:
    """The probable address of an event with this body in this queue.

    The key is "" if the body does not determine it. Returns `UNCHANGED` if not even the exchange is known.
    """
    if not topology.TOPOLOGY.has_queue(queue) or queue not in topology.SUBSCRIPTIONS:
        return UNCHANGED
    exchange = next((source for source, _ in topology.TOPOLOGY.queue(queue).bindings), "")
    keys = [key for key in known_keys(exchange) if queue in queues_for(exchange, key)]
    if not exchange or len(keys) != 1:
        return Address(exchange, "")
    try:
        address = Address(exchange, keys[0].format_map(from_json(body)))
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return Address(exchange, "")
    return Address(exchange, "") if refusal(address) else address


def _patterns(queue: str, exchange: str) -> list[str]:
    if not topology.TOPOLOGY.has_queue(queue):
        return []
    return [pattern for source, pattern in topology.TOPOLOGY.queue(queue).bindings if source == exchange]
