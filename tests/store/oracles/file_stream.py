"""Does to the directory of a FileStreamProgramCache what the lines on standard input say, and answers each
with one line. Keys and values are hexadecimal, behind `0x`.

    open PATH MAX        a new object; MAX bytes, or 0 for no limit     -> done
    put KEY VALUE                                                       -> done
    get KEY                                                             -> the value, or none
    remove KEY                                                          -> yes, or no
    len                                                                 -> the number
    clear                                                               -> done
    check KEYS SEED N    N random operations on so many keys, whose values end with a checksum; every
                         value that is read must be whole               -> the number of values read
"""

import hashlib
import random
import sys

from cuda.core.utils import FileStreamProgramCache

cache = None


def sealed(key: int, body: bytes) -> bytes:
    return body + hashlib.sha256(bytes([key]) + body).digest()


def check(keys: int, seed: int, count: int) -> int:
    rng = random.Random(seed)
    read = 0
    for _ in range(count):
        key = rng.randrange(keys)
        name = bytes([key])
        what = rng.randrange(20)
        if what == 0:
            try:
                del cache[name]
            except KeyError:
                pass
        elif what < 8:
            cache[name] = sealed(key, bytes([rng.randrange(256)]) * rng.randrange(20_000))
        else:
            value = cache.get(name)
            if value is not None:
                assert sealed(key, value[:-32]) == value, f"torn or wrong value of {key}"
                read += 1
    return read


def key_of(arguments: list[str]) -> bytes:
    return bytes.fromhex(arguments[0].removeprefix("0x"))


def answer(line: str) -> str:
    global cache
    word, *arguments = line.split()
    if word == "open":
        limit = int(arguments[1])
        cache = FileStreamProgramCache(arguments[0], max_size_bytes=limit or None)
        return "done"
    if word == "put":
        cache[key_of(arguments)] = bytes.fromhex(arguments[1].removeprefix("0x"))
        return "done"
    if word == "get":
        value = cache.get(key_of(arguments))
        return "none" if value is None else f"0x{value.hex()}"
    if word == "remove":
        try:
            del cache[key_of(arguments)]
        except KeyError:
            return "no"
        return "yes"
    if word == "len":
        return str(len(cache))
    if word == "clear":
        cache.clear()
        return "done"
    if word == "check":
        return str(check(*map(int, arguments)))
    raise ValueError(line)


for line in sys.stdin:
    print(answer(line), flush=True)
