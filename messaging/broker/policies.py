"""Sets and compares the policies of the virtual host, over the management API. AMQP has no policies."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

from messaging.broker.management_api import ManagementApi, ManagementUnavailable
from messaging.broker.topology import PolicySpec, Topology

# Only users with the tag `policymaker` or `administrator` may set policies.
_FORBIDDEN = (401, 403)
_MEANING = "the alternate exchange keeps messages that no queue is bound for; without it such messages are lost"


class PolicyRefused(Exception):
    """The policies cannot be set from here. The text contains the reason, and the command for an administrator."""


def policies_set(topology: Topology, api: ManagementApi) -> None:
    """Set the topology's policies; policies that are already set do not change. Raises `PolicyRefused`."""
    for policy in topology.policies:
        policy_set(policy, api)


def policy_set(policy: PolicySpec, api: ManagementApi) -> None:
    """Set a policy, which applies to existing and future exchanges. Raises `PolicyRefused`."""
    try:
        api.call("PUT", _path(policy.name, api), policy.as_json)
    except ManagementUnavailable as problem:
        reason = str(problem)
        if problem.status in _FORBIDDEN:
            reason = f"the user {api.user} may not set policies (it needs the tag policymaker): {problem}"
        raise PolicyRefused(f"{reason}\n{by_hand(policy, api.vhost)}") from None


def policy_delete(policy: PolicySpec, api: ManagementApi) -> None:
    """Delete the policy if it exists."""
    try:
        api.call("DELETE", _path(policy.name, api))
    except ManagementUnavailable as problem:
        if problem.status != 404:
            raise


def by_hand(policy: PolicySpec, vhost: str) -> str:
    """What to do if this program may not set policies."""
    return f"an administrator of the broker has to run, once:\n  {policy.command(vhost)}"


def differences(topology: Topology, api: ManagementApi, exchanges: list[dict[str, Any]]) -> Iterator[str]:
    """Like `declare.differences`, for the policies."""
    known = {policy["name"]: policy for policy in api.in_vhost("policies")}
    existing = {exchange["name"]: exchange for exchange in exchanges}
    for policy in topology.policies:
        if policy.name not in known:
            yield f"policy {policy.name} is missing: {_MEANING}; setup_broker sets it, or {by_hand(policy, api.vhost)}"
            continue
        yield from _differences_of(policy, known[policy.name])
        for name in policy.exchanges:
            if name in existing:
                yield from _not_followed(policy, existing[name], known, api.vhost)


def _differences_of(policy: PolicySpec, live: dict[str, Any]) -> Iterator[str]:
    for key, value in policy.as_json.items():
        if live.get(key) != value:
            yield f"policy {policy.name} has {key}={live.get(key)}, not {value}: {_MEANING}; setup_broker sets it"


def _not_followed(
    policy: PolicySpec, exchange: dict[str, Any], known: dict[str, dict[str, Any]], vhost: str
) -> Iterator[str]:
    """A line if the exchange lacks the policy's settings. Only one of the policies that match an exchange applies."""
    name, applied = exchange["name"], exchange.get("policy", "")
    definition = known[applied]["definition"] if applied in known else {}
    if all(definition.get(key) == value for key, value in policy.definition.items()):
        return
    if applied:
        wanted = ", ".join(f"{key}={value}" for key, value in policy.definition.items())
        yield f"exchange {name} follows the policy {applied}, not {policy.name}: {_MEANING}; add {wanted} to {applied}"
    else:
        yield f"exchange {name} follows no policy: {_MEANING}; {by_hand(policy, vhost)}"


def _path(name: str, api: ManagementApi) -> str:
    return f"policies/{quote(api.vhost, safe='')}/{quote(name, safe='')}"
