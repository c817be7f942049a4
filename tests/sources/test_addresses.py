"""Only the addresses of public servers are public."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixseek.sources.addresses import is_public

PRIVATE = (
    "0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "100.127.255.255", "127.0.0.1",
    "127.255.255.254", "169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.8",
    "192.0.2.1", "192.88.99.1", "192.168.1.1", "198.18.0.1", "198.19.255.255", "198.51.100.1",
    "203.0.113.1", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255",
)  # fmt: skip
PUBLIC = ("1.1.1.1", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.1.1.1",
          "172.15.255.255", "172.32.0.0", "192.0.1.1", "192.167.255.255", "198.17.255.255",
          "198.20.0.0", "223.255.255.255")  # fmt: skip


@pytest.mark.parametrize("address", PRIVATE)
def test_a_special_address_of_ipv4_is_not_public_in_any_form(address: str) -> None:
    assert not is_public(address)
    for prefix in ("::ffff:", "64:ff9b::", "::", "::ffff:0:", "64:ff9b:1::"):
        assert not is_public(prefix + address)
    number = int(ipaddress.IPv4Address(address))
    for inside in ((0x2002 << 112) | (number << 80), (0x20010000 << 96) | (number ^ 0xFFFFFFFF)):
        assert not is_public(str(ipaddress.IPv6Address(inside)))


@pytest.mark.parametrize("address", PUBLIC)
def test_an_address_next_to_a_special_range_is_public(address: str) -> None:
    assert is_public(address)
    assert is_public("::ffff:" + address)
    assert is_public("64:ff9b::" + address)


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("::", False), ("::1", False), ("fe80::1", False), ("fe80::1%eth0", False),
        ("febf::1", False), ("fec0::1", False), ("fc00::1", False), ("fd12::1", False),
        ("ff02::1", False), ("100::1", False), ("2001:db8::1", False), ("2001::1", False),
        ("2001:20::1", False), ("2002:102:304::1", False), ("3fff::1", False), ("5f00::1", False),
        ("4000::1", False), ("2001:200::1", True), ("2606:4700::1111", True),
        ("2a00:1450::1", True), ("3ffe::1", True),
    ],
)  # fmt: skip
def test_addresses_of_ipv6(address: str, expected: bool) -> None:
    assert is_public(address) == expected


@given(st.integers(0, 2**32 - 1))
def test_what_python_calls_private_is_never_public(number: int) -> None:
    address = ipaddress.IPv4Address(number)
    if address.is_private or address.is_multicast or address.is_reserved:
        assert not is_public(str(address))


@pytest.mark.parametrize("text", ["", "localhost", "1.2.3", "127.1", "0x7f.0.0.1", "1.2.3.4:80"])
def test_what_is_not_an_address_raises(text: str) -> None:
    with pytest.raises(ValueError):
        is_public(text)
