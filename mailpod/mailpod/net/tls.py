"""TLS contexts from certificate files, which are read again when they change (cert-manager renews in place).

- A certificate that cannot be read leaves the one in use: a half-written Secret must not take TLS away.
- Listeners keep one context for ever, which has no certificate itself; each handshake chooses one of the moment's.
- A name belongs first to the default certificate, then to the domain that it is in: a tenant whose certificate has
  another's name on it does not answer for it.
"""

from __future__ import annotations

import asyncio
import hashlib
import ssl
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from cryptography import x509

from mailpod import logs, metrics
from mailpod.net.keyfiles import Pair, folder_of, pairs_in


@dataclass(frozen=True, slots=True)
class _Loaded:
    pair: Pair
    context: ssl.SSLContext
    names: tuple[str, ...]
    expires: float
    digest: bytes
    seen: tuple[int, ...]


class TlsContexts:
    """Server contexts by the names in their certificates."""

    def __init__(
        self, files: Sequence[tuple[Path, Path]] = (), *, folder: Path | None = None, default: str = ""
    ) -> None:
        """`files` are (certificate chain, key); the first is the default. `folder` has pairs below it (keyfiles.py),
        and `default` is the domain of the one that is the default there.

        Raises OSError or ssl.SSLError when one of `files` cannot be loaded; what is below `folder` may come later.
        """
        self._files = [Pair(str(file), "", Path(file), Path(key)) for file, key in files]
        self._folder, self._default = folder, default
        self._base = _new_context()
        self._base.sni_callback = self._choose
        self._complaints: dict[str, str] = {}
        self._by_name: dict[str, tuple[int, _Loaded]] = {}
        self._loaded: dict[str, _Loaded] = {}
        self._use({pair.name: _load(pair) for pair in self._files})
        self.reload()

    @property
    def available(self) -> bool:
        """Whether there is a certificate, so that STARTTLS and STLS may be offered."""
        return bool(self._loaded)

    def context(self) -> ssl.SSLContext:
        """The context of every listener and connection; it answers with the certificate that the client's SNI names."""
        return self._base

    def pair_for(self, name: str) -> Pair | None:
        """The files whose certificate a client gets that asks for `name`."""
        chosen = self._chosen(name)
        return chosen.pair if chosen else None

    def reload(self) -> None:
        """Read changed files again. Connections that are open keep what they have."""
        self._use(self._read())

    async def follow(self, seconds: float) -> None:
        """`reload` every `seconds`, for ever. Files are read in a thread: a hundred new keys take 0.3 s."""
        while True:
            await asyncio.sleep(seconds)
            self._use(await asyncio.to_thread(self._read))

    def _read(self) -> dict[str, _Loaded]:
        """What is there now, with what is in use for whatever cannot be read."""
        found: dict[str, _Loaded] = {}
        for pair in self._files + self._pairs_in_folder():
            known = self._loaded.get(pair.name)
            try:
                found[pair.name] = _loaded_again(pair, known)
                self._complaints.pop(pair.name, None)
            except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
                self._complain(pair.name, error)
                if known:
                    found[pair.name] = known
        return found

    def _pairs_in_folder(self) -> list[Pair]:
        """The default's pair first, then by name; pairs of a folder that could not be read are as they were."""
        if self._folder is None:
            return []
        before = [known.pair for known in self._loaded.values() if known.pair.domain]
        try:
            found, unread = pairs_in(self._folder)
        except OSError as error:
            self._complain(str(self._folder), error)
            return before
        found += [pair for pair in before if folder_of(pair) in unread]
        return sorted(found, key=lambda pair: (pair.domain != self._default, pair.domain))

    def _complain(self, what: str, error: Exception) -> None:
        """Once a fault, not once a look."""
        if self._complaints.get(what) != str(error):
            self._complaints[what] = str(error)
            logs.event("tls.reload_failed", level="error", certificate=what, error=str(error))

    def _use(self, found: dict[str, _Loaded]) -> None:
        before, self._loaded = self._loaded, found
        new = [name for name, loaded in found.items() if name in before and before[name].digest != loaded.digest]
        added, removed = found.keys() - before.keys(), before.keys() - found.keys()
        if before and (new or added or removed):
            logs.event("tls.reloaded", changed=len(new), added=len(added), removed=len(removed), in_use=len(found))
        metrics.CERTIFICATE_EXPIRY.clear()
        for loaded in found.values():
            for name in loaded.names[:1]:
                metrics.CERTIFICATE_EXPIRY.labels(name).set(loaded.expires)
        self._by_name = _by_name(found.values(), self._default)

    def _choose(self, connection: ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> None:
        """OpenSSL asks this also where the client named nothing. Without any certificate the handshake fails."""
        chosen = self._chosen((name or "").lower())
        if chosen:
            connection.context = chosen.context

    def _chosen(self, name: str) -> _Loaded | None:
        # RFC 6125 §6.4.3: a wildcard stands for the leftmost label alone.
        candidates = [self._by_name.get(name), self._by_name.get("*." + name.partition(".")[2])]
        ranked = [candidate for candidate in candidates if candidate]
        return min(ranked, key=lambda candidate: candidate[0])[1] if ranked else next(iter(self._loaded.values()), None)


def _by_name(certificates: Iterable[_Loaded], default: str) -> dict[str, tuple[int, _Loaded]]:
    """Who answers for a name, with how well it fits (0 is best); of equals the first."""
    best: dict[str, tuple[int, _Loaded]] = {}
    for loaded in certificates:
        domain = loaded.pair.domain
        for name in loaded.names:
            rank = 0 if domain in ("", default) else 1 if _is_within(name, domain) else 2
            if name not in best or rank < best[name][0]:
                best[name] = rank, loaded
    return best


def _is_within(name: str, domain: str) -> bool:
    return f".{name}".endswith(f".{domain}")


def _loaded_again(pair: Pair, known: _Loaded | None) -> _Loaded:
    """What is known where the files are the same, or hold the same (a kubelet writes a whole folder anew)."""
    seen = _stamp(pair.certificate, pair.key)
    if known and known.seen == seen and known.pair == pair:
        return known
    if known and known.digest == _digest(pair):
        return replace(known, pair=pair, seen=seen)
    return _load(pair)


def _load(pair: Pair) -> _Loaded:
    seen, digest = _stamp(pair.certificate, pair.key), _digest(pair)
    context = _new_context()
    context.load_cert_chain(pair.certificate, pair.key)
    leaf = x509.load_pem_x509_certificates(pair.certificate.read_bytes())[0]
    return _Loaded(pair, context, _names_of(leaf), leaf.not_valid_after_utc.timestamp(), digest, seen)


def _new_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION | ssl.OP_CIPHER_SERVER_PREFERENCE
    return context


def _stamp(*paths: Path) -> tuple[int, ...]:
    """Changes when a file is replaced or written; kubelet swaps a symlink, which stat follows."""
    stats = [path.stat() for path in paths]
    return tuple(value for stat in stats for value in (stat.st_mtime_ns, stat.st_ino, stat.st_size))


def _digest(pair: Pair) -> bytes:
    return hashlib.sha256(pair.certificate.read_bytes() + b"\0" + pair.key.read_bytes()).digest()


def _names_of(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return ()
    return tuple(name.lower() for name in extension.value.get_values_for_type(x509.DNSName))
