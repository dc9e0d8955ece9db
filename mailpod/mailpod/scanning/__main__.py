"""The scanner: `python -m mailpod.scanning FD SIZE`, a socket to the pod as its standard input (frames.py).

- It ends when that socket does, and so never outlives the pod, however that ended.
- It reads the memory FD, and nothing else.
"""

from __future__ import annotations

import mmap
import signal
import socket
import sys
from contextlib import suppress

from mailpod.scanning.found import Found, find
from mailpod.scanning.frames import LENGTH_BYTES, READY, Slice, decode_slice, encode, framed, length
from mailpod.scanning.ring import WANTED


def serve(pod: socket.socket, memory: mmap.mmap) -> None:
    """Until the pod's end is closed."""
    pod.sendall(READY)
    with pod.makefile("rb") as requests:
        while head := requests.read(LENGTH_BYTES):
            asked = decode_slice(requests.read(length(head)))
            pod.sendall(framed(encode(answer(memory, asked))))


def answer(memory: mmap.mmap, asked: Slice) -> list[Found]:
    if memory[asked.start] != WANTED:
        return []
    found, at = [], asked.start + 1
    for size in asked.lengths:
        found.append(find(memory[at : at + size]))
        at += size
    return found


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # which a terminal sends to all: the pod says when it ends
    memory = mmap.mmap(int(sys.argv[1]), int(sys.argv[2]), prot=mmap.PROT_READ)
    with socket.socket(fileno=sys.stdin.fileno()) as pod, suppress(ConnectionError):
        serve(pod, memory)


if __name__ == "__main__":
    main()
