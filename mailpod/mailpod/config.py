"""The settings of a mail pod: one JSON file, written by local mode or mounted from a ConfigMap.

- Every limit, time-out and budget of the data plane is a field here (or in a protocol's own settings, nested here).
- An unknown field is refused: a misspelt limit must not silently be the default.
- Times are in seconds, sizes in bytes.
"""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, IPvAnyNetwork, ValidationError, field_validator, model_validator

from mailpod.authres.settings import AuthresSettings
from mailpod.dns.settings import DnsSettings
from mailpod.queue.settings import QueueSettings
from mailpod.quota.settings import QuotaSettings
from mailpod.relay.settings import OutboundSettings
from mailpod.retention.settings import RetentionSettings
from mailpod.rspamd.settings import RspamdSettings
from mailpod.smtp.settings import SmtpSettings
from mailpod.store.settings import StoreSettings
from mailpod.tlspolicy.settings import TlsPolicySettings

Seconds = Annotated[float, Field(gt=0)]
Positive = Annotated[int, Field(gt=0)]
MiB = 1024 * 1024
EXPECTED: Final = "MAILPOD_CONFIG_SHA256"
"""The environment variable with the `digest` of the settings that a pod was made for (expected.py)."""


class Settings(BaseModel):
    """Base of all settings: frozen, and strict about names."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class ConfigError(ValueError):
    """A configuration that cannot be used; the text names each field and what is wrong with it."""


class BucketSettings(Settings):
    """Where the bucket is."""

    url: str
    """`s3://bucket/prefix?endpoint=URL&region=NAME`, a folder (a path or a `file://` URL), or `memory:`."""
    credentials_file: Path | None = None
    """AWS credentials file; the default is the ambient credentials (AWS_* variables)."""
    ca_file: Path | None = None
    """PEM of the authorities that the S3 endpoint's certificate may be of."""


class ListenerSettings(Settings):
    """One listening socket."""

    protocol: Literal["smtp", "lmtp", "imap", "pop3", "http", "https"]
    role: Literal["mx", "submission"] | None = None
    """For smtp only: whether it takes mail from the Internet, or from users that log in."""
    host: str = "0.0.0.0"  # noqa: S104  a pod's ports are for everyone; local mode names 127.0.0.1
    port: int = Field(ge=0, le=65535)
    """0: any free port."""
    tls: Literal["none", "starttls", "implicit"] = "starttls"
    proxy: bool = False
    """Every connection begins with a header of the PROXY protocol, from a load balancer in `proxy.networks`."""
    reuse_port: bool = False
    """Share the port with other processes (SO_REUSEPORT): several pods on one machine."""
    backlog: Positive = 1024

    @model_validator(mode="after")
    def _role_of_smtp(self) -> ListenerSettings:
        if (self.protocol == "smtp") != (self.role is not None):
            raise ValueError("`role` (mx or submission) is for protocol smtp, and needed there")
        if self.protocol == "http" and self.tls != "none":
            raise ValueError("protocol http has tls: none")
        if self.protocol == "https" and self.tls != "implicit":
            raise ValueError("protocol https has tls: implicit")
        if self.protocol == "http" and self.proxy:
            raise ValueError("protocol http has no `proxy`")
        return self


class ProxySettings(Settings):
    """Load balancers that say who their clients are, by the PROXY protocol (net/proxylistener.py)."""

    networks: list[IPvAnyNetwork] = []
    """Who is believed, as CIDRs. A connection from elsewhere to a listener with `proxy` is closed."""
    header_timeout: Seconds = 5
    """For the whole header."""
    header_bytes: int = Field(default=4096, ge=232)
    """The longest header of version 2, with what load balancers add to it."""


class LmtpSettings(Settings):
    """Mail servers that hand over by LMTP, which has no log-in (smtp/lmtp.py)."""

    networks: list[IPvAnyNetwork] = []
    """Who may, as CIDRs."""


class CertificateFiles(Settings):
    """A certificate chain and its key, PEM. They are read again when a file changes."""

    certificate: Path
    key: Path


class ImapSettings(Settings):
    """IMAP's own limits."""

    idle_timeout: Seconds = 1860
    """Without a command for so long, a logged-in client is closed (RFC 3501 §5.4: at least 30 min)."""
    command_bytes: Positive = 64 * 1024
    """The longest command, its literals that are not messages included."""
    append_bytes: Positive = 100 * MiB
    """The largest message that APPEND takes."""
    multiappend_messages: Positive = 1000
    save_limit: int | None = Field(default=None, ge=1000)
    """How many messages one COPY or APPEND may store (RFC 9738's SAVELIMIT); without it none is announced."""
    message_limit: int | None = Field(default=None, ge=1000)
    """How many messages one command may process (RFC 9738's MESSAGELIMIT); without it there is no limit."""
    progress_seconds: Seconds = 10
    """How often a client is told that its search still runs (RFC 9585)."""
    uid_batch_messages: int = Field(default=500, ge=1, le=500)
    """The smallest batch that UIDBATCHES takes (RFC 10022 §3.1.3.2: one of 500 is taken everywhere)."""
    catenate_parts: Positive = 1000
    """Of all messages of one APPEND (RFC 4469)."""
    append_8bit_headers: bool = True
    """Whether APPEND takes 8-bit octets in header fields from clients that enabled neither UTF8=ACCEPT nor IMAP4rev2.
    RFC 9755 §4 refuses them; but old mail has them, and what moves it here copies each letter or stops."""
    sessions_per_account: Positive = 2000
    read_ahead: Positive = 24 * MiB
    """Octets of messages read, and read ahead, for one client that downloads them from a bucket that is no folder."""
    write_batch: Positive = MiB
    """About how much a FETCH writes before it waits for the client to read."""
    unauthenticate: bool = True
    """Whether a connection may log in again as another (RFC 8437 §8). Turn it off behind a proxy that looks at no more
    than the first log-in."""
    bad_commands: Positive = 20
    """After so many malformed commands in a row the client is closed."""
    search_contexts: Positive = 20
    """Searches of one client that are kept, for RETURN (UPDATE), at about four bytes a result (RFC 5267 §4.3.1)."""
    multisearch_mailboxes: Positive = 1000
    """Mailboxes that one ESEARCH may search."""
    idle_refresh_seconds: Seconds = 5
    """How often an account that someone watches by IDLE or NOTIFY is looked at for what other pods changed."""
    notify_mailboxes: Positive = 1000
    """Mailboxes beside the selected one of whose messages NOTIFY tells."""
    notify_messages: Positive = 500
    """New messages that are fetched unasked at once for NOTIFY; of more it tells no more."""

    @model_validator(mode="after")
    def _one_limit(self) -> ImapSettings:
        if self.save_limit is not None and self.message_limit is not None:
            raise ValueError("`message_limit` is of COPY and APPEND too: without `save_limit`")  # RFC 9738 §3
        return self


class Pop3Settings(Settings):
    """POP3's own limits."""

    idle_timeout: Seconds = 660
    """Without a command for so long, the client is closed (RFC 1939 §3: at least 10 min)."""
    read_ahead: Positive = MiB
    """About how much is read ahead for a client that retrieves one message after the other."""
    bad_commands: Positive = 20
    """After so many malformed commands in a row the client is closed."""


class WebSettings(Settings):
    """The set-up page and what mail clients ask for by HTTPS (http/web.py)."""

    port_offset: int = Field(default=0, ge=0, le=64_000)
    """What is added to the standard ports where clients connect: the pages name the sums."""
    by_address: bool = False
    """Whether a request by an IP address or localhost is for the pod's own hostname, as on one machine."""
    timeout: Seconds = 20
    """Without input for so long, a client is closed."""
    body_bytes: Positive = 64 * 1024
    """The longest request that is read, after its head."""
    max_connections: Positive = 1000
    max_connections_per_address: Positive = 50


class HintSettings(Settings):
    """What pods tell each other of commits, by UDP (net/hints.py)."""

    host: str = ""
    """The address to bind to; empty: all of them."""
    port: int = Field(ge=0, le=65535)
    peers: list[str] = []
    """`NAME:PORT` of the other pods; every address of a name is one. Ourselves may be among them."""
    keys: list[Path] = []
    """Key files (net/hintcode.py), or folders of folders with a `hints.keys`. Without a key there are no hints."""
    peers_seconds: Seconds = 10
    """How often names are resolved, keys read and the others told that we are there."""
    gather_seconds: Seconds = 0.005
    """How long a hint waits for others to share its datagram."""
    max_peers: Positive = 200


class PodSettings(Settings):
    """Everything a mail pod is told at start."""

    name: str = "mailpod"
    """The pod's name, in logs, Received headers and commits."""
    hostname: str = "localhost"
    """The name in greetings, where no domain's own name is known yet."""
    bucket: BucketSettings
    listeners: list[ListenerSettings] = []
    tls: list[CertificateFiles] = []
    """The first is used when a client's SNI matches none. Without any, here or in `keys`, TLS is not offered."""
    keys: Path | None = None
    """Folder of folders with `DOMAIN.crt` and `DOMAIN.key`, chosen by SNI, and the domains' DKIM keys (dkim/keys.py);
    they come and go while the pod runs."""
    default_certificate: str = ""
    """The DOMAIN among `keys` whose certificate a client gets that names none: the host's own."""
    directory_keys: list[str] = []
    """Ed25519 public keys (base64 of 32 bytes) whose signature on directory entries is trusted."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    drain_seconds: Seconds = 25
    """On SIGTERM, how long running commands may still take."""
    close_seconds: Seconds = 4
    """After that, how long hand-outs and checkpoints may still take; what is cut is done by another pod, or later."""
    write_timeout: Seconds = 60
    """A client that reads nothing of what waits for it for so long is cut."""
    write_high_water: Positive = 256 * 1024
    """Bytes that may wait for one client before senders to it wait."""
    login_timeout: Seconds = 180
    """Without a command for so long before log-in, a client is closed."""
    tls_handshake_timeout: Seconds = 20
    tls_shutdown_timeout: Seconds = 2
    tls_poll_seconds: Seconds = 5
    """How often certificates and DKIM keys are looked at for changes."""

    max_connections: Positive = 20_000
    max_connections_per_address: Positive = 2_000
    """IPv6 clients are counted by /64."""
    message_budget_bytes: Positive = 512 * MiB
    """Bytes of messages in flight, of all sessions together. Beyond it SMTP says 452, IMAP and POP3 wait."""

    auth_threads: Positive = 2
    """Threads that verify passwords (argon2)."""
    auth_queue: Positive = 200
    """Log-ins that may wait for such a thread; more are told to come back."""
    auth_cache_entries: Positive = 20_000
    """Passwords remembered as HMACs, so that a client's next log-ins cost no argon2."""
    auth_cache_seconds: Seconds = 3600
    throttle_first_delay: Seconds = 0.5
    """The wait after the first failed log-ins; it doubles with every further one."""
    throttle_longest_delay: Seconds = 8
    throttle_free_failures: int = Field(default=2, ge=0)
    """So many failures of one account or address cost no wait yet."""
    throttle_decay_seconds: Seconds = 300
    """After so long without a failure, half of the counted ones are forgotten."""
    throttle_entries: Positive = 50_000
    """Addresses and accounts whose failures are remembered."""
    login_failures: Positive = 5
    """After so many failed log-ins on one connection it is closed."""

    registry_sweep_seconds: Seconds = 4
    """How often logged-in sessions' accounts are looked up again (removed, suspended, new password)."""
    bucket_check_seconds: Seconds = 10
    """How often the bucket's health is looked at; only for the metric and /healthz?verbose."""

    proxy: ProxySettings = ProxySettings()
    lmtp: LmtpSettings = LmtpSettings()
    hints: HintSettings | None = None
    """Without it this pod hears of the others' commits by looking, every `imap.idle_refresh_seconds`."""

    store: StoreSettings = StoreSettings()
    smtp: SmtpSettings = SmtpSettings()
    imap: ImapSettings = ImapSettings()
    pop3: Pop3Settings = Pop3Settings()
    web: WebSettings = WebSettings()
    queue: QueueSettings = QueueSettings()
    dns: DnsSettings = DnsSettings()
    outbound: OutboundSettings = OutboundSettings()
    authres: AuthresSettings = AuthresSettings()
    rspamd: RspamdSettings = RspamdSettings()
    tls_policy: TlsPolicySettings = TlsPolicySettings()
    retention: RetentionSettings = RetentionSettings()
    quota: QuotaSettings = QuotaSettings()

    @field_validator("directory_keys")
    @classmethod
    def _keys_are_ed25519(cls, keys: list[str]) -> list[str]:
        for key in keys:
            if len(base64.b64decode(key, validate=True)) != 32:
                raise ValueError("each key is the base64 of the 32 bytes of an Ed25519 public key")
        return keys

    @model_validator(mode="after")
    def _implicit_tls_has_a_certificate(self) -> PodSettings:
        has_certificates = bool(self.tls) or self.keys is not None
        if not has_certificates and any(listener.tls == "implicit" for listener in self.listeners):
            raise ValueError("a listener with tls: implicit needs a certificate in `tls`, or `keys`")
        return self

    @model_validator(mode="after")
    def _others_are_known(self) -> PodSettings:
        if not self.proxy.networks and any(listener.proxy for listener in self.listeners):
            raise ValueError("a listener with `proxy` needs `proxy.networks`: who is believed")
        if not self.lmtp.networks and any(listener.protocol == "lmtp" for listener in self.listeners):
            raise ValueError("a listener for lmtp needs `lmtp.networks`: who may hand over")
        return self

    def public_keys(self) -> list[bytes]:
        """`directory_keys` as raw bytes."""
        return [base64.b64decode(key) for key in self.directory_keys]


def parse(text: str | bytes) -> PodSettings:
    """Settings from JSON. Raises ConfigError that says, field by field, what is wrong (never quoting a value)."""
    try:
        return PodSettings.model_validate_json(text)
    except ValidationError as error:
        raise ConfigError("\n".join(_complaint(item["loc"], item["msg"]) for item in error.errors())) from None


def digest(text: bytes) -> str:
    """Of a settings file, for EXPECTED."""
    return hashlib.sha256(text).hexdigest()


def load(path: Path) -> PodSettings:
    """`parse` of a file."""
    try:
        text = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    return parse(text)


def _complaint(where: tuple[int | str, ...], what: str) -> str:
    message = "no such setting" if what.startswith("Extra inputs") else what
    return f"{'.'.join(map(str, where)) or 'configuration'}: {message}"
