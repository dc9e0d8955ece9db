"""Rates, waits and CPU of a bare bucket: what the mail server's own figures stand on.

    python -m benchmarks.objects [--objects 1000] [--size 4096] [memory folder seaweed seaweed-fsync s3://…]

The folder fsyncs, always. CPU is this process's, and after the `+` the S3 server's, a call. Every read is compared
with what was written. Run order is as printed; "alone" is one call at a time, "at 20" twenty.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import uvloop
from tests.fixtures_seaweed import Seaweed

from mailpod.store.objects import NotFound, ObjectStore
from mailpod.store.opening import open_bucket

KINDS = ["memory", "folder", "seaweed", "seaweed-fsync"]


@asynccontextmanager
async def _bucket(kind: str) -> AsyncIterator[tuple[ObjectStore, psutil.Process | None]]:
    """An empty bucket, and the server's process where there is one of ours."""
    home = Path(tempfile.mkdtemp(prefix="mailpod-objects-", dir=os.environ.get("MAILPOD_BENCHMARK_DIR", "/var/tmp")))
    server = Seaweed(home) if kind.startswith("seaweed") else None
    try:
        url = {"memory": "memory:", "folder": str(home / "bucket")}.get(kind, kind)
        if server:
            server.start()
            if kind == "seaweed-fsync":
                server.sync_writes()
            os.environ.update(server.environment)
            url = server.url()
        objects = await open_bucket(url)
        yield objects, psutil.Process(server.pid) if server else None
        await objects.close()
    finally:
        if server:
            server.stop()
        shutil.rmtree(home)


def _cpu(process: psutil.Process | None) -> float:
    if process is None:
        return 0.0
    times = process.cpu_times()
    return float(times.user + times.system)


async def _row(
    name: str, call: Callable[[int], Awaitable[None]], count: int, at_once: int, server: psutil.Process | None
) -> None:
    """Do call(0) to call(count - 1), `at_once` at a time, and print what it took."""
    numbers = iter(range(count))
    waits: list[float] = []

    async def work() -> None:
        for number in numbers:
            began = time.perf_counter()
            await call(number)
            waits.append(time.perf_counter() - began)

    began, ours, theirs = time.perf_counter(), time.process_time(), _cpu(server)
    await asyncio.gather(*(work() for _ in range(at_once)))
    took, ours, theirs = time.perf_counter() - began, time.process_time() - ours, _cpu(server) - theirs
    waits.sort()
    p50, p99 = statistics.median(waits) * 1e3, waits[int(len(waits) * 0.99)] * 1e3
    cpu = f"{ours / count * 1e6:7.0f}" + (f" + {theirs / count * 1e6:5.0f}" if server else "        ")
    print(f"  {name:28} {at_once:3} at once {count / took:9.0f} /s   p50 {p50:7.3f} p99 {p99:7.3f} ms   CPU {cpu} us")


async def _measure(kind: str, count: int, size: int) -> None:
    body = os.urandom(size)
    async with _bucket(kind) as (objects, server):

        async def expect(wanted: bytes, got: Awaitable[bytes]) -> None:
            if await got != wanted:
                raise SystemExit("a wrong answer")

        async def look(number: int) -> None:
            try:
                await objects.get(f"alone/log/{count + number:020d}")
            except NotFound:
                return
            raise SystemExit("found what is not there")

        async def listing(number: int) -> None:
            if len(await objects.list("alone/log/")) != count:
                raise SystemExit("a wrong listing")

        async def newest(number: int) -> None:
            if len(await objects.list("alone/log/", after=f"alone/log/{number:020d}", limit=1)) != 1:
                raise SystemExit("a wrong listing")

        large = os.urandom(1 << 20)
        alone, many = "alone/log/{:020d}".format, "account-{0}/log/{1:020d}".format
        await _row("create, one folder", lambda n: objects.create(alone(n), [body]), count, 1, server)
        await _row("create, 20 folders", lambda n: objects.create(many(n % 20, n), [body]), count, 20, server)
        await _row(
            "create, a new folder each", lambda n: objects.create(many(n + 20, 1), [body]), count // 4, 20, server
        )
        await _row("put", lambda n: objects.put("entry/address", [body]), count // 4, 1, server)
        await _row("create 1 MiB", lambda n: objects.create(f"large/{n}", [large]), 40, 8, server)
        await _row("get", lambda n: expect(body, objects.get(alone(n))), count, 1, server)
        await _row("get", lambda n: expect(body, objects.get(alone(n))), count, 20, server)
        await _row("get, missing (a look)", look, count, 1, server)
        await _row(
            "get_range 1 KiB", lambda n: expect(body[:1024], objects.get_range(alone(n), 0, 1024)), count, 1, server
        )
        await _row("get 1 MiB", lambda n: expect(large, objects.get(f"large/{n}")), 40, 8, server)
        await _row(f"list {count}", listing, 5, 1, server)
        await _row(f"list 1 of {count}", newest, 20, 1, server)
        await _row("delete", lambda n: objects.delete([alone(n)]), count // 4, 1, server)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("kinds", nargs="*", default=KINDS)
    options.add_argument("--objects", type=int, default=1000)
    options.add_argument("--size", type=int, default=4096)
    given = options.parse_args()
    for kind in given.kinds:
        durable = {"memory": "no disk", "folder": "fsync", "seaweed": "no fsync", "seaweed-fsync": "fsync"}
        print(f"{kind}: {durable.get(kind, 'durability is the server’s')}; {given.objects} objects of {given.size} B")
        uvloop.run(_measure(kind, given.objects, given.size))


if __name__ == "__main__":
    main()
