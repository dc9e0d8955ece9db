"""python -m tests.fuzz TARGET [--seconds N | --runs N] [--seed S]: bytes that atheris makes up, guided by coverage.

Ends with status 0, or with the bytes that a bug was found with in the folder that is named. A run of a given number is
the same for the same seed. atheris comes by `pip install --no-deps --require-hashes -r requirements/fuzz.txt`.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import atheris

SLOWEST = 10  # seconds for one input of at most LONGEST octets: what is quadratic is a bug too
LONGEST = 8192

with atheris.instrument_imports(include=["mailpod.imap", "mailpod.mime", "mailpod.smtp.syntax", "mailpod.pop3"]):
    from tests.fuzz.targets import SEEDS, TARGETS, WORDS


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--runs", type=int, default=-1)
    parser.add_argument("--seed", type=int, default=0, help="0: another one each time")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix=f"mailpod-fuzz-{options.target}-"))
    corpus = folder / "corpus"
    corpus.mkdir()
    for number, seed in enumerate(SEEDS[options.target]):
        (corpus / f"seed-{number}").write_bytes(seed)
    words = folder / "words"
    words.write_bytes(b"".join(b'"%b"\n' % word for word in WORDS[options.target].split()))
    print(f"what is found: {folder}", flush=True)
    limit = f"-runs={options.runs}" if options.runs >= 0 else f"-max_total_time={options.seconds}"
    flags = [limit, f"-seed={options.seed}", f"-timeout={SLOWEST}", f"-max_len={LONGEST}", f"-dict={words}"]
    atheris.Setup([sys.argv[0], *flags, f"-artifact_prefix={folder}/", str(corpus)], TARGETS[options.target])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
