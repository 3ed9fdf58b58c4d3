"""A clean build of a real project's units by ninja: LightGBM's CUDA sources with the flags of its own
build, as scripts/corpus has them."""

import importlib.machinery
import importlib.util
import shutil
import sys

from measure import median, run, seconds
from report import ratio
from units import TOP

JOBS = 2


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
            command = " ".join(quoted(part) for part in tool.command(unit.arguments()))
            lines += [f"build {target(unit)}: cuda {self.root / unit.source}", f"  run = {command}", ""]
        (self.folder / "build.ninja").write_text("\n".join(lines))

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


def target(unit):
    return unit.out / f"{unit.source.name}.o"


def quoted(part):
    text = str(part).replace("$", "$$")
    return "'" + text + "'" if any(char in text for char in " '\"[]()&;|<>") else text


def measure(tools, work, ninja, rounds, warm):
    projects = [Project(tool, work) for tool in tools]
    taken = {}
    for at in range(rounds):
        turn = at % len(projects)
        for project in projects[turn:] + projects[:turn]:
            tool = project.tool
            tool.empty()
            states = ["cold"] + (["warm"] * warm if tool.hits() is not None else [])
            for state in states:
                sample = project.build(ninja)
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
        "| | cold | warm | processor, cold |",
        "|---|---|---|---|",
    ]
    for tool in tools:
        cells = []
        for state in ("cold", "warm"):
            value = median(sample.wall for sample in taken.get((tool.name, state), []))
            cells.append("" if value is None else f"{seconds(value)} ({ratio(value / base)})")
        cpu = median(sample.cpu for sample in taken.get((tool.name, "cold"), []))
        rows.append(f"| {tool.name} | {' | '.join(cells)} | {seconds(cpu)} |")
    return "\n".join(rows)
