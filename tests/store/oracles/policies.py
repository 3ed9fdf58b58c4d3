"""Does to a cache of cachetools what the lines on standard input say, and answers each with one line:

    RESULT | KEY ...

The keys are those that were evicted meanwhile, in order: what had expired, and what popitem() took.

    cache CLASS MAXSIZE [TTL]     a new cache; the size of a value is its length
    time T                        sets the timer
    put EXPIRES KEY VALUE         stored or refused; EXPIRES is for TLRUCache alone
    call EXPIRES KEY VALUE        the value under KEY, by a function that @cached decorates and that gives
                                  VALUE; evictions are not told
    get KEY                       =VALUE or none
    remove KEY                    yes or no
    keys, len, size, info, expire, clear
"""

import random
import sys

import cachetools

evicted = []
now = 0
expires = None


def recording(base):
    """`base` with eviction by popitem() and expire() written down."""

    class Recording(base):
        def popitem(self):
            item = super().popitem()
            evicted.append(item[0])
            return item

    if hasattr(base, "expire"):

        class Expiring(Recording):
            def expire(self, time=None):
                gone = super().expire(time)
                evicted.extend(key for key, _ in gone)
                return gone

        return Expiring
    return Recording


def make(name, maxsize, *ttl):
    base = recording(getattr(cachetools, name))
    if name == "TTLCache":
        return base(int(maxsize), int(ttl[0]), timer=lambda: now, getsizeof=len)
    if name == "TLRUCache":
        return base(int(maxsize), lambda *_: expires, timer=lambda: now, getsizeof=len)
    if name == "RRCache":
        return base(int(maxsize), choice=random.Random(1).choice, getsizeof=len)
    return base(int(maxsize), getsizeof=len)


class Session:
    def cache(self, *arguments):
        self.held = make(*arguments)
        self.hits = self.misses = 0
        self.made = ""
        decorate = cachetools.cached(self.held, key=lambda key: key, info=True)
        self.function = decorate(lambda key: self.made)
        return "made"

    def time(self, time):
        global now
        now = int(time)
        return "set"

    def put(self, until, key, value):
        global expires
        expires = int(until)
        try:
            self.held[key] = value
        except ValueError:
            return "refused"
        return "stored"

    def call(self, until, key, value):
        global expires
        expires, self.made = int(until), value
        value = self.function(key)
        evicted.clear()
        return "=" + value

    def get(self, key):
        try:
            value = self.held[key]
        except KeyError:
            self.misses += 1
            return "none"
        self.hits += 1
        return "=" + value

    def remove(self, key):
        try:
            del self.held[key]
        except KeyError:
            return "no"
        return "yes"

    def keys(self):
        # Without the generator, sorted() would ask for the length, which evicts.
        return ",".join(sorted(key for key in self.held))

    def len(self):
        return str(len(self.held))

    def size(self):
        return str(self.held.currsize)

    def info(self):
        info = self.function.cache_info()
        return f"{self.hits + info.hits} {self.misses + info.misses} {info.maxsize} {info.currsize}"

    def expire(self):
        if hasattr(self.held, "expire"):
            self.held.expire()
        return "done"

    def clear(self):
        self.held.clear()
        return "done"


session = Session()
for line in sys.stdin:
    name, *arguments = line.rstrip("\n").split(" ")
    evicted.clear()
    result = getattr(session, name)(*arguments)
    print(" ".join([result, "|", *evicted]))
