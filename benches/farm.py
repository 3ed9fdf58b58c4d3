"""What a second machine gets from a server: a machine is a cache directory of its own, the server is Redis on
loopback, and a proxy delays what goes through it."""

import asyncio
import os
import shutil
import socket
import statistics
import subprocess
import threading
import time

ROUNDS = 3


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Redis:
    """A server that forgets everything when it ends."""

    def __init__(self):
        self.port = free_port()
        self.process = subprocess.Popen(
            ["redis-server", "--port", str(self.port), "--save", "", "--appendonly", "no"],
            stdout=subprocess.DEVNULL, cwd="/tmp",
        )
        for _ in range(500):
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
                return
            except OSError:
                time.sleep(0.01)
        raise SystemExit("farm: redis-server does not start; scripts/get-servers installs it")

    def ask(self, *words):
        done = subprocess.run(
            ["redis-cli", "-p", str(self.port), *words], stdout=subprocess.PIPE, check=True
        )
        return done.stdout.decode().strip()

    def stop(self):
        self.process.kill()
        self.process.wait()


class DelayProxy:
    """Passes bytes on to a port, each after half of the delay: so an answer comes that much later."""

    def __init__(self, port, delay):
        self.target, self.delay = port, delay
        self.port = free_port()
        ready = threading.Event()
        threading.Thread(target=lambda: asyncio.run(self.serve(ready)), daemon=True).start()
        ready.wait()

    async def serve(self, ready):
        server = await asyncio.start_server(self.connect, "127.0.0.1", self.port)
        ready.set()
        async with server:
            await server.serve_forever()

    async def connect(self, reader, writer):
        there_reader, there_writer = await asyncio.open_connection("127.0.0.1", self.target)
        await asyncio.gather(self.pipe(reader, there_writer), self.pipe(there_reader, writer))

    async def pipe(self, reader, writer):
        loop = asyncio.get_running_loop()
        try:
            while chunk := await reader.read(1 << 16):
                loop.call_later(self.delay / 2, writer.write, chunk)
        except ConnectionError:
            pass
        loop.call_later(self.delay / 2, writer.close)


def copy_objects(redis_port, objects, to):
    """Seconds to get each object's bytes over one connection and write them: the least that a second machine does."""
    connection = socket.create_connection(("127.0.0.1", redis_port))
    stream = connection.makefile("rb")
    began = time.monotonic()
    for number, name in enumerate(objects):
        connection.sendall(f"*2\r\n$3\r\nGET\r\n${len(name)}\r\n{name}\r\n".encode())
        length = int(stream.readline()[1:])
        (to / str(number)).write_bytes(stream.read(length))
        stream.read(2)
    seconds = time.monotonic() - began
    connection.close()
    return seconds


class Farm:
    """Machines that build the same units, with one server."""

    def __init__(self, work, units, build, environment):
        self.work, self.units, self.build, self.environment = work, units, build, environment
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)
        self.redis = Redis()

    def seconds(self, program, environment):
        began = time.monotonic()
        self.build(self.units, program, self.environment | environment)
        return time.monotonic() - began

    def asked_for(self, program, environment):
        """The bytes of the values that each unit asks a server for, one unit after the other."""
        log = self.work / "monitor"
        with log.open("w") as text:
            monitor = subprocess.Popen(["redis-cli", "-p", str(self.redis.port), "monitor"], stdout=text)
            time.sleep(0.5)
            for number, unit in enumerate(self.units):
                self.build([unit], program, self.environment | environment)
                self.redis.ask("echo", f"unit {number} ends")
            time.sleep(0.5)
            monitor.kill()
        units, values = [], []
        for line in log.read_text().splitlines():
            words = line.split('"')
            if '"GET"' in line:
                values.append(int(self.redis.ask("strlen", words[3])))
            elif "unit" in line and "ends" in line:
                units.append(tuple(values))
                values = []
        return units

    def median(self, program, machine):
        """Of several machines with empty caches; `machine` gives the environment of the next one."""
        return statistics.median(self.seconds(program, machine(n)) for n in range(ROUNDS))


def measure(work, units, build, environment, binaries, ccache, nvcc):
    """Prints the table of docs/benchmarks.md#a-second-machine."""
    farm = Farm(work, units, build, environment)
    ours, pcache = binaries / "pcache-nvcc", binaries / "pcache"
    wrapper = work / "ccache-nvcc"
    wrapper.write_text(f'#!/bin/sh\nexec {ccache} {nvcc} "$@"\n')
    wrapper.chmod(0o755)

    def machine(name, port):
        return {"PCACHE_DIR": str(work / name), "PCACHE_REMOTE": f"redis://127.0.0.1:{port}"}

    def peer(name, remote):
        storage = {"CCACHE_REMOTE_STORAGE": remote, "CCACHE_CONFIGPATH": os.devnull}
        return {"CCACHE_DIR": str(work / name)} | storage

    def knowing_machine(name, port):
        """One that has used this toolkit before: the first compile of a new machine reads every tool."""
        shutil.copytree(work / "alone/manifests/toolchains", work / name / "manifests/toolchains")
        return machine(name, port)

    rows = []
    alone = farm.seconds(ours, {"PCACHE_DIR": str(work / "alone")})
    first = farm.seconds(ours, machine("first", farm.redis.port))
    subprocess.run(
        [pcache, "remote", "flush", "--timeout", "300s"], check=True,
        env=farm.environment | machine("first", farm.redis.port), stdout=subprocess.DEVNULL,
    )
    rows.append(("pcache-nvcc, cold, without a server", alone))
    rows.append(("pcache-nvcc, cold, sending", first))
    redis = f"redis://127.0.0.1:{farm.redis.port}"
    rows.append(("ccache, cold, sending", cold := farm.seconds(wrapper, peer("peer-first", redis))))
    objects = [str(path) for path in sorted((work / "first/entries").rglob("*")) if path.is_file()]
    for path in objects:
        with open(path, "rb") as content:
            subprocess.run(
                ["redis-cli", "-p", str(farm.redis.port), "-x", "set", path], stdin=content,
                stdout=subprocess.DEVNULL, check=True,
            )
    copies = work / "copies"
    copies.mkdir()
    for delay in (0, 0.02):
        port = DelayProxy(farm.redis.port, delay).port if delay else farm.redis.port
        text = f"{delay * 1000:.0f} ms of delay"
        copied = statistics.median(copy_objects(port, objects, copies) for _ in range(ROUNDS))
        rows.append((f"objects copied, {text}", copied))
        ours_b = farm.median(ours, lambda n: machine(f"second-{delay}-{n}", port))
        rows.append((f"pcache-nvcc, second machine, {text}", ours_b))
        known = farm.median(ours, lambda n: knowing_machine(f"knows-{delay}-{n}", port))
        rows.append((f"pcache-nvcc, second machine that knows the tools, {text}", known))
        theirs = f"redis://127.0.0.1:{port}"
        peer_b = farm.median(wrapper, lambda n: peer(f"peer-{delay}-{n}", theirs))
        rows.append((f"ccache, second machine, {text}", peer_b))
        print(f"{text}: {ours_b / cold:.3f} of ccache's cold build, {ours_b / copied:.1f} of a copy, {ours_b / peer_b:.2f} of ccache's second machine")
    print("values that each unit asked for: " + str(farm.asked_for(ours, machine("recorded", farm.redis.port))))
    size = farm.redis.ask("info", "memory").split("used_memory_human:")[1].split()[0]
    farm.redis.stop()
    for name, seconds in rows:
        print(f"| {name} | {seconds:.2f} s |")
    print(f"{len(units)} units, {len(objects)} artefacts, {size} in Redis with the copies and ccache's values")
