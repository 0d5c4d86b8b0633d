"""Where a server may send requests to: the form of an endpoint's URL, hosts, addresses.

Whoever may register functions chooses URLs that the server then calls, from where it stands.
So some addresses are never called, and `Reach` narrows the rest. What counts is the address
that is connected to, not what a name stood for when somebody looked.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import Final, final

from ironflow import limits
from ironflow.errors import ConfigurationError

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_URL: Final = re.compile(
    r"https?://(?:\[[0-9a-f:.]+\]|[^][\s\\@:/?#%]+)(?::\d{1,5})?(?:[/?][!-\"$-\[\]-~]*)?",
    re.IGNORECASE,
)
_HOST: Final = re.compile(r"(?:\*\.)?[^][\s\\@:/?#%*]+")
# Addresses of a link, of many, of nobody, and of what clouds tell their own machines.
_APART: Final[tuple[Network, ...]] = tuple(
    ip_network(each)
    for each in (
        *("0.0.0.0/8", "::/128"),
        *("169.254.0.0/16", "fe80::/10"),
        *("224.0.0.0/4", "255.255.255.255/32", "ff00::/8"),
        *("fd00:ec2::254/128", "fd20:ce::254/128"),
        *("100.100.100.200/32", "168.63.129.16/32", "192.0.0.192/32"),
    )
)
_NAT64: Final = IPv6Network("64:ff9b::/96")
_LOW_32_BITS: Final = 0xFFFFFFFF


def check_endpoint_url(url: str) -> None:
    """Let the URL of an endpoint pass.

    Raises:
        ConfigurationError: it is none that a server calls; the message says why.
    """
    if len(url) > limits.ENDPOINT_URL_CHARS_MAX:
        raise ConfigurationError(
            f"endpoint_url has {len(url)} characters, and at most"
            f" {limits.ENDPOINT_URL_CHARS_MAX} are allowed"
        )
    if _URL.fullmatch(url) is None:
        # It may have a password in it, so it is not repeated.
        raise ConfigurationError(
            "endpoint_url must be http://host[:port]/path or https://..., without user,"
            " password, #fragment, blanks or characters that a URL escapes"
        )


@final
@dataclass(frozen=True, slots=True)
class Reach:
    """Which hosts and networks may be called: those allowed (empty: all) and not denied.

    A host is a name in lower case, or `*.name` for every name below it.
    """

    allow: tuple[Network | str, ...] = ()
    deny: tuple[Network | str, ...] = ()

    def refusal(self, host: str, address: str) -> str:
        """Return why a host that stands for an address may not be called; empty if it may."""
        name = host.lower().rstrip(".")
        faces = _faces(ip_address(address.partition("%")[0]))
        if _has(self.deny, name, faces):
            return f"{host} ({address}) is denied by --push-deny"
        if _is_apart(faces) and not self._lifts(faces):
            return (
                f"{address} is an address that no endpoint has: of a link, or of what a"
                " cloud tells its machines; name its network with --push-allow if it is one"
            )
        if self.allow and not _has(self.allow, name, faces):
            return f"{host} ({address}) is not among what --push-allow names"
        return ""

    def _lifts(self, faces: Iterable[Address]) -> bool:
        """Say whether a network is allowed that is no larger than what is refused."""
        return any(
            _is_within(network, apart)
            for network in self.allow
            if not isinstance(network, str) and any(face in network for face in faces)
            for apart in _APART
        )


ANYWHERE: Final = Reach()


def reach(*, allow: str = "", deny: str = "") -> Reach:
    """Return what two lists of hosts and networks mean; between entries stand commas.

    Raises:
        ConfigurationError: an entry is neither; the message names it.
    """
    return Reach(_places(allow, "push-allow"), _places(deny, "push-deny"))


def _places(text: str, option: str) -> tuple[Network | str, ...]:
    entries = [each.strip() for each in text.split(",")]
    return tuple(_place(each, option) for each in entries if each)


def _place(entry: str, option: str) -> Network | str:
    try:
        return ip_network(entry.strip("[]"), strict=False)
    except ValueError:
        if _HOST.fullmatch(entry) is None:
            raise ConfigurationError(
                f"{option}: {entry!r} is neither a network (10.0.0.0/8, fd00::/8), an address"
                " nor a host (hooks.test, *.shop.test)"
            ) from None
    return entry.lower().rstrip(".")


def _faces(address: Address) -> tuple[Address, ...]:
    """Return an address, and the one inside it if it only carries another."""
    if isinstance(address, IPv4Address):
        return (address,)
    inner = address.ipv4_mapped or address.sixtofour
    if address in _NAT64:
        inner = IPv4Address(int(address) & _LOW_32_BITS)
    return (address,) if inner is None else (address, inner)


def _is_apart(faces: Iterable[Address]) -> bool:
    return any(face in network for face in faces for network in _APART)


def _is_within(network: Network, other: Network) -> bool:
    if isinstance(network, IPv4Network):
        return isinstance(other, IPv4Network) and network.subnet_of(other)
    return isinstance(other, IPv6Network) and network.subnet_of(other)


def _has(
    places: Iterable[Network | str], name: str, faces: tuple[Address, ...]
) -> bool:
    for place in places:
        if isinstance(place, str):
            if name == place or (place[0] == "*" and name.endswith(place[1:])):
                return True
        elif any(face in place for face in faces):
            return True
    return False
