"""What the pods are told: `pod.json`, checked by the very model that the pod reads it with.

It holds nothing that changes with a Mailbox, an alias, a password or a certificate: those reach running pods by the
directory and by the mounted key Secrets.
"""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Any, Final

from mailoperator.build import listeners, names
from mailoperator.build.budgets import budgets
from mailoperator.build.inputs import BuildInputs
from mailoperator.build.sending import with_outbound
from mailoperator.build.server import client_address_kept, server_of
from mailoperator.keysecrets import label_of
from mailoperator.model import MailDomain
from mailpod.config import BucketSettings, HintSettings, LmtpSettings, PodSettings, ProxySettings

CONFIG: Final = Path("/etc/mailpod")
SMARTHOST: Final = CONFIG / "smarthost"
KEYS: Final = CONFIG / "keys"
CREDENTIALS: Final = CONFIG / "bucket" / "credentials"
DRAIN_SECONDS: Final = 25
CLOSE_SECONDS: Final = 4


def pod_settings(domain: MailDomain, inputs: BuildInputs, resources: dict[str, Any]) -> PodSettings:
    """For every pod of the server; its own name comes from its environment. `resources`: its container's."""
    room = budgets(resources)
    bucket = inputs.bucket
    service = server_of(domain).service
    proxies, servers = _networks(service.proxy_networks), _networks(service.lmtp_networks)
    plain = PodSettings(bucket=BucketSettings(url=bucket.url()))
    store = {
        "page_cache_bytes": room.pages,
        "body_cache_bytes": room.bodies,
        "search_cache_bytes": room.postings,
        "search_text_bytes": room.texts,
    }
    if inputs.grace_seconds is not None:
        store["grace"] = inputs.grace_seconds  # type: ignore[assignment]
    largest = max(plain.smtp.max_message_bytes, domain.spec.max_message_size, inputs.largest_message)
    settings = PodSettings(
        hostname=domain.hostname,
        bucket=BucketSettings(url=bucket.url(), credentials_file=CREDENTIALS if bucket.credentials_secret else None),
        listeners=listeners.listeners(proxied=bool(proxies), lmtp=bool(servers)),
        proxy=ProxySettings(networks=proxies),
        lmtp=LmtpSettings(networks=servers),
        authres=plain.authres.model_copy(update={"enabled": client_address_kept(domain)}),
        keys=KEYS,
        default_certificate=label_of(domain.spec.domain_name),
        directory_keys=list(inputs.directory_keys),
        drain_seconds=DRAIN_SECONDS,
        close_seconds=CLOSE_SECONDS,
        message_budget_bytes=room.messages,
        hints=HintSettings(port=listeners.HINTS, peers=[f"{names.headless(domain)}:{listeners.HINTS}"], keys=[KEYS]),
        store=plain.store.model_copy(update=store),
        rspamd=plain.rspamd.model_copy(update=_filter(domain)),
        smtp=plain.smtp.model_copy(update={"max_message_bytes": largest, **_clients(domain)}),
    )
    return with_outbound(settings, domain.spec.outbound, SMARTHOST)


def _filter(domain: MailDomain) -> dict[str, Any]:
    written = server_of(domain).rspamd
    if written is None:
        return {}
    taught = {"learn_url": written.controller_url} if written.controller_url else {}
    return {"url": written.url, "on_failure": written.on_failure.lower(), **taught}


def _clients(domain: MailDomain) -> dict[str, Any]:
    """What is not written is left out: a pod of an older image does not know it."""
    server = server_of(domain)
    found: dict[str, Any] = {}
    if server.blocklists:
        found["blocklists"] = server.blocklists
    if server.client_recipients_per_hour is not None:
        found["max_client_recipients_per_hour"] = server.client_recipients_per_hour
    return found


def _networks(written: list[str]) -> list[IPv4Network | IPv6Network]:
    """Also where a CIDR names a host: 10.1.2.3/8."""
    return [ip_network(network, strict=False) for network in written]
