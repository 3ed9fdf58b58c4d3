#!/usr/bin/env python3
"""What one server carries: how many builders with a shared cache it serves, and when their hits become slow.

    benches/simulate.py [--builders 10,100,1000] [--units 10] [--seconds 20] [--workers 1]

First the service times of a real Redis on loopback are measured, for the values of a recorded build (the sizes in
RECORDED, of LightGBM's 15 units). Then builders are simulated that each want so many units a second, at random
moments: a unit asks for its path sets and then for its result, and a large artefact is a request of its own. The
server works on one request at a time (`--workers` for a server with threads), and its network carries `--gigabits`.
No clock but the simulation's own is read, so runs with equal service times give equal tables."""

import argparse
import heapq
import random
import socket
import statistics
import time

from farm import Redis

# Bytes of the values that each unit asks a server for, one after the other: its path sets, a pointer to the result for its
# messages, the result with its small artefacts, and a large artefact of its own. As scripts/corpus --remote prints them.
RECORDED = [
    (4554, 213, 11347), (4373, 206, 127610), (4371, 208, 13060), (4536, 206, 33019),
    (4609, 220, 97685), (4579, 214, 38727), (4574, 218, 46318), (4600, 212, 167571),
    (4584, 217, 119280), (4581, 217, 4525, 1534127), (4585, 215, 446326), (4639, 222, 39010),
    (4581, 220, 279718), (4389, 216, 55901), (4744, 221, 43362),
]
# Bytes of the answer that there is no such value.
NOTHING = 5


def service_time(port, size, seconds=0.5):
    """Seconds of the server for one request for so many bytes: with several connections it is never idle."""
    name = f"value-{size}"
    setter = socket.create_connection(("127.0.0.1", port))
    setter.sendall(f"*3\r\n$3\r\nSET\r\n${len(name)}\r\n{name}\r\n${size}\r\n".encode() + bytes(size) + b"\r\n")
    setter.recv(16)
    request = f"*2\r\n$3\r\nGET\r\n${len(name)}\r\n{name}\r\n".encode()
    streams = []
    for _ in range(4):
        connection = socket.create_connection(("127.0.0.1", port))
        streams.append((connection, connection.makefile("rb", buffering=1 << 20)))
    count, began = 0, time.perf_counter()
    while time.perf_counter() - began < seconds:
        for connection, _ in streams:
            connection.sendall(request)
        for _, stream in streams:
            stream.read(int(stream.readline()[1:]) + 2)
            count += 1
    return (time.perf_counter() - began) / count


class Service:
    """Seconds for a request, between the measured sizes."""

    def __init__(self, port):
        self.points = [(size, service_time(port, size)) for size in (64, 4000, 32000, 128000, 512000)]

    def seconds(self, size):
        for (small, least), (large, most) in zip(self.points, self.points[1:]):
            if size <= large:
                share = max(0, (size - small) / (large - small))
                return least + share * (most - least)
        return self.points[-1][1] * size / self.points[-1][0]


class Server:
    """Workers that take requests in their order, and a link that carries answers in theirs."""

    def __init__(self, service, workers, gigabits):
        self.service, self.free, self.link = service, [0.0] * workers, 0.0
        self.bytes_per_second = gigabits * 1e9 / 8

    def answer(self, now, size):
        worker = heapq.heappop(self.free)
        done = max(now, worker) + self.service.seconds(size)
        heapq.heappush(self.free, done)
        self.link = max(self.link, done) + size / self.bytes_per_second
        return self.link


def simulate(service, builders, asked, packed=True, hits=0.9, remembers=False):
    """Seconds that units waited, and requests and bytes a second."""
    draw = random.Random(1)
    servers = [Server(service, asked.workers, asked.gigabits) for _ in range(asked.shards)]
    events, number = [], 0
    for _ in range(builders):
        moment = draw.expovariate(asked.units)
        while moment < asked.seconds:
            number += 1
            heapq.heappush(events, (moment, number, moment, None))
            moment += draw.expovariate(asked.units)
    waits, requests, carried = [], 0, 0
    while events:
        now, at, began, left = heapq.heappop(events)
        if left is None:
            sizes = draw.choice(RECORDED)
            is_hit = draw.random() < hits
            if not is_hit and remembers:
                continue
            if not is_hit:
                left = [NOTHING, NOTHING]
            elif packed:
                left = list(sizes)
            else:
                # The record, its depfile and its messages, and the object.
                left = [*sizes[:-1], 700, 400, max(64, sizes[-1] - 1100)]
        size, *left = left
        done = servers[draw.randrange(len(servers))].answer(now, size)
        requests, carried = requests + 1, carried + size
        if left:
            heapq.heappush(events, (done, at, began, left))
        else:
            waits.append(done - began)
    end = max(asked.seconds, max(server.link for server in servers))
    return waits, requests / end, carried / end


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--builders", default="10,100,300,1000", help="how many, one after the other")
    parser.add_argument("--units", type=float, default=10, help="that each builder wants a second")
    parser.add_argument("--seconds", type=float, default=10, help="that are simulated")
    parser.add_argument("--workers", type=int, default=1, help="requests that the server works on at once")
    parser.add_argument("--gigabits", type=float, default=25, help="of each server's network")
    asked = parser.parse_args()
    redis = Redis()
    service = Service(redis.port)
    redis.stop()
    print("service times: " + ", ".join(f"{size} B {seconds * 1e6:.0f} µs" for size, seconds in service.points))
    print("\n| builders | servers | form | requests/s | MB/s | median | 99th percentile |\n|---|---|---|---|---|---|---|")
    forms = [
        ("packed", 1, {}), ("one value for each part", 1, {"packed": False}),
        ("packed, misses remembered", 1, {"remembers": True}), ("packed", 4, {}), ("packed", 16, {}),
    ]
    for builders in map(int, asked.builders.split(",")):
        for name, shards, form in forms:
            asked.shards = shards
            waits, requests, carried = simulate(service, builders, asked, **form)
            cuts = statistics.quantiles(waits, n=100)
            print(f"| {builders} | {shards} | {name} | {requests:.0f} | {carried / 1e6:.0f} | {cuts[49] * 1e3:.1f} ms | {cuts[98] * 1e3:.1f} ms |")


if __name__ == "__main__":
    main()
