"""The custom resource Mailbox. Its address is for life: mail is kept under it."""

# ruff: noqa: RUF012  pydantic copies defaults, which ruff does not see of a model in another file

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StrictBool, StrictInt, StringConstraints, model_validator

from mailoperator.model_base import (
    AliasLocalPart,
    LocalPart,
    MailAddress,
    Matching,
    Model,
    Object,
    ObjectName,
    ObjectRef,
    Protocols,
    Rule,
    Toggle,
    Unique,
    fixed,
)
from mailoperator.model_retention import Retention
from mailoperator.quantity import Bytes
from mailpod.addresses import MAX_LOCAL_PART, normalize_local_part


class PasswordRef(Model):
    """A password in a Secret of this namespace."""

    ATOMIC = True

    name: ObjectName
    """The Secret's name."""
    key: Annotated[str, StringConstraints(max_length=253), Matching(r"^[-._a-zA-Z0-9]+$", "a Secret's key")] | None = (
        None
    )
    """Which of the Secret's keys; by default `password`, else `verifier`. What `verifier` holds is an argon2id hash in
    PHC form, any other key holds the password itself."""


class Quota(Model):
    """The most that a mailbox may hold; what is left out is not limited."""

    storage: Bytes | None = None
    """Bytes of messages, as a quantity: `5Gi`."""
    messages: Annotated[StrictInt, Field(gt=0, le=1_000_000_000)] | None = None
    """Number of messages."""


class Forwarding(Model):
    """Where mail goes on to."""

    to: Annotated[list[MailAddress], Field(min_length=1, max_length=20), Unique()]
    """Addresses. Those to which the MailDomain's forwardingPolicy lets no mail go are passed over."""
    keep_copy: Toggle = "Enabled"
    """Whether the mail stays here, too."""


class MailboxSpec(Model):
    """One address with mail of its own."""

    RULES = (
        fixed("domainRef", "mail is kept under the address (make another Mailbox)"),
        fixed("localPart", "mail is kept under the address (make another Mailbox, or add an alias)"),
    )

    domain_ref: ObjectRef
    """The MailDomain."""
    local_part: LocalPart | None = None
    """What is before the @; by default the object's name."""
    aliases: Annotated[list[AliasLocalPart], Field(max_length=100), Unique()] = []
    """Other local parts of the domain whose mail comes here too."""
    forwarding: Forwarding | None = None
    """Where its mail goes on to; by default nowhere."""
    password_secret_ref: PasswordRef | None = None
    """Without it a password is generated, and its Secret is named in the status."""
    quota: Quota = Quota()
    """The most that it may hold; by default what the MailDomain says."""
    protocols: Protocols | None = None
    """What may be logged in to; by default what the MailDomain says. Mail is received whatever stands here."""
    retention: Retention | None = None
    """Folders whose old messages are deleted; by default what the MailDomain says. An empty list keeps everything."""
    suspended: StrictBool = False
    """Nobody can log in, and mail is refused for the time being. Nothing is deleted, not by retention either."""
    deletion_policy: Literal["Retain", "Delete"] = "Retain"
    """Whether the mail goes with the object. Retain keeps it, and the same Mailbox applied again has it."""


class Mailbox(Object):
    """An address of a MailDomain, with mail of its own."""

    RULES = (
        Rule(
            f"has(self.spec.localPart) || size(self.metadata.name) <= {MAX_LOCAL_PART}",
            f"metadata.name is longer than {MAX_LOCAL_PART} and cannot be the local part: write spec.localPart",
        ),
    )

    api_version: Literal["mailpod.dev/v1alpha1"]
    kind: Literal["Mailbox"]
    spec: MailboxSpec
    status: dict[str, object] = Field(default={}, exclude=True)

    @model_validator(mode="after")
    def _has_a_local_part(self) -> Mailbox:
        try:
            _ = self.local_part
        except ValueError as error:
            raise ValueError(f"metadata.name cannot be the local part ({error}): write spec.localPart") from None
        return self

    @property
    def local_part(self) -> str:
        return self.spec.local_part or normalize_local_part(self.metadata.name)
