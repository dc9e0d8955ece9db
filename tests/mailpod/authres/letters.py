"""Letters of many senders, with the DNS that they come with: every way that SPF, DKIM and DMARC have to turn out.

Each way of SPF meets a few of DKIM and the other way round; alignment and policies are a family of their own.
"""

from __future__ import annotations

import base64
import hashlib
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key

from mailpod.dkim.canonical import BODIES, FIELDS
from mailpod.dkim.signing import PrivateKey, SigningKey

CLIENT, CLIENT6 = "192.0.2.1", "2001:db8::1"
NOW = 1_800_000_000
FIELDS_SENT = {"from": "From: A <a@{author}>", "to": "To: x@far.example", "subject": "Subject:  Of  dinner"}
BODY = b"Hi.\r\n\r\nWe lost. \r\n\r\n"


@dataclass(frozen=True)
class Letter:
    """`what` names the case; the rest is what a server sees."""

    what: str
    sender: str  # the reverse-path; "" is the null one
    author: str  # the domain in From
    content: bytes
    client: str = CLIENT
    helo: str = "helo.example"


@dataclass(frozen=True)
class Signing:
    """How a letter is signed; d= is `domain`, "" for the author's."""

    selector: str = "rsa"
    algorithm: str = "rsa-sha256"
    domain: str = ""
    canonical: tuple[str, str] = ("relaxed", "relaxed")
    names: str = "from:to:subject"
    tags: str = ""  # more of them, before h=
    version: str = "1"
    changed: str = ""  # after signing: "body" or "field"


@cache
def keys() -> dict[str, PrivateKey]:
    return {
        "rsa": generate_private_key(65537, 2048),
        "short": generate_private_key(65537, 1024),
        "ed": Ed25519PrivateKey.generate(),
        "other": generate_private_key(65537, 2048),
    }


def published(name: str) -> str:
    """p= of a key's record."""
    public = keys()[name].public_key()
    if name == "ed":
        kinds = serialization.Encoding.Raw, serialization.PublicFormat.Raw
    else:
        kinds = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    return base64.b64encode(public.public_bytes(*kinds)).decode()


def selectors() -> dict[str, list[str]]:
    """The key records that each signing domain has; "gone" has none."""
    rsa = published("rsa")
    return {
        "rsa": [f"v=DKIM1; k=rsa; p={rsa}"],
        "ed": [f"v=DKIM1; k=ed25519; p={published('ed')}"],
        "short": [f"v=DKIM1; p={published('short')}"],
        "bare": [f"p={rsa}"],
        "other": [f"v=DKIM1; p={published('other')}"],
        "revoked": ["v=DKIM1; p="],
        "twice": [f"v=DKIM1; p={rsa}", f"v=DKIM1; p={published('other')}"],
        "sha1": [f"v=DKIM1; h=sha1; p={rsa}"],
        "sha256": [f"v=DKIM1; h=sha1:sha256; p={rsa}"],
        "notmail": [f"v=DKIM1; s=tlsrpt; p={rsa}"],
        "email": [f"v=DKIM1; s=email; p={rsa}"],
        "nosub": [f"v=DKIM1; t=s; p={rsa}"],
        "testing": [f"v=DKIM1; t=y; p={rsa}"],
        "kind": [f"v=DKIM1; k=ed25519; p={rsa}"],
        "version": [f"v=DKIM2; p={rsa}"],
        "nonsense": ["v=DKIM1; p=%%%"],
        "notags": ["nonsense"],
    }


SIGNINGS: dict[str, list[Signing]] = {
    "none": [],
    "rsa": [Signing()],
    "ed25519": [Signing("ed", "ed25519-sha256")],
    "both": [Signing(), Signing("ed", "ed25519-sha256")],
    "1024 bits": [Signing("short")],
    "simple": [Signing(canonical=("simple", "simple"))],
    "simple/relaxed": [Signing(canonical=("simple", "relaxed"))],
    "a From that is not there": [Signing(names="from:from:to:to:subject:date")],
    "a body changed": [Signing(changed="body")],
    "a field changed": [Signing(changed="field")],
    "an ed25519 body changed": [Signing("ed", "ed25519-sha256", changed="body")],
    "an ed25519 field changed": [Signing("ed", "ed25519-sha256", changed="field")],
    "one that holds, one that does not": [Signing(), Signing("ed", "ed25519-sha256", changed="field")],
    "wrong key": [Signing("other")],
    "no key": [Signing("gone")],
    "a key revoked": [Signing("revoked")],
    "two keys": [Signing("twice")],
    "a key without v=": [Signing("bare")],
    "a key for sha1": [Signing("sha1")],
    "a key for both hashes": [Signing("sha256")],
    "a key not for mail": [Signing("notmail")],
    "a key for mail": [Signing("email")],
    "a key of another kind": [Signing("kind")],
    "a key of another version": [Signing("version")],
    "a key that is none": [Signing("nonsense")],
    "a record that is none": [Signing("notags")],
    "a key in test": [Signing("testing")],
    "a key that cannot be looked up": [Signing(domain="x.failing")],
    "expired": [Signing(tags="t=1000000000; x=1000000100; ")],
    "expires later": [Signing(tags="t=1000000000; x=4000000000; ")],
    "a subdomain signs for itself": [Signing(tags="i=@sub.{domain}; ")],
    "a subdomain may not": [Signing("nosub", tags="i=@sub.{domain}; ")],
    "an agent elsewhere": [Signing(tags="i=@else.example; ")],
    "From is not signed": [Signing(names="to:subject")],
    "the whole body by length": [Signing(tags="l=17; ")],
    "half the body": [Signing(tags="l=5; ")],
    "more than the body": [Signing(tags="l=500; ")],
    "rsa-sha1": [Signing(algorithm="rsa-sha1")],
    "an algorithm that is none": [Signing(algorithm="rsa-md5")],
    "version 2": [Signing(version="2")],
    "a canonical form that is none": [Signing(tags="c=loose/simple; ")],
    "elsewhere": [Signing(domain="other.example")],
}

SPF: dict[str, list[str]] = {
    "pass": ["v=spf1 ip4:192.0.2.0/24 -all"],
    "fail": ["v=spf1 -all"],
    "softfail": ["v=spf1 ~all"],
    "neutral": ["v=spf1 ?all"],
    "nothing matches": ["v=spf1 ip4:198.51.100.1"],
    "none": ["google-site-verification=x"],
    "two records": ["v=spf1 -all", "v=spf1 ip4:192.0.2.1 -all"],
    "capitals": ["V=SPF1 IP4:192.0.2.1 -ALL"],
    "another version": ["v=spf10 -all"],
    "a network that is none": ["v=spf1 ip4:nonsense -all"],
    "an error after the match": ["v=spf1 ip4:192.0.2.1 ip4:nonsense -all"],
    "a mechanism that is none": ["v=spf1 foo:bar -all"],
    "a modifier not known": ["v=spf1 foo=bar ip4:192.0.2.1 -all"],
    "include that passes": ["v=spf1 include:spf-pass.example -all"],
    "include that fails": ["v=spf1 include:spf-fail.example ~all"],
    "include of nothing": ["v=spf1 include:nothing.example -all"],
    "include of an error": ["v=spf1 include:spf-a-mechanism-that-is-none.example -all"],
    "redirect": ["v=spf1 redirect=spf-softfail.example"],
    "redirect to nothing": ["v=spf1 redirect=nothing.example"],
    "redirect after all": ["v=spf1 -all redirect=spf-pass.example"],
    "a": ["v=spf1 a -all"],
    "a of another": ["v=spf1 a:host.example -all"],
    "a of a network": ["v=spf1 a:near.example/24 -all"],
    "mx": ["v=spf1 mx:mxed.example -all"],
    "exists": ["v=spf1 exists:%{ir}.%{l1r-}.who.example -all"],
    "exists not": ["v=spf1 exists:%{ir}.nobody.example -all"],
    "ptr": ["v=spf1 ptr:host.example -all"],
    "itself": ["v=spf1 include:spf-itself.example -all"],
    "eleven terms": [f"v=spf1 {' '.join(f'a:n{n}.many.example' for n in range(11))} ~all"],
    "nothing there three times": ["v=spf1 a:v1.example a:v2.example a:v3.example ?all"],
    "ip6": ["v=spf1 ip6:2001:db8::/32 -all"],
    "qualifiers": ["v=spf1 ~ip4:192.0.2.1 -all"],
    "a record in pieces": ["v=spf1 ip4:192.0.2.0/24 " + "ip4:198.51.100.1 " * 14 + "-all"],
}
SIGNED_WITH = ("none", "rsa", "a field changed")
SPF_WITH = ("pass", "fail", "none")

DMARC: dict[str, list[str]] = {
    "none": ["v=DMARC1; p=none"],
    "quarantine": ["v=DMARC1; p=quarantine"],
    "reject": ["v=DMARC1; p=reject"],
    "strict": ["v=DMARC1; p=reject; adkim=s; aspf=s"],
    "strict dkim": ["v=DMARC1; p=reject; adkim=s"],
    "strict spf": ["v=DMARC1; p=reject; aspf=s"],
    "subdomains rejected": ["v=DMARC1; p=none; sp=reject"],
    "subdomains free": ["v=DMARC1; p=reject; sp=none"],
    "two records": ["v=DMARC1; p=reject", "v=DMARC1; p=none"],
    "no policy": ["v=DMARC1; rua=mailto:x@far.example"],
    "a policy that is none": ["v=DMARC1; p=nonsense; rua=mailto:x@far.example"],
    "another version": ["v=DMARC2; p=reject"],
    "in test": ["v=DMARC1; p=reject; t=y"],
    "a tag that is none": ["v=DMARC1; p=reject; nonsense"],
    "the subdomain's own": ["v=DMARC1; p=reject"],
    "no record": [],
}
# The author's domain, the reverse-path's and the signature's: "" is the domain itself, "-" nothing, "!" another's
ALIGNED = (
    *(("", "", ""), ("", "!", "!"), ("", "!", "-"), ("", "sub", "-"), ("", "!", "sub"), ("", "", "!")),
    *(("sub", "sub", "-"), ("sub", "", "-"), ("sub", "!", ""), ("sub", "side", "-"), ("sub", "!", "-")),
)


def letters() -> list[Letter]:
    return [*_ways_of_spf(), *_ways_of_dkim(), *_alignments(), *_odd_ones()]


def zone() -> list[str]:
    """The records, as a zone file has them, all of them below `example.` and `arpa.`."""
    found = [
        "helo.example. A 192.0.2.1",
        "host.example. A 192.0.2.1",
        "near.example. A 192.0.2.77",
        "mxed.example. MX 10 host.example.",
        "1.2.0.192.a.who.example. A 127.0.0.2",
        "1.2.0.192.in-addr.arpa. PTR host.example.",
        *(f"n{n}.many.example. A 198.51.100.1" for n in range(11)),
        _txt("helo.example", "v=spf1 a -all"),
        _txt("fine.example", "v=spf1 ip4:192.0.2.0/24 -all"),
    ]
    for name, texts in SPF.items():
        domain = f"spf-{_label(name)}.example"
        found += [_txt(domain, text) for text in texts]
        found.append(f"{domain}. A 192.0.2.1")
        found += _of_author(domain)
    for name in SIGNINGS:
        for spf in SPF_WITH:
            domain = f"{spf}-{_label(name)}.example"
            found += [_txt(domain, text) for text in SPF[spf]]
            found += _of_author(domain)
    for name, texts in DMARC.items():
        domain = f"dmarc-{_label(name)}.example"
        found += [_txt(f"_dmarc.{domain}", text) for text in texts]
        if name == "the subdomain's own":
            found.append(_txt(f"_dmarc.sub.{domain}", "v=DMARC1; p=quarantine"))
        for below in ("", "sub.", "side."):
            found.append(_txt(f"{below}{domain}", SPF["pass"][0]))
            found += _signing_keys(f"{below}{domain}", ("rsa",))
    found += _signing_keys("other.example", ("rsa",)) + _signing_keys("fine.example", ("rsa",))
    found.append(_txt("other.example", SPF["pass"][0]))
    return list(dict.fromkeys(found))


def _of_author(domain: str) -> list[str]:
    return [_txt(f"_dmarc.{domain}", "v=DMARC1; p=reject"), *_signing_keys(domain, tuple(selectors()))]


@cache
def _texts(selector: str) -> tuple[str, ...]:
    return tuple(_pieces(text) for text in selectors()[selector])


def _signing_keys(domain: str, names: Sequence[str]) -> list[str]:
    return [f"{name}._domainkey.{domain}. TXT {text}" for name in names for text in _texts(name)]


def _txt(domain: str, text: str) -> str:
    return f"{domain}. TXT {_pieces(text)}"


def _pieces(text: str) -> str:
    return " ".join(f'"{text[at : at + 200]}"' for at in range(0, len(text), 200))


def _label(name: str) -> str:
    return "".join(char if char.isalnum() else "-" for char in name.lower()).strip("-")


def _ways_of_spf() -> Iterator[Letter]:
    for name, signed in itertools.product(SPF, SIGNED_WITH):
        domain = f"spf-{_label(name)}.example"
        letter = _letter(f"SPF {name}, DKIM {signed}", domain, domain, SIGNINGS[signed])
        yield replace(letter, client=CLIENT6) if name == "ip6" else letter


def _ways_of_dkim() -> Iterator[Letter]:
    for name, spf in itertools.product(SIGNINGS, SPF_WITH):
        domain = f"{spf}-{_label(name)}.example"
        yield _letter(f"DKIM {name}, SPF {spf}", domain, domain, SIGNINGS[name])


def _alignments() -> Iterator[Letter]:
    for name, (author, sender, signer) in itertools.product(DMARC, ALIGNED):
        domain = f"dmarc-{_label(name)}.example"

        def named(below: str, domain: str = domain) -> str:
            return "other.example" if below == "!" else f"{below}.{domain}" if below else domain

        signings = [] if signer == "-" else [Signing(domain=named(signer))]
        yield _letter(f"DMARC {name}: {author}, {sender}, {signer}", named(author), named(sender), signings)


def _odd_ones() -> Iterator[Letter]:
    yield replace(_letter("null reverse-path", "fine.example", "fine.example", []), sender="")
    yield replace(_letter("null reverse-path, aligned", "helo.example", "", []), sender="")
    yield _letter("SPF cannot be looked up", "x.failing", "x.failing", [])
    yield _letter("SPF cannot be looked up, DKIM holds", "fine.example", "x.failing", [Signing()])
    yield _letter("capitals", "Fine.Example", "FINE.example", [Signing(domain="fine.example")])
    ours = _letter("two authors", "fine.example", "fine.example", [])
    yield replace(ours, content=ours.content.replace(b"From: ", b"From: b@other.example, ", 1))
    yield replace(ours, what="two From fields", content=b"From: b@fine.example\r\n" + ours.content)
    yield replace(ours, what="no From", content=ours.content.replace(b"From:", b"X-From:", 1))


def _letter(what: str, author: str, sender: str, signings: Sequence[Signing]) -> Letter:
    fields = {name: text.format(author=author).encode() for name, text in FIELDS_SENT.items()}
    signatures = b"".join(_signed(fields, author, signing) for signing in signings)
    return Letter(what, f"a@{sender}", author, signatures + b"\r\n".join([*fields.values(), b"", BODY]))


def _signed(fields: dict[str, bytes], author: str, signing: Signing) -> bytes:
    """A DKIM-Signature field (RFC 6376 §3.7)."""
    domain = signing.domain or author
    changes_field, changes_body = signing.changed == "field", signing.changed == "body"
    form = FIELDS[signing.canonical[0]]
    body = BODIES[signing.canonical[1]](BODY + (b"More.\r\n" if changes_body else b""))
    tags = signing.tags.format(domain=domain)
    if "l=5;" in tags:
        body = body[:5]
    canonical = "" if "c=" in tags else f"c={'/'.join(signing.canonical)}; "
    field = (
        f"DKIM-Signature: v={signing.version}; a={signing.algorithm}; {canonical}d={domain};\r\n s={signing.selector}; "
        f"{tags}h={signing.names};\r\n bh={base64.b64encode(hashlib.sha256(body).digest()).decode()};\r\n b="
    ).encode()
    names = dict.fromkeys(signing.names.split(":"))  # none of ours is there twice
    hashed = b"".join(form(fields[name]) for name in names if name in fields) + form(field).removesuffix(b"\r\n")
    if changes_field:
        hashed += b"!"
    name = {"ed25519-sha256": "ed"}.get(signing.algorithm, "short" if signing.selector == "short" else "rsa")
    key = SigningKey(signing.selector, signing.algorithm, keys()[name])
    return field + base64.b64encode(key.sign(hashed)) + b"\r\n"
