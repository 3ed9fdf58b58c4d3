"""A clean build of a real project's units by ninja: LightGBM's CUDA sources with the flags of its own
build, as scripts/corpus has them."""

import importlib.machinery
import importlib.util
import shutil
import subprocess
import sys
import time

from measure import median, run, seconds
from report import ratio
from units import TOP

JOBS = 2
# Caches that remember a file by its times do not do so while it is younger than two seconds.
REST = 2.5


def corpus():
    """scripts/corpus as a module: it fetches the sources and knows their flags."""
    loader = importlib.machinery.SourceFileLoader("corpus", str(TOP / "scripts/corpus"))
    spec = importlib.util.spec_from_loader("corpus", loader)
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


class Project:
    """The units as a build.ninja for one tool, in a folder of its own."""

    def __init__(self, tool, work):
        module = corpus()
        self.tool, self.root = tool, module.fetch_lightgbm()
        self.folder = work / "build" / tool.name.replace(" ", "")
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        sources = sorted((self.root / "src").rglob("*.cu"))
        self.units = [
            module.Unit("lightgbm", self.root, source.relative_to(self.root), self.folder / "out")
            for source in sources
        ]
        lines = ["rule cuda", "  command = $run", ""]
        for unit in self.units:
            command = " ".join(quoted(part) for part in tool.command(self.arguments(unit)))
            lines += [f"build {target(unit)}: cuda {self.root / unit.source}", f"  run = {command}", ""]
        (self.folder / "build.ninja").write_text("\n".join(lines))

    def arguments(self, unit):
        """Without -lineinfo, which makes lines a part of what is compiled."""
        return [argument for argument in unit.arguments() if argument != "-lineinfo"]

    def clean(self):
        for unit in self.units:
            for file in unit.out.iterdir():
                file.unlink()

    def build(self, ninja):
        self.clean()
        command = [ninja, "-C", self.folder, f"-j{JOBS}", "--quiet"]
        sample = run(command, self.root, self.tool.environment, self.folder / "log")
        missing = [unit for unit in self.units if not target(unit).exists()]
        if sample.status or missing:
            return None
        return sample


def most_included(project):
    """The project's own header that most units are made of."""
    counted = {}
    for unit in project.units:
        command = [project.tool.nvcc, "-M", *without_outputs(project.arguments(unit))]
        rule = subprocess.run(command, cwd=project.root, check=True, stdout=subprocess.PIPE).stdout.decode()
        names = {(project.root / name).resolve() for name in rule.partition(":")[2].replace("\\\n", " ").split()}
        for name in names:
            if name.is_relative_to(project.root) and name.suffix != ".cu":
                counted[name] = counted.get(name, 0) + 1
    return max(sorted(counted), key=counted.get)


def without_outputs(arguments):
    """-M takes neither -c nor names of outputs."""
    kept, rest = [], iter(map(str, arguments))
    for argument in rest:
        if argument in ("-o", "-MT", "-MF"):
            next(rest)
        elif argument not in ("-c", "-MD"):
            kept.append(argument)
    return kept


def target(unit):
    return unit.out / f"{unit.source.name}.o"


def quoted(part):
    text = str(part).replace("$", "$$")
    return "'" + text + "'" if any(char in text for char in " '\"[]()&;|<>") else text


def measure(tools, work, ninja, rounds, warm):
    projects = [Project(tool, work) for tool in tools]
    taken, hits = {}, {}
    header = most_included(projects[0])
    text = header.read_text()
    for at in range(rounds):
        turn = at % len(projects)
        for project in projects[turn:] + projects[:turn]:
            tool = project.tool
            tool.empty()
            states = ["cold"] + (["warm"] * warm + ["edited"] if tool.hits() is not None else [])
            for state in states:
                if state == "edited":
                    header.write_text(f"// {time.time_ns()}\n{text}")
                    time.sleep(REST)
                before = tool.hits()
                sample = project.build(ninja)
                header.write_text(text)
                if state == "edited":
                    hits[tool.name] = tool.hits() - before
                if sample is None:
                    print(f"bench: build: {tool.name} fails, see {project.folder}/log", file=sys.stderr)
                    break
                taken.setdefault((tool.name, state), []).append(sample)
                print(f"bench: build: {tool.name} {state} {sample.wall:.2f} s", file=sys.stderr, flush=True)
    base = median(sample.wall for sample in taken[tools[0].name, "cold"])
    count = len(projects[0].units)
    rows = [
        f"LightGBM 4.7.0, {count} units, `ninja -j{JOBS}`; rounds: {rounds}, warm builds in each: {warm}.",
        "",
        f"*Edited*: a comment line was added on top of `{header.relative_to(projects[0].root)}`.",
        "",
        "| | cold | warm | edited | hits, edited | processor, cold |",
        "|---|---|---|---|---|---|",
    ]
    for tool in tools:
        cells = []
        for state in ("cold", "warm", "edited"):
            value = median(sample.wall for sample in taken.get((tool.name, state), []))
            cells.append("" if value is None else f"{seconds(value)} ({ratio(value / base)})")
        cpu = median(sample.cpu for sample in taken.get((tool.name, "cold"), []))
        rose = f"{hits[tool.name]} of {count}" if tool.name in hits else ""
        rows.append(f"| {tool.name} | {' | '.join(cells)} | {rose} | {seconds(cpu)} |")
    return "\n".join(rows)
