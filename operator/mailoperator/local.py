"""Local mode: the manifests of this machine's files, served by mail pods that are child processes.

What is published is always a whole set of manifests that was read, checked and hashed without an error; one with an
error changes nothing. The pods are told nothing but their settings at start: everything else reaches them through the
directory, as in a cluster.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import random
import signal
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_network
from pathlib import Path
from typing import Final

from mailoperator.banner import User, banner
from mailoperator.build.sending import with_outbound
from mailoperator.entries import address_of, build_entries
from mailoperator.follow import Follower
from mailoperator.localkeys import KEYS, keep_keys
from mailoperator.localonly import check_local, left_aside
from mailoperator.localstate import LocalState
from mailoperator.manifests import Key, ManifestError, Manifests, load
from mailoperator.model_outbound import Outbound
from mailoperator.passwords import Hasher, passwords
from mailoperator.pods import PodFailed, Pods
from mailoperator.ports import Ports, reachable
from mailoperator.references import check, domain_key, domain_names, smarthost_credentials
from mailpod.config import BucketSettings, CertificateFiles, HintSettings, LmtpSettings, PodSettings, WebSettings
from mailpod.directory import Ambiguous, Entry, ObjectStore, Publisher, StorageError, SystemClock, public_key

_THIS_HOST: Final = [ip_network("127.0.0.0/8"), ip_network("::1")]  # who may hand over by LMTP
_SMARTHOST: Final = "smarthost"  # folder of its credentials
_LOOK_SECONDS: Final = 0.5  # between two looks at the manifests
_REPAIR_SECONDS: Final = 300.0  # between two comparisons of an unchanged set with the bucket
_RETRY_SECONDS: Final = 3.0  # after the bucket failed
_READY_SECONDS: Final = 60.0
_STOP_SECONDS: Final = 15.0  # beyond what the pods' own drain takes


@dataclass(frozen=True, slots=True)
class Options:
    """The command line."""

    manifests: list[Path]
    data: Path
    bucket: str  # what open_bucket takes: an absolute path, or a URL
    ports: Ports
    hints: bool = True
    resolver: str | None = None  # ADDRESS:PORT; before what manifests say


@dataclass(slots=True)
class World:
    """A set of manifests that was found good, with what follows from it."""

    found: Manifests
    passwords: Mapping[Key, str | None]
    entries: list[Entry] = field(default_factory=list)


class Local:
    """One run of `mail-operator local`."""

    def __init__(self, options: Options, state: LocalState, objects: ObjectStore) -> None:
        self._options = options
        self._state = state
        signing_key = state.signing_key()
        self._trusted = public_key(signing_key)
        self._hasher = Hasher(state, signing_key)
        self._publisher = Publisher(objects, signing_key=signing_key, clock=SystemClock(), rng=random.SystemRandom())
        self._follower = Follower(options.manifests)
        self._stop, self._hurry = asyncio.Event(), asyncio.Event()
        self._world = World(Manifests(), {})
        self._bucket_fails = False

    async def run(self) -> None:
        """Serve until SIGINT or SIGTERM. Raises ManifestError and PodFailed for what is wrong from the start."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._on_signal)
        self._world = await self._read()
        for ignored in self._world.found.ignored:
            say(f"{ignored}: is not Mailpod's, and left alone")
        for line in left_aside(self._world.found):
            say(line)
        published = await self._publish()
        settings = [self._settings(pod) for pod in range(self._options.ports.pods)]
        pods = Pods([self._write(pod, one) for pod, one in enumerate(settings)], say)
        pods.start()
        try:
            await self._until_ready(pods)
            await self._follow(published)
        finally:
            await pods.stop(settings[0].drain_seconds + _STOP_SECONDS, self._hurry)

    async def _read(self) -> World:
        """The manifests as they are now. Raises ManifestError."""
        found = await asyncio.to_thread(load, self._options.manifests)
        await asyncio.to_thread(check, found)
        check_local(found)
        await asyncio.to_thread(keep_keys, self._state, [domain.spec.domain_name for domain in found.domains.values()])
        secrets = passwords(found, self._state)
        verifiers = await self._hasher.verifiers(found, secrets)
        return World(found, secrets, build_entries(found, verifiers))

    async def _publish(self) -> bool:
        """Bring the bucket's directory in line; False if the bucket failed, which is said once."""
        try:
            done = await self._publisher.publish(self._world.entries)
        except (StorageError, Ambiguous) as error:
            if not self._bucket_fails:
                say(f"the bucket does not answer, and is tried again: {error}")
            self._bucket_fails = True
            return False
        if self._bucket_fails:
            say("the bucket answers again")
        self._bucket_fails = False
        if done.written or done.withdrawn:
            say(f"directory: {len(done.written)} written, {len(done.withdrawn)} withdrawn")
        for key in done.newer:
            say(f"directory: {key} was written by a newer version of Mailpod, and is left alone")
        return True

    async def _follow(self, published: bool) -> None:
        """Publish what changes, until told to stop."""
        waited = 0.0
        while not await self._stopped_within(_LOOK_SECONDS):
            waited += _LOOK_SECONDS
            changed = await asyncio.to_thread(self._follower.changed)
            if changed:
                published = await self._change() and published
            if changed or waited >= (_REPAIR_SECONDS if published else _RETRY_SECONDS):
                published, waited = await self._publish(), 0.0

    async def _change(self) -> bool:
        """Take up changed manifests; False if they are wrong, and what was in force stays so."""
        before = self._world
        try:
            self._world = await self._read()
        except ManifestError as error:
            say("the manifests changed and are wrong; what was in force stays in force:", *error.problems)
            return True
        say("the manifests changed")
        self._state.certificate(self._names())
        for key in before.found.mailboxes.keys() - self._world.found.mailboxes.keys():
            gone = before.found.mailboxes[key]
            kept = "its mail is kept"
            if gone.spec.deletion_policy == "Delete":
                kept = "deletionPolicy is Delete, but this version erases nothing: its mail stays in the bucket"
            say(f"{gone.title} was removed: nobody can log in or get mail there any more; {kept}")
        return True

    async def _until_ready(self, pods: Pods) -> None:
        """Wait for the pods, then say where mail is served."""
        waiting = set(range(self._options.ports.pods))
        for _ in range(int(_READY_SECONDS / 0.1)):
            waiting -= {pod for pod in waiting if await self._is_ready(pod)}
            if not waiting:
                pods.settle()
                self._print_banner(pods)
                return
            if pods.failed():
                raise PodFailed("a mail pod could not start")
            if await self._stopped_within(0.1):
                return
        pods.settle()
        say(f"not ready after {_READY_SECONDS:g} s: pods {', '.join(map(str, sorted(waiting)))}; see their log above")

    async def _is_ready(self, pod: int) -> bool:
        host, port = reachable(self._options.ports.host), self._options.ports.http(pod)
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(2):
                reader, writer = await asyncio.open_connection(host, port)
                writer.write(b"GET /readyz HTTP/1.0\r\nHost: localhost\r\n\r\n")
                answer = await reader.readline()
                writer.close()
                return b" 200 " in answer
        return False

    def _print_banner(self, pods: Pods) -> None:
        found = self._world.found
        domains = sorted(name for domain in found.domains.values() for name in domain_names(domain))
        certificate = _short(self._state.path / "tls.crt")
        print(  # noqa: T201  for the person at the terminal
            banner(
                domains=domains,
                users=[self._user(key) for key in found.mailboxes],
                ports=self._options.ports,
                pids=pods.pids,
                bucket=str(_short(Path(self._options.bucket)))
                if "://" not in self._options.bucket
                else self._options.bucket,
                certificate=certificate,
            ),
            flush=True,
        )

    def _user(self, key: Key) -> User:
        found = self._world.found
        mailbox = found.mailboxes[key]
        reference = mailbox.spec.password_secret_ref
        kept = f"in Secret {key[0]}/{reference.name}" if reference else f"in {_short(self._state.path / 'passwords')}"
        return User(str(address_of(mailbox, found.domains[domain_key(mailbox)])), self._world.passwords[key], kept)

    def _settings(self, pod: int) -> PodSettings:
        """Everything that pod number `pod` is told."""
        domains = list(self._world.found.domains.values())
        certificate, key = self._state.certificate(self._names())
        defaults = PodSettings(bucket=BucketSettings(url=self._options.bucket))
        largest = max([defaults.smtp.max_message_bytes, *(domain.spec.max_message_size for domain in domains)])
        settings = PodSettings(
            name=f"local-{pod}",
            hostname=domains[0].hostname if domains else "localhost",
            bucket=defaults.bucket,
            listeners=self._options.ports.listeners(pod),
            lmtp=LmtpSettings(networks=_THIS_HOST),
            tls=[CertificateFiles(certificate=certificate.absolute(), key=key.absolute())],
            keys=(self._state.path / KEYS).absolute(),
            directory_keys=[base64.b64encode(self._trusted).decode()],
            smtp=defaults.smtp.model_copy(update={"max_message_bytes": largest}),
            hints=self._hints(pod),
            web=WebSettings(port_offset=self._options.ports.offset, by_address=True),
        )
        return self._with_outbound(settings)

    def _with_outbound(self, settings: PodSettings) -> PodSettings:
        """As the first MailDomain says that says something: local mode has one set of pods for all."""
        found = self._world.found
        domain = next((each for each in found.domains.values() if each.spec.outbound), None)
        outbound = domain.spec.outbound if domain and domain.spec.outbound else Outbound()
        if self._options.resolver:
            outbound = outbound.model_copy(update={"resolver": self._options.resolver})
        for key, value in (smarthost_credentials(domain, found) if domain else {}).items():
            self._state.write(f"{_SMARTHOST}/{key}", value)
        return with_outbound(settings, outbound, (self._state.path / _SMARTHOST).absolute())

    def _hints(self, pod: int) -> HintSettings | None:
        ports = self._options.ports
        if not self._options.hints or ports.pods == 1:
            return None
        host = reachable(ports.host)
        written = f"[{host}]" if ":" in host else host
        others = [f"{written}:{ports.hints(other)}" for other in range(ports.pods) if other != pod]
        keys = [self._state.hint_keys().absolute()]
        return HintSettings(host=host, port=ports.hints(pod), peers=others, keys=keys)

    def _write(self, pod: int, settings: PodSettings) -> Path:
        return self._state.write(f"pod-{pod}.json", settings.model_dump_json(indent=1, exclude_defaults=True) + "\n")

    def _names(self) -> list[str]:
        """What the certificate is for."""
        hostnames = (name for domain in self._world.found.domains.values() for name in domain.certificate_names)
        host = self._options.ports.host
        listening = [] if host in ("0.0.0.0", "::") else [host]  # noqa: S104
        return list(dict.fromkeys([*hostnames, "localhost", "127.0.0.1", "::1", *listening]))

    def _on_signal(self) -> None:
        if self._stop.is_set():
            self._hurry.set()
        else:
            say("stopping, when running commands are done (a second Ctrl-C: at once)")
        self._stop.set()

    async def _stopped_within(self, seconds: float) -> bool:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stop.wait(), seconds)
        return self._stop.is_set()


def say(*lines: str) -> None:
    """Tell the person who started this."""
    print("\n  ".join(f"mail-operator: {line}" if not n else line for n, line in enumerate(lines)), flush=True)  # noqa: T201


def _short(path: Path) -> Path:
    """Relative where it is below the working directory, as a person would type it."""
    absolute = path.absolute()
    return absolute.relative_to(Path.cwd()) if absolute.is_relative_to(Path.cwd()) else absolute
