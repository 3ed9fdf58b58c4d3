"""The compilers and caches that are measured: how each is called, emptied, and asked for its hits.
Every cache has a folder of its own and its default settings otherwise."""

import json
import os
import shutil
import socket
import subprocess

KEPT = ("PATH", "HOME", "LANG", "TMPDIR")


class Tool:
    """nvcc itself; caches derive from it."""

    name = "nvcc"

    def __init__(self, nvcc, directory):
        self.nvcc, self.directory = nvcc, directory
        self.environment = {name: os.environ[name] for name in KEPT if name in os.environ}
        self.environment["PATH"] = f"{nvcc.parent}:{self.environment.get('PATH', '')}"

    def command(self, arguments):
        return [self.nvcc, *arguments]

    def empty(self):
        """Forgets everything compiled."""

    def hits(self):
        """How many compiles were hits so far; None where nothing is ever one."""
        return None

    def limit(self, megabytes):
        """Caps the size of the cache."""

    def stop(self):
        """Ends what was started."""

    def version(self):
        text = self.ask(self.nvcc, "--version")
        return "nvcc " + text.partition(", V")[2].split()[0]

    def ask(self, *command):
        done = subprocess.run(
            command, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True
        )
        return done.stdout.decode()


class Threads(Tool):
    """nvcc with as many threads as there are cores."""

    name = "nvcc -t0"

    def command(self, arguments):
        return [self.nvcc, "-t0", *arguments]


class Pcache(Tool):
    name = "pcache-nvcc"

    def __init__(self, nvcc, directory, release):
        super().__init__(nvcc, directory)
        self.release = release
        self.environment |= {"PCACHE_DIR": os.fspath(directory), "PCACHE_NVCC": os.fspath(nvcc)}
        self.environment["XDG_CONFIG_HOME"] = os.fspath(directory.parent / "no-config")

    def command(self, arguments):
        return [self.release / "pcache-nvcc", *arguments]

    def empty(self):
        shutil.rmtree(self.directory, ignore_errors=True)

    def limit(self, megabytes):
        self.environment["PCACHE_MAX_SIZE"] = str(megabytes * 10**6)

    def hits(self):
        stats = self.stats()
        return stats["direct_hits"] + stats["preprocessed_hits"]

    def direct_hits(self):
        return self.stats()["direct_hits"]

    def stats(self):
        return json.loads(self.ask(self.release / "pcache", "stats", "--json"))

    def version(self):
        commit = subprocess.run(
            ["git", "rev-parse", "--short", "HEAD"], cwd=self.release, stdout=subprocess.PIPE, check=True
        )
        return f"pcache-nvcc at {commit.stdout.decode().strip()}"


class Shared(Pcache):
    """A cache that this user's group shares, whose results are signed."""

    name = "pcache-nvcc, shared"

    def __init__(self, nvcc, directory, release):
        super().__init__(nvcc, directory, release)
        self.private = directory.with_name(directory.name + "-private")
        self.environment["PCACHE_PRIVATE_DIR"] = os.fspath(self.private)

    def empty(self):
        super().empty()
        shutil.rmtree(self.private, ignore_errors=True)
        self.ask(self.release / "pcache", "init", "--shared", str(os.getgid()))


class KnownTools(Pcache):
    """A cache that is empty but for what it knows of the toolkit's and host compiler's programs: the first
    unit of all has them read."""

    name = "pcache-nvcc, tools known"

    def empty(self):
        kept = self.directory / "manifests/toolchains"
        if not kept.exists():
            unit = self.directory.parent / "known.cu"
            unit.write_text("")
            subprocess.run(self.command(["-c", unit, "-o", unit.with_suffix(".o")]), env=self.environment, check=True)
        aside = self.directory.with_suffix(".toolchains")
        shutil.rmtree(aside, ignore_errors=True)
        kept.rename(aside)
        super().empty()
        kept.parent.mkdir(parents=True, mode=0o700)
        aside.rename(kept)

    def hits(self):
        return None


class OneJob(KnownTools):
    """The same with one stage at a time. Cores slow each other down, so that stages side by side cost more
    processor time than the same stages one after the other."""

    name = "pcache-nvcc, tools known, one job"

    def __init__(self, nvcc, directory, release):
        super().__init__(nvcc, directory, release)
        self.environment["PCACHE_JOBS"] = "1"


class Ccache(Tool):
    name = "ccache"

    def __init__(self, nvcc, directory, program):
        super().__init__(nvcc, directory)
        self.program = program
        empty = directory.parent / "ccache.conf"
        empty.write_text("")
        self.environment |= {"CCACHE_DIR": os.fspath(directory), "CCACHE_CONFIGPATH": os.fspath(empty)}

    def command(self, arguments):
        return [self.program, self.nvcc, *arguments]

    def empty(self):
        shutil.rmtree(self.directory, ignore_errors=True)

    def limit(self, megabytes):
        self.environment["CCACHE_MAXSIZE"] = f"{megabytes}MB"

    def hits(self):
        return self.counted("direct_cache_hit", "preprocessed_cache_hit")

    def direct_hits(self):
        return self.counted("direct_cache_hit")

    def counted(self, *names):
        rows = (line.split("\t") for line in self.ask(self.program, "--print-stats").splitlines())
        counted = {row[0]: row[1] for row in rows if len(row) > 1}
        return sum(int(counted.get(name, 0)) for name in names)

    def version(self):
        return self.ask(self.program, "--version").splitlines()[0].replace(" version", "")


class Sccache(Tool):
    name = "sccache"

    def __init__(self, nvcc, directory, program):
        super().__init__(nvcc, directory)
        self.program = program
        empty = directory.parent / "sccache.toml"
        empty.write_text("")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.environment |= {
            "SCCACHE_DIR": os.fspath(directory),
            "SCCACHE_SERVER_PORT": str(port),
            "SCCACHE_IDLE_TIMEOUT": "0",
            "SCCACHE_CONF": os.fspath(empty),
        }
        self.runs = False

    def command(self, arguments):
        return [self.program, self.nvcc, *arguments]

    def empty(self):
        """The server is started again before anybody looks at the clock."""
        self.stop()
        shutil.rmtree(self.directory, ignore_errors=True)
        self.ask(self.program, "--start-server")
        self.runs = True

    def hits(self):
        stats = json.loads(self.ask(self.program, "--show-stats", "--stats-format", "json"))
        return sum(stats["stats"]["cache_hits"]["counts"].values())

    def stop(self):
        if self.runs:
            subprocess.run(
                [self.program, "--stop-server"],
                env=self.environment,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            self.runs = False

    def version(self):
        return self.ask(self.program, "--version").strip()
