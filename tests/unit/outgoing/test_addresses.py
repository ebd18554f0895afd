"""Which addresses an operator's URL may lead to, and that what is connected to is what was checked."""

import socket
from ipaddress import ip_address

import httpx2
import pytest

from outgoing.addresses import Allowed, is_public
from outgoing.http import CheckedTransport
from outgoing.resolving import OutgoingRefused, check_literal, checked, guarded_lookup

NOTHING = Allowed()


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "100.127.255.255", "127.0.0.1", "127.255.255.254",
        "169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.8", "192.0.2.1", "192.31.196.1", "192.52.193.1",
        "192.88.99.1", "192.168.1.1", "192.175.48.1", "198.18.0.1", "198.19.255.255", "198.51.100.7", "203.0.113.7",
        "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255",
        "::", "::1", "::127.0.0.1", "::8.8.8.8", "::ffff:127.0.0.1", "::ffff:8.8.8.8", "64:ff9b::7f00:1",
        "64:ff9b::808:808", "64:ff9b:1::1", "100::1", "2001::1", "2001:2::1", "2001:10::1", "2001:20::1", "2001:db8::1",
        "2002:7f00:1::", "2002:808:808::1", "2620:4f:8000::1", "3fff::1", "5f00::1", "fc00::1", "fd12:3456::1",
        "fe80::1", "fe80::1%eth0", "2a00:1450::1%eth0", "fec0::1", "ff02::1", "4000::1",
    ],
)  # fmt: skip
def test_what_is_not_the_public_internet_is_refused(address):
    assert not is_public(ip_address(address))


@pytest.mark.parametrize(
    "address",
    ["1.1.1.1", "8.8.8.8", "11.0.0.1", "100.63.255.255", "100.128.0.1", "172.15.0.1", "172.32.0.1", "192.167.0.1",
     "223.255.255.254", "2606:4700:4700::1111", "2a00:1450:4001::1", "2001:4860:4860::8888"],
)  # fmt: skip
def test_the_public_internet_is_allowed(address):
    assert is_public(ip_address(address))


def found(*addresses):
    family = {4: socket.AF_INET, 6: socket.AF_INET6}
    return [(family[ip_address(address).version], socket.SOCK_STREAM, 6, "", (address, 80)) for address in addresses]


def test_one_private_address_among_public_ones_is_enough():
    assert checked("hooks.example", found("1.1.1.1", "8.8.8.8", "1.1.1.1"), NOTHING) == ["1.1.1.1", "8.8.8.8"]
    with pytest.raises(OutgoingRefused) as refused:
        checked("hooks.example", found("1.1.1.1", "10.9.8.7"), NOTHING)
    assert "hooks" not in str(refused.value) and "10.9" not in str(refused.value)


def test_a_setting_lists_hosts_and_networks():
    allowed = Allowed.of(["Hooks.Internal.", "10.1.0.0/16", "[::1]", "192.168.7.7"])
    assert allowed.may_connect("hooks.internal", ip_address("127.0.0.1"))
    assert allowed.may_connect("other", ip_address("10.1.2.3"))
    assert allowed.may_connect("other", ip_address("::1"))
    assert allowed.may_connect("other", ip_address("192.168.7.7"))
    assert not allowed.may_connect("other", ip_address("10.2.0.1"))
    assert not allowed.may_connect("sub.hooks.internal", ip_address("127.0.0.1"))
    assert not Allowed.of(["127.0.0.0/8"]).may_connect("other", ip_address("::ffff:127.0.0.1"))


@pytest.mark.parametrize(
    "entry", ["10.1.0.0/33", "10.1", "10.1.2.3/8", "a b", "http://host", "host:80", "-", "*.host", ""]
)
def test_a_mistyped_setting_is_no_host(entry):
    with pytest.raises(ValueError):
        Allowed.of([entry])


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "::ffff:10.0.0.1", "localhost", "LOCALHOST.", "x.localhost"])
def test_what_needs_no_look_up_is_refused_without_one(host):
    with pytest.raises(OutgoingRefused):
        check_literal(host, NOTHING)
    check_literal("hooks.example", NOTHING)
    check_literal("8.8.8.8", NOTHING)


@pytest.mark.parametrize("host", ["127.1", "0x7f000001", "2130706433", "0177.0.0.1", b"127.0.0.1", None])
def test_other_spellings_of_loopback_are_seen_once_they_are_resolved(host):
    with pytest.raises(OutgoingRefused):
        guarded_lookup(socket.getaddrinfo, NOTHING)(host, 80)


class Wire(httpx2.AsyncBaseTransport):
    """Below the check: keeps where the connections would go, and answers."""

    def __init__(self, *answers):
        self.answers, self.requests = list(answers), []

    async def handle_async_request(self, request):
        self.requests.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture
def names(monkeypatch):
    """A resolver of our own: for each name the answers that it gives, one after the other."""
    answers: dict[str, list[list[str]]] = {}

    def getaddrinfo(host, port, **kwargs):
        return found(*answers[host].pop(0))

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return answers


def client(wire, **options):
    return httpx2.AsyncClient(transport=CheckedTransport(allowed=NOTHING, inner=wire), **options)


async def test_the_connection_goes_to_the_address_and_the_name_stays(names):
    names["hooks.example"] = [["1.1.1.1"]]
    wire = Wire(httpx2.Response(204))
    async with client(wire) as through:
        await through.post("https://user:pw@hooks.example:8443/a?b=c", content=b"{}")
    [request] = wire.requests
    assert str(request.url) == "https://user:pw@1.1.1.1:8443/a?b=c"
    assert request.headers["Host"] == "hooks.example:8443" and request.extensions["sni_hostname"] == "hooks.example"


async def test_a_name_that_changes_its_mind_is_asked_once_a_request(names):
    """Rebinding: the second answer is loopback. It is never asked for within a request, and refused in the next."""
    names["hooks.example"] = [["1.1.1.1"], ["127.0.0.1"]]
    wire = Wire(httpx2.Response(204))
    async with client(wire) as through:
        await through.post("http://hooks.example/")
        assert len(names["hooks.example"]) == 1
        with pytest.raises(OutgoingRefused):
            await through.post("http://hooks.example/")
    assert [request.url.host for request in wire.requests] == ["1.1.1.1"]


@pytest.mark.parametrize("there", ["http://127.0.0.1:6379/", "http://[::1]/", "http://inside.example/"])
async def test_each_hop_of_a_redirect_is_checked(names, there):
    names |= {"hooks.example": [["1.1.1.1"]], "inside.example": [["10.0.0.5"]], "127.0.0.1": [["127.0.0.1"]]}
    names["::1"] = [["::1"]]
    wire = Wire(httpx2.Response(307, headers={"Location": there}))
    async with client(wire, follow_redirects=True) as through:
        with pytest.raises(OutgoingRefused):
            await through.post("http://hooks.example/", content=b"{}")
    assert len(wire.requests) == 1


async def test_the_next_address_is_tried_when_nothing_could_be_sent(names):
    names["hooks.example"] = [["2606:4700::1", "1.1.1.1"]]
    wire = Wire(httpx2.ConnectError("no route"), httpx2.Response(204))
    async with client(wire) as through:
        assert (await through.post("http://hooks.example/", content=b"{}")).status_code == 204
    assert [request.url.host for request in wire.requests] == ["2606:4700::1", "1.1.1.1"]
