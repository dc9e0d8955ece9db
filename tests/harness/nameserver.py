"""A validating resolver for tests, which has the zones itself: unbound on port 53 of a loopback address.

A signed zone's key is a trust anchor of the resolver, so its answers are DNSSEC-authentic; all others are not signed.
Port 53, as Postfix's resolver knows no other.
"""

from __future__ import annotations

import contextlib
import socket
import subprocess
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dns.dnssec
import dns.dnssectypes
import dns.name
import dns.rdatatype
import dns.zone
from cryptography.hazmat.primitives.asymmetric import ec
from tests.harness import processes
from tests.harness.need import need

TTL = 1


class NameServer:
    """`zone` makes or replaces a zone; `start` and every later `zone` bring it into force."""

    def __init__(self, folder: Path, address: str) -> None:
        self.folder, self.address = folder, address
        self.resolver = f"{address}:53"
        self._process: subprocess.Popen[bytes] | None = None
        self._keys: dict[str, ec.EllipticCurvePrivateKey] = {}
        self._zones: dict[str, Path] = {}
        folder.mkdir(parents=True, exist_ok=True)
        self.zone("", [])  # the root: what is in no other zone does not exist

    def zone(self, name: str, records: Sequence[str], *, signed: bool = False, forged: Sequence[str] = ()) -> None:
        """Records as a zone file has them, relative to `name`. `forged` are put in after signing: bogus answers."""
        text = f"@ {TTL} IN SOA ns hostmaster 1 3600 600 86400 {TTL}\n@ {TTL} IN NS ns\nns {TTL} IN A {self.address}\n"
        text += "".join(f"{_with_ttl(record)}\n" for record in records)
        zone = dns.zone.from_text(text, origin=dns.name.from_text(name), relativize=False)
        if signed:
            self._sign(name, zone)
        else:
            self._keys.pop(name, None)
        path = self.folder / ((name or "root") + ".zone")
        for record in forged:
            owner, kind, data = record.split(None, 2)
            origin = dns.name.from_text(name)
            found = zone.find_rdataset(dns.name.from_text(owner, origin), kind, create=True)
            found.clear()
            found.add(dns.rdata.from_text("IN", kind, data, origin=origin, relativize=False), TTL)
        zone.to_file(str(path), relativize=False)
        self._zones[name] = path
        if self._process is not None:
            self.stop()
            self.start()

    def start(self) -> None:
        config = self.folder / "unbound.conf"
        config.write_text(self._configuration())
        command = [need("unbound"), "-d", "-c", str(config)]
        with (self.folder / "unbound.log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            assert self._process.poll() is None, (self.folder / "unbound.log").read_text()[-2000:]
            with contextlib.suppress(OSError), socket.create_connection((self.address, 53), 0.2):
                return
            time.sleep(0.02)
        raise AssertionError("unbound does not listen")

    def stop(self) -> None:
        if self._process is not None:
            processes.end(self._process)
            self._process = None

    def _sign(self, name: str, zone: dns.zone.Zone) -> None:
        key = self._keys.setdefault(name, ec.generate_private_key(ec.SECP256R1()))
        public = dns.dnssec.make_dnskey(key.public_key(), dns.dnssectypes.Algorithm.ECDSAP256SHA256, flags=257)
        now = datetime.now(UTC)
        dns.dnssec.sign_zone(
            zone,
            keys=[(key, public)],
            inception=now - timedelta(hours=1),
            expiration=now + timedelta(days=2),
            add_dnskey=True,
            dnskey_ttl=TTL,
        )

    def _configuration(self) -> str:
        lines = [
            f'directory: "{self.folder}"',
            'username: ""',
            'chroot: ""',
            f'pidfile: "{self.folder}/unbound.pid"',
            "do-daemonize: no",
            "use-syslog: no",
            f"interface: {self.address}@53",
            "do-not-query-localhost: no",
            "num-threads: 1",
            'module-config: "validator iterator"',
            "cache-max-ttl: 1",
            "cache-max-negative-ttl: 0",
            "access-control: 127.0.0.0/8 allow",
            *(f'local-zone: "{zone}." nodefault' for zone in ("test", *filter(None, self._zones))),
            *(f'trust-anchor: "{name}. DNSKEY {_public(key)}"' for name, key in self._keys.items()),
        ]
        zones = "".join(
            f'auth-zone:\n  name: "{name}."\n  zonefile: "{path}"\n  for-downstream: no\n  for-upstream: yes\n'
            for name, path in self._zones.items()
        )
        control = "remote-control:\n  control-enable: no\n"
        return "server:\n" + "".join(f"  {line}\n" for line in lines) + control + zones


def _public(key: ec.EllipticCurvePrivateKey) -> str:
    return dns.dnssec.make_dnskey(key.public_key(), dns.dnssectypes.Algorithm.ECDSAP256SHA256, flags=257).to_text()


def _with_ttl(record: str) -> str:
    owner, rest = record.split(None, 1)
    return f"{owner} {TTL} IN {rest}"
