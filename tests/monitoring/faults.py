"""Every fault that alerts and dashboards are for, and what causes it; acts.py says what each fires and moves.

A panel's name is `dashboard: row: title`. It rises, or falls, by the sum of all its lines.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from tests.harness.clients import letter
from tests.harness.imap import Imap
from tests.harness.pop3 import Pop3
from tests.harness.smtp import Smtp, stuffed
from tests.harness.target import Account, Target
from tests.harness.wire import Stream
from tests.monitoring.faultworld import FORWARDING, FULL, LISTED, NEARLY_FULL, UNSIGNED, FaultWorld
from tests.operator.plane import mailbox

from mailoperator import conditions as c
from mailoperator.context import Usage
from mailpod.directory import open_bucket
from mailpod.store.throttle import TOTAL

AHEAD: Final = 7200.0
"""What is about hours is asked as if so many seconds had passed, with nothing changed."""


@dataclass(frozen=True)
class Fault:
    """`rises` and `falls` are panels. `again`: caused again and again until all was seen, as load is."""

    cause: Callable[[FaultWorld], Awaitable[None] | None]
    alerts: tuple[str, ...] = ()
    rises: tuple[str, ...] = ()
    falls: tuple[str, ...] = ()
    again: bool = False
    later: bool = False
    """Its alerts are about hours: AHEAD."""
    window: str = "10s"
    """Of its rates: what happens once is to be seen for longer."""


def submit(world: FaultWorld, account: Account, *recipients: str) -> None:
    with Smtp(world.server.pod_target(0), "submission") as smtp:
        smtp.login(account)
        assert smtp.deliver(account.address, [*recipients], letter(sender=account.address)[1]).code == 250


# -- mail on its way


def mail_is_sent_and_read(world: FaultWorld) -> None:
    alice, bob = world.server.accounts[:2]
    for pod in range(2):
        target = world.server.pod_target(pod)
        with Smtp(target) as smtp:
            smtp.upgrade()
            smtp.deliver("a@far.test", [alice.address, bob.address], letter()[1])
            smtp.expect(250, "MAIL FROM:<a@far.test>")
            smtp.expect(550, "RCPT TO:<nobody@example.test>")
        with contextlib.closing(Imap(target, service="imaps")) as imap:
            imap.login(bob)
            imap.ok("SELECT INBOX")
            imap.ok("FETCH 1:* (FLAGS BODY.PEEK[])")
            imap.command("SELECT Nowhere")
        with contextlib.closing(Pop3(target, bob)) as pop3:
            pop3.ok("STAT")
    submit(world, alice, "ann@far.test")
    if len(world.held) < 4:
        world.held += [Imap(world.server.pod_target(0), alice), Pop3(world.server.pod_target(0), alice)]


def mail_is_forwarded(world: FaultWorld) -> None:
    with Smtp(world.server.pod_target(0)) as smtp:
        assert smtp.deliver("a@far.test", [FORWARDING.address], letter()[1]).code == 250


def a_mailbox_is_full(world: FaultWorld) -> None:
    with Smtp(world.server.pod_target(0)) as smtp:
        assert smtp.deliver("a@far.test", [FULL.address], letter(body="x" * 900 + "\r\n")[1]).code == 552


def a_client_is_on_a_blocklist(world: FaultWorld) -> None:
    with contextlib.closing(Client(world.server.pod_target(0), LISTED)) as smtp:
        smtp.expect(250, "MAIL FROM:<a@far.test>")
        smtp.expect(554, f"RCPT TO:<{world.server.accounts[0].address}>")


class Client(Smtp):
    """One that comes from another address of this machine."""

    def __init__(self, target: Target, source: str) -> None:
        Stream.__init__(self, target.host, target.port("smtp"), source=source)
        self.target, self.greeting = target, self.reply()
        self.expect(250, "EHLO other.test")


def servers_elsewhere_are_down(world: FaultWorld) -> None:
    submit(world, world.server.accounts[0], *(f"ann{number}@down.test" for number in range(40)))


def one_elsewhere_says_nothing(world: FaultWorld) -> None:
    submit(world, world.server.accounts[0], "ann@silent.test")


def one_elsewhere_refuses(world: FaultWorld) -> None:
    world.peer.say("RCPT TO:<nobody@far.test", "550 5.1.1 who is that…")
    submit(world, world.server.accounts[0], "nobody@far.test")


def keys_are_lost(world: FaultWorld) -> None:
    for file in world.key_states(UNSIGNED.domain):
        file.unlink()
    submit(world, UNSIGNED, world.server.accounts[0].address)


def new_keys_are_not_in_the_dns(world: FaultWorld) -> None:
    world.age_keys(20)


def a_certificate_runs_out(world: FaultWorld) -> None:
    world.certify(3)


def logs_are_damaged(world: FaultWorld) -> None:
    """Of two mailboxes, one of which is then removed: a letter waits for the first, another is undeliverable."""
    accounts = world.server.accounts
    bob, changed, damaged, leaving = accounts[1], accounts[3], accounts[4], accounts[5]
    world.held.append(Pop3(world.server.pod_target(1), changed))
    _deliver(world, [damaged], [leaving])
    for account in (damaged, leaving):
        asyncio.run(_damage(world, account))
    _deliver(world, [bob, damaged], [bob, leaving])
    accounts.remove(leaving)
    accounts[3] = Account(changed.address, "a new password")
    world.write_manifest()


def _deliver(world: FaultWorld, *envelopes: list[Account]) -> None:
    for recipients in envelopes:
        with Smtp(world.server.pod_target(1)) as smtp:
            addresses = [recipient.address for recipient in recipients]
            assert smtp.deliver("a@far.test", addresses, letter()[1]).code == 250


async def _damage(world: FaultWorld, account: Account) -> None:
    """What stands next in its log is no commit."""
    objects = await open_bucket(world.bucket.url("trial"), credentials_file=world.credentials)
    prefix = f"accounts/{account.domain}/{account.local}/"
    last = max(entry.key for entry in await objects.list(prefix) if "/log/" in entry.key)
    place, _, number = last.rpartition("/")
    await objects.create(f"{place}/{int(number) + 1:020d}", [b"no commit\n"])
    await objects.close()


# -- clients


def passwords_are_guessed(world: FaultWorld) -> None:
    """From many networks, for many names."""
    guesses = []
    for _ in range(20):
        number = next(world.numbers)
        stream = _pop3s(world, f"127.{number // 200 + 1}.{number % 200}.1")
        stream.send(b"USER guess%d@example.test\r\nPASS x\r\n" % number)
        guesses.append(stream)
    for stream in guesses:
        assert [stream.read_line()[:3] for _ in range(3)] == [b"+OK", b"+OK", b"-ER"]
        stream.sock.close()


def one_password_is_guessed(world: FaultWorld) -> None:
    """Again and again."""
    stream = _pop3s(world, "127.0.0.7")
    stream.send(b"USER %s\r\nPASS x\r\n" % world.server.accounts[2].address.encode() * 4)
    for _ in range(9):
        stream.read_line()
    stream.sock.close()


def _pop3s(world: FaultWorld, source: str) -> Stream:
    target = world.server.pod_target(0)
    stream = Stream(target.host, target.port("pop3s"), source=source)
    stream.start_tls(target.tls(), target.hostname)
    return stream


def connections_are_too_many(world: FaultWorld) -> None:
    target = world.server.pod_target(1)
    many = [Stream(target.host, target.port("imap"), source="127.0.0.8") for _ in range(60)]
    for stream in many:
        stream.sock.close()


def sessions_crash(world: FaultWorld) -> None:
    pop3 = Pop3(world.server.pod_target(0), world.server.accounts[1])
    with contextlib.closing(pop3), contextlib.suppress(EOFError):
        pop3.command("TOP 1 1")


def memory_is_used_up(world: FaultWorld) -> None:
    """By a message that is announced and does not come."""
    imap = Imap(world.server.pod_target(1), world.server.accounts[0])
    imap.send(b"A APPEND INBOX {3900000}\r\n")
    world.held.append(imap)


def a_mailbox_is_filled(world: FaultWorld) -> None:
    """Faster than it is indexed."""
    with contextlib.closing(Imap(world.server.pod_target(0), world.server.accounts[2])) as imap:
        for _ in range(10):
            assert imap.append("INBOX", letter()[1]).ok


def a_mailbox_is_nearly_full(world: FaultWorld) -> None:
    with Smtp(world.server.pod_target(0)) as smtp:
        for _ in range(8):
            assert smtp.deliver("a@far.test", [NEARLY_FULL.address], letter()[1]).code == 250


def messages_expire(world: FaultWorld) -> None:
    """In a round of their own: who went today's is forgotten."""
    with contextlib.closing(Imap(world.server.pod_target(0), world.server.accounts[1])) as imap:
        assert imap.append("Trash", letter()[1]).ok
    asyncio.run(_forget_rounds(world))


async def _forget_rounds(world: FaultWorld) -> None:
    objects = await open_bucket(world.bucket.url("trial"), credentials_file=world.credentials)
    await objects.delete([entry.key for entry in await objects.list("retention/")])
    await objects.close()


# -- the bucket


def the_bucket_is_away(world: FaultWorld) -> None:
    """While messages are on their way, which nobody can take then."""
    world.proxy.delay = 0.0
    coming = [Smtp(world.server.pod_target(0)) for _ in range(4)]
    for smtp in coming:
        smtp.envelope("a@far.test", [world.server.accounts[0].address])
        smtp.expect(354, "DATA")
    world.proxy.closed = True
    for smtp in coming:
        smtp.send(stuffed(letter()[1]))
    for smtp in coming:
        assert smtp.reply().code == 451
        smtp.sock.close()


def the_bucket_is_slow(world: FaultWorld) -> None:
    """While more is asked of it at once than a pod lets through: after addresses that nobody has heard of yet."""
    asking = [Client(world.server.pod_target(0), f"127.0.{number % 200 + 20}.1") for number in range(TOTAL + 20)]
    world.proxy.delay = 2.6
    for smtp in asking:
        names = [f"nobody{next(world.numbers)}@example.test" for _ in range(20)]  # one after the other
        smtp.send(b"MAIL FROM:<a@far.test>\r\n" + b"".join(b"RCPT TO:<%s>\r\n" % name.encode() for name in names))
    world.held += asking


# -- the operator


async def objects_change(world: FaultWorld) -> None:
    operator = world.operator
    await operator.look()
    operator.ballast += bytes(1 << 22)
    await operator.publish()
    await operator.ask_api()


async def records_are_missing(world: FaultWorld) -> None:
    world.operator.parts.missing = True


async def a_mailbox_is_of_no_domain(world: FaultWorld) -> None:
    world.operator.kube.user_applies(mailbox("lost", "nowhere"))


async def mailboxes_fill_up(world: FaultWorld) -> None:
    world.operator.plane.used = {"alice@host.test": Usage(95 << 20, 10)}


async def objects_cannot_be_reconciled(world: FaultWorld) -> None:
    world.operator.parts.broken = True


async def storage_is_not_ready(world: FaultWorld) -> None:
    world.operator.plane.condition = c.bad(c.STORAGE_READY, c.STORAGE_UNAVAILABLE, "it does not answer")


async def its_bucket_fails(world: FaultWorld) -> None:
    world.operator.objects.fails = True
    await world.operator.publish()


async def the_api_server_is_away(world: FaultWorld) -> None:
    world.operator.kube.down = True


def pods_are_away(world: FaultWorld) -> None:
    world.server.stop()
