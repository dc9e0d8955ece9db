"""Certificates in folders that a kubelet mounts: many, by name, coming, changing and going under one listener."""

from __future__ import annotations

import asyncio
import shutil
import ssl
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from cryptography import x509
from tests.mailpod.net.test_wire import Echo
from tests.mailpod.support import bare_services, client_context, make_certificate, until

from mailpod import metrics
from mailpod.config import BucketSettings, ConfigError, ListenerSettings, PodSettings, parse
from mailpod.net.listener import listen, port_of
from mailpod.net.tls import TlsContexts


class Mount:
    """A Secret volume as the kubelet writes it: `..data` is swapped to a folder that is written anew each time."""

    def __init__(self, path: Path) -> None:
        path.mkdir(parents=True)
        self._path, self._turn = path, 0
        self.files: dict[str, bytes] = {}
        self.publish()

    def add(self, scratch: Path, domain: str, *names: str) -> None:
        certificate, key = make_certificate(scratch, *(names or (f"mail.{domain}",)))
        self.files |= {f"{domain}.crt": certificate.read_bytes(), f"{domain}.key": key.read_bytes()}

    def remove(self, domain: str) -> None:
        del self.files[f"{domain}.crt"], self.files[f"{domain}.key"]

    def publish(self) -> None:
        self._turn += 1
        new, data = self._path / f"..2026_{self._turn}", self._path / "..data"
        new.mkdir()
        for name, content in self.files.items():
            (new / name).write_bytes(content)
        old = data.resolve() if data.exists() else None
        temporary = self._path / "..data_tmp"
        temporary.symlink_to(new.name)
        temporary.replace(data)
        shown = {link.name for link in self._path.iterdir() if not link.name.startswith("..")}
        for name in self.files.keys() - shown:
            (self._path / name).symlink_to(f"..data/{name}")
        for name in shown - self.files.keys():
            (self._path / name).unlink()
        if old:
            shutil.rmtree(old)


@pytest.fixture
def mounts(tmp_path: Path) -> list[Mount]:
    """Sixteen, all empty, as on the first day."""
    return [Mount(tmp_path / "keys" / f"{number:02}") for number in range(16)]


@asynccontextmanager
async def serving(contexts: TlsContexts) -> AsyncIterator[int]:
    services = bare_services(contexts)
    listener = ListenerSettings(protocol="imap", host="127.0.0.1", port=0, tls="implicit")
    server = await listen(listener, lambda: Echo(services, implicit_tls=True), services)
    yield port_of(server)
    server.close()
    services.connections.abort()
    await asyncio.sleep(0.01)


async def served(port: int, ask_for: str, *, latest: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> list[str]:
    """The names of the certificate that a client gets."""
    context = client_context()
    context.maximum_version = latest
    _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname=ask_for)
    certificate = x509.load_der_x509_certificate(
        writer.get_extra_info("ssl_object").getpeercert(binary_form=True) or b""
    )
    writer.close()
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return names.get_values_for_type(x509.DNSName)


async def test_certificates_come_change_and_go_under_one_listener(mounts: list[Mount], tmp_path: Path) -> None:
    contexts = TlsContexts(folder=tmp_path / "keys", default="host.test")
    assert not contexts.available
    async with serving(contexts) as port:
        with pytest.raises(OSError):
            await served(port, "mail.host.test")
        mounts[3].add(tmp_path, "host.test")
        mounts[3].add(tmp_path, "a.test", "mail.a.test", "*.a.test")
        mounts[3].publish()
        mounts[9].add(tmp_path, "b.test")
        mounts[9].publish()
        contexts.reload()
        assert contexts.available
        for latest in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            assert await served(port, "", latest=latest) == ["mail.host.test"]
            assert await served(port, "unknown.test", latest=latest) == ["mail.host.test"]
            assert await served(port, "MAIL.b.test", latest=latest) == ["mail.b.test"]
            assert await served(port, "imap.a.test", latest=latest) == ["mail.a.test", "*.a.test"]
            assert await served(port, "x.imap.a.test", latest=latest) == ["mail.host.test"]

        mounts[9].add(tmp_path, "b.test", "mail.b.test", "imap.b.test")
        mounts[9].publish()
        mounts[3].remove("a.test")
        mounts[3].publish()
        contexts.reload()
        assert await served(port, "imap.b.test") == ["mail.b.test", "imap.b.test"]
        assert await served(port, "imap.a.test") == ["mail.host.test"]


async def test_swap_is_seen_within_seconds_and_open_connections_live_on(mounts: list[Mount], tmp_path: Path) -> None:
    mounts[0].add(tmp_path, "host.test")
    mounts[0].publish()
    contexts = TlsContexts(folder=tmp_path / "keys", default="host.test")
    following = asyncio.create_task(contexts.follow(0.05))
    async with serving(contexts) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=client_context())
        await reader.readline()
        mounts[15].add(tmp_path, "later.test")
        mounts[15].publish()
        async with asyncio.timeout(5):
            while await served(port, "mail.later.test") != ["mail.later.test"]:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        writer.write(b"still here\r\n")
        assert b"still here" in await reader.readline()
        writer.close()
    following.cancel()


async def test_three_hundred_names_and_a_hundred_that_go(mounts: list[Mount], tmp_path: Path) -> None:
    certificate, key = (file.read_bytes() for file in make_certificate(tmp_path, "mail.host.test"))
    mounts[0].files |= {"host.test.crt": certificate, "host.test.key": key}
    for number in range(300):
        mounts[number % 16].add(tmp_path, f"d{number}.test")
    publish(mounts)
    contexts = TlsContexts(folder=tmp_path / "keys", default="host.test")
    async with serving(contexts) as port:
        for number in range(0, 300, 7):
            assert await served(port, f"mail.d{number}.test") == [f"mail.d{number}.test"]
        for number in range(100):
            mounts[number % 16].remove(f"d{number}.test")
        publish(mounts)
        contexts.reload()
        assert await served(port, "mail.d99.test") == ["mail.host.test"]
        assert await served(port, "mail.d100.test") == ["mail.d100.test"]
    assert sum(len(family.samples) for family in metrics.CERTIFICATE_EXPIRY.collect()) == 201


def test_what_did_not_change_is_not_loaded_again(mounts: list[Mount], tmp_path: Path) -> None:
    """A kubelet writes the whole folder anew for one new name: the other certificates keep their contexts."""
    mounts[0].add(tmp_path, "a.test")
    mounts[0].publish()
    contexts = TlsContexts(folder=tmp_path / "keys")
    before = contexts._loaded["00/a.test"].context
    mounts[0].add(tmp_path, "b.test")
    mounts[0].publish()
    contexts.reload()
    assert contexts._loaded["00/a.test"].context is before
    assert set(contexts._loaded) == {"00/a.test", "00/b.test"}


async def test_bad_pair_keeps_the_one_in_use_and_harms_no_other(mounts: list[Mount], tmp_path: Path) -> None:
    mounts[0].add(tmp_path, "host.test")
    mounts[0].add(tmp_path, "a.test")
    mounts[0].files["never.test.crt"] = b"half a certif"
    mounts[0].publish()
    contexts = TlsContexts(folder=tmp_path / "keys", default="host.test")
    mounts[0].files["a.test.key"] = mounts[0].files["host.test.key"]  # another's
    mounts[0].add(tmp_path, "new.test")
    mounts[0].publish()
    contexts.reload()
    async with serving(contexts) as port:
        assert await served(port, "mail.a.test") == ["mail.a.test"]
        assert await served(port, "mail.new.test") == ["mail.new.test"]
        assert await served(port, "mail.never.test") == ["mail.host.test"]


async def test_folder_that_cannot_be_read_now_takes_nothing_away(mounts: list[Mount], tmp_path: Path) -> None:
    mounts[0].add(tmp_path, "host.test")
    mounts[0].publish()
    contexts = TlsContexts(folder=tmp_path / "keys", default="host.test")
    data = tmp_path / "keys" / "00" / "..data"
    data.unlink()
    data.symlink_to("..gone")
    contexts.reload()
    assert contexts.available
    shutil.rmtree(tmp_path / "keys")
    contexts.reload()
    assert contexts.available


async def test_anothers_name_in_a_certificate_does_not_take_it_over(mounts: list[Mount], tmp_path: Path) -> None:
    mounts[0].add(
        tmp_path, "aaa-evil.test", "mail.aaa-evil.test", "mail.victim.test", "imap.victim.test", "mail.host.test"
    )
    mounts[0].add(tmp_path, "host.test")
    mounts[1].add(tmp_path, "victim.test", "mail.victim.test", "*.victim.test")
    publish(mounts)
    contexts = TlsContexts(folder=tmp_path / "keys", default="host.test")
    async with serving(contexts) as port:
        assert await served(port, "mail.victim.test") == ["mail.victim.test", "*.victim.test"]
        assert await served(port, "imap.victim.test") == ["mail.victim.test", "*.victim.test"]
        assert await served(port, "mail.host.test") == ["mail.host.test"]
        assert "mail.aaa-evil.test" in await served(port, "mail.aaa-evil.test")


async def test_without_the_hosts_own_another_answers(mounts: list[Mount], tmp_path: Path) -> None:
    """A mail server that delivers to us takes any certificate, and none at all means no TLS with it."""
    mounts[5].add(tmp_path, "a.test")
    mounts[5].publish()
    contexts = TlsContexts(folder=tmp_path / "keys", default="host.test")
    await until(lambda: contexts.available)
    async with serving(contexts) as port:
        assert await served(port, "") == ["mail.a.test"]


def test_settings_take_a_folder_in_place_of_files() -> None:
    listener = ListenerSettings(protocol="imap", port=10993, tls="implicit")
    bucket = BucketSettings(url="memory:")
    PodSettings(bucket=bucket, listeners=[listener], keys=Path("/etc/mailpod/keys"), default_certificate="a.test")
    with pytest.raises(ConfigError, match="or `keys`"):
        parse('{"bucket": {"url": "memory:"}, "listeners": [{"protocol": "imap", "port": 1, "tls": "implicit"}]}')


def publish(mounts: Iterable[Mount]) -> None:
    for mount in mounts:
        mount.publish()
