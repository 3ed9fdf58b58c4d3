"""Direct hits of units that read many headers, beside those of ccache in turn: Thrust's vectors, and PyTorch's
`torch/extension.h`, whose headers scripts/survey fetches."""

import pathlib
import sys
import sysconfig
import time

from measure import median, run, seconds
from units import TOP, Unit

sys.path.insert(0, str(TOP / "scripts/lib"))
import survey_projects  # noqa: E402
from survey_sources import Store  # noqa: E402

# A toolkit and a source that are younger are not remembered, and the first hits look into the files.
REST = 2.5

THRUST = """\
#include <thrust/device_vector.h>
#include <thrust/sort.h>
void sort(thrust::device_vector<int> &values) { thrust::sort(values.begin(), values.end()); }
"""

TORCH = """\
#include <torch/extension.h>
__global__ void add(float *x) { *x += 1; }
void run(torch::Tensor x) { add<<<1, 1>>>(x.data_ptr<float>()); }
"""


def units():
    sources = {source.name: source for source in survey_projects.SOURCES}
    folder = TOP / "target/survey/sources"
    folder.mkdir(parents=True, exist_ok=True)
    torch = pathlib.Path(Store(folder, None).get(sources["torch"])) / "torch/include"
    includes = [torch, torch / "torch/csrc/api/include", sysconfig.get_paths()["include"]]
    return [
        Unit("thrust", "thrust::sort", {"sort.cu": THRUST}, ["-arch=sm_80", "-std=c++17"]),
        Unit("torch", "torch/extension.h", {"add.cu": TORCH},
             ["-arch=sm_80", "-std=c++17", "--expt-relaxed-constexpr", *(f"-I{path}" for path in includes)]),
    ]


def measure(unit, tools, work, count):
    taken = {tool.name: [] for tool in tools}
    for tool in tools:
        tool.empty()
        for _ in range(3):
            once(unit, tool, work)
            time.sleep(REST)
    before = [tool.direct_hits() for tool in tools]
    for _ in range(count):
        for tool in tools:
            taken[tool.name].append(once(unit, tool, work))
    for tool, had in zip(tools, before):
        if tool.direct_hits() - had != count:
            sys.exit(f"bench: heavy: not every compile was a direct hit of {tool.name}")
    rows = [f"{unit.title}; {len(unit.headers)} files; hits of each: {count}.", "",
            "| | wall | processor |", "|---|---|---|"]
    walls, times = ([median(getattr(sample, name) for sample in samples) for samples in taken.values()]
                    for name in ("wall", "cpu"))
    rows += [f"| {name} | {seconds(wall)} | {seconds(cpu)} |" for name, wall, cpu in zip(taken, walls, times)]
    rows.append(f"| ratio | {walls[0] / walls[1]:.3f} | {times[0] / times[1]:.3f} |")
    return "\n".join(rows)


def once(unit, tool, work):
    log = work / "heavy.log"
    sample = run(tool.command(unit.command(work / "heavy.o")), unit.directory, tool.environment, log)
    if sample.status:
        sys.exit(log.read_text())
    return sample
