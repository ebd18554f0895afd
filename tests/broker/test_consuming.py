"""Messages of every kind on a real broker, against a real worker."""

import json
import uuid

from messaging.events import ServiceErrorEvent
from tests.broker.conftest import Probe
from tests.broker.probe import KEY, PROBE_EXCHANGE, PROBE_QUEUE, ProbeHappened
from tests.support import wait_until


def test_bare_json_without_any_properties_is_handled(probed: Probe):
    probed.start_worker()
    event_id = uuid.uuid4()
    probed.broker.publish(PROBE_EXCHANGE, KEY, json.dumps({"id": str(event_id)}).encode())
    wait_until(lambda: probed.effects(event_id) == 1)
    wait_until(lambda: probed.broker.depth(PROBE_QUEUE) == 0)
