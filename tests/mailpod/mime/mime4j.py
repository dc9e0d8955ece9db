"""The odd messages that Apache James tests its MIME parser with, from Maven Central: fetched once, pinned by SHA-256.

`python -m tests.mailpod.mime.mime4j` fetches them, as CI does; tests only look. They are kept where Maven keeps them.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import zipfile
from pathlib import Path

from tests.harness.need import find

VERSION = "0.8.11"
SHA256 = "4944b2a747627ce5c3a15df7ed5b15f24430da86a6ea51a389d3387270a54a7a"
NAME = f"apache-mime4j-core {VERSION} (python -m tests.mailpod.mime.mime4j fetches it with Maven)"
_KEPT = Path.home() / ".m2" / "repository"
_JAR = _KEPT / "org/apache/james/apache-mime4j-core" / VERSION / f"apache-mime4j-core-{VERSION}-tests.jar"


def messages() -> dict[str, bytes]:
    """The messages by name; none where they were not fetched."""
    if not _JAR.exists():
        return {}
    if hashlib.sha256(_JAR.read_bytes()).hexdigest() != SHA256:
        raise RuntimeError(f"{_JAR} is not the file that is pinned")
    with zipfile.ZipFile(_JAR) as jar:
        names = sorted(name for name in jar.namelist() if name.endswith((".msg", ".eml")))
        return {name.replace("-testmsgs/", "/").removeprefix("testmsgs/"): jar.read(name) for name in names}


def fetch() -> None:
    """Tries three times. Raises RuntimeError with Maven's words."""
    maven = find("mvn")
    if maven is None:
        raise RuntimeError("there is no mvn on this machine (Debian: maven)")
    artifact = f"org.apache.james:apache-mime4j-core:{VERSION}:jar:tests"
    command = [maven, "--batch-mode", "--quiet", f"-Dmaven.repo.local={_KEPT}", "dependency:get"]
    command += [f"-Dartifact={artifact}", "-Dtransitive=false"]
    said = ""
    for _ in range(3):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if not done.returncode:
            return
        said = done.stdout[-2000:]
    raise RuntimeError(f"{artifact} was not fetched: {said}")


if __name__ == "__main__":
    if not messages():
        fetch()
    print(f"{len(messages())} messages of {NAME}")
    sys.exit(not messages())
