"""Builds with a server that fails in one way after the other: whether every object is right, and what the build takes beside
one without a server. And misses with a server that is far away."""

import asyncio
import concurrent.futures
import os
import random
import shutil
import statistics
import subprocess
import threading
import time

from farm import DelayProxy, Redis, free_port

KERNEL = "__global__ void kernel_{0}(int *p) {{ *p = {0}; }}\nint host_{0}() {{ return {0}; }}\n"

# What each fault does with what the server answers.
FAULTS = ("refused", "reset", "silent", "slow", "drips", "cut off", "wrong bytes")
STATUSES = ("403 Forbidden", "429 Too Many Requests", "500 Internal Server Error", "503 Service Unavailable",
            "507 Insufficient Storage")


class FaultProxy:
    """Passes bytes on to a port, and harms what comes back."""

    def __init__(self, port, fault):
        self.target, self.fault = port, fault
        self.port = free_port()
        self.chance = random.Random(7)
        if fault != "refused":
            listen(self.connect, self.port)

    async def connect(self, reader, writer):
        if self.fault == "reset":
            writer.transport.abort()
            return
        there_reader, there_writer = await asyncio.open_connection("127.0.0.1", self.target)
        try:
            await asyncio.gather(pipe(reader, there_writer), self.answer(there_reader, writer))
        except ConnectionError:
            pass

    async def answer(self, reader, writer):
        while chunk := await reader.read(1 << 16):
            if self.fault == "silent":
                continue
            if self.fault == "slow":
                await asyncio.sleep(2)
            if self.fault == "cut off":
                writer.write(chunk[: len(chunk) // 2])
                break
            if self.fault == "wrong bytes":
                chunk = bytearray(chunk)
                chunk[self.chance.randrange(len(chunk))] ^= 1 << self.chance.randrange(8)
            if self.fault == "drips":
                for byte in chunk:
                    writer.write(bytes([byte]))
                    await writer.drain()
                    await asyncio.sleep(0.02)
                continue
            writer.write(bytes(chunk))
            await writer.drain()
        writer.close()


class Refusal:
    """A web server that always says this status."""

    def __init__(self, status):
        self.status = status
        self.port = free_port()
        listen(self.connect, self.port)

    async def connect(self, reader, writer):
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                for line in head.lower().split(b"\r\n"):
                    if line.startswith(b"content-length:"):
                        await reader.readexactly(int(line.split(b":")[1]))
                writer.write(f"HTTP/1.1 {self.status}\r\nContent-Length: 0\r\n\r\n".encode())
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()


async def pipe(reader, writer):
    while chunk := await reader.read(1 << 16):
        writer.write(chunk)
        await writer.drain()
    writer.close()


def listen(connect, port):
    ready = threading.Event()

    async def serve():
        server = await asyncio.start_server(connect, "127.0.0.1", port)
        ready.set()
        async with server:
            await server.serve_forever()

    threading.Thread(target=lambda: asyncio.run(serve()), daemon=True).start()
    ready.wait()


class Builds:
    """The same sources, built again and again, each time with an empty cache."""

    def __init__(self, work, units, binaries, environment):
        self.work, self.units, self.binaries, self.environment = work, units, binaries, environment
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)
        for number in range(units):
            (work / f"{number}.cu").write_text(KERNEL.format(number))

    def build(self, name, settings):
        """The seconds that it took, and the objects."""
        environment = self.environment | settings | {"PCACHE_DIR": str(self.work / name)}
        began = time.monotonic()
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(lambda number: self.compile(number, environment), range(self.units)))
        seconds = time.monotonic() - began
        objects = []
        for number in range(self.units):
            path = self.work / f"{number}.o"
            objects.append(path.read_bytes())
            path.unlink()
        return seconds, objects

    def compile(self, number, environment):
        command = [self.binaries / "pcache-nvcc", "-c", f"{number}.cu", "-o", f"{number}.o"]
        done = subprocess.run(command, cwd=self.work, env=environment, capture_output=True)
        if done.returncode or done.stderr or done.stdout:
            raise SystemExit(f"faults: unit {number}: {done.stderr.decode()}")

    def stop(self, name, settings):
        """Ends the helper, and forgets the cache."""
        environment = self.environment | settings | {"PCACHE_DIR": str(self.work / name)}
        subprocess.run([self.binaries / "pcache", "remote", "stop"], env=environment, stdout=subprocess.DEVNULL)
        shutil.rmtree(self.work / name)


def measure(work, units, binaries, environment):
    """Prints the table of docs/benchmarks.md#servers-that-fail. Returns how many objects were wrong."""
    builds = Builds(work, units, binaries, environment)
    _, right = builds.build("right", {})
    redis = Redis()
    full = {"PCACHE_REMOTE": f"redis://127.0.0.1:{redis.port}"}
    builds.build("full", full)
    flush = [binaries / "pcache", "remote", "flush", "--timeout", "60s"]
    subprocess.run(flush, check=True, stdout=subprocess.DEVNULL,
                   env=environment | full | {"PCACHE_DIR": str(work / "full")})
    builds.stop("full", full)
    servers = [(fault, f"redis://127.0.0.1:{FaultProxy(redis.port, fault).port}") for fault in FAULTS]
    servers += [(status, f"http://127.0.0.1:{Refusal(status).port}") for status in STATUSES]
    wrong, rows = 0, []
    alone = [builds.build("alone-0", {})[0]]
    for name, url in servers:
        settings = {"PCACHE_REMOTE": url}
        seconds, objects = builds.build("behind", settings)
        builds.stop("behind", settings)
        wrong += sum(one != other for one, other in zip(objects, right))
        alone.append(builds.build(f"alone-{len(alone)}", {})[0])
        rows.append((name, seconds, seconds / statistics.mean(alone[-2:])))
    redis.stop()
    print(f"{units} units, {units * len(servers)} compiles with a server that fails, {wrong} wrong objects; without a "
          f"server {statistics.median(alone):.1f} s ({min(alone):.1f} to {max(alone):.1f})\n")
    print("| server | build | beside the builds without a server before and after it |\n|---|---|---|")
    for name, seconds, ratio in rows:
        print(f"| {name} | {seconds:.1f} s | {ratio:.3f} |")
    return wrong


DISTANCES = (0, 0.02, 0.1)


def measure_misses(work, rounds, binaries, environment):
    """Prints what a miss takes with a server that has nothing, near and far, beside compiles without one."""
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    redis = Redis()
    settings = {"none": {}, "none again": {}}
    for delay in DISTANCES:
        port = DelayProxy(redis.port, delay).port if delay else redis.port
        settings[f"{delay * 1000:.0f} ms"] = {"PCACHE_REMOTE": f"redis://127.0.0.1:{port}"}
    machines = {name: environment | more | {"PCACHE_DIR": str(work / name)} for name, more in settings.items()}
    taken = {name: [] for name in machines}
    names = list(machines)
    # The first ones identify the tools, and learn that the server has nothing.
    warm_up = 5
    for at in range(rounds + warm_up):
        first = at % len(names)
        for name in names[first:] + names[:first]:
            (work / "a.cu").write_text(KERNEL.format(at * len(names) + names.index(name)))
            began = time.monotonic()
            subprocess.run([binaries / "pcache-nvcc", "-c", "a.cu", "-o", "a.o"], cwd=work, env=machines[name], check=True)
            if at >= warm_up:
                taken[name].append(time.monotonic() - began)
    alone = statistics.mean([statistics.median(taken[name]) for name in names[:2]])
    print(f"misses of each: {rounds}\n\n| server | time | beside none |\n|---|---|---|")
    for name, times in taken.items():
        middle = statistics.median(times)
        print(f"| {name} | {middle * 1000:.1f} ms | {middle / alone:.3f} |")
        if settings[name]:
            subprocess.run([binaries / "pcache", "remote", "stop"], env=machines[name], stdout=subprocess.DEVNULL)
    redis.stop()
