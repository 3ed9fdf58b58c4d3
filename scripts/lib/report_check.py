"""Compares a page of `pcache report`, as a browser has it, with `pcache stats --json`; checks a trace."""

import html.parser
import json
import pathlib
import sys

# Points at a stage and turns the wheel, as a hand would.
HAND = """<script>{
document.querySelector('.tools button').click();
const track = document.querySelector('.track .bar');
const { left, top, width } = track.getBoundingClientRect();
const at = { clientX: left + width / 2, clientY: top + 2, bubbles: true, cancelable: true };
track.dispatchEvent(new WheelEvent('wheel', { ...at, deltaY: -300, ctrlKey: true }));
track.dispatchEvent(new PointerEvent('pointermove', at));
}</script>"""


class Page(html.parser.HTMLParser):
    def __init__(self, path: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict]] = []
        self.numbers: dict[str, tuple[int, str]] = {}
        self.texts: dict[str, str] = {}
        self.inside: list[tuple[str, dict]] = []
        self.feed(pathlib.Path(path).read_text())

    def handle_starttag(self, tag: str, attributes: list) -> None:
        self.elements.append((tag, dict(attributes)))
        self.inside.append((tag, dict(attributes)))

    def handle_endtag(self, tag: str) -> None:
        while self.inside and self.inside.pop()[0] != tag:
            pass

    def handle_data(self, text: str) -> None:
        tag, attributes = self.inside[-1] if self.inside else ("", {})
        if tag == "data":
            self.numbers[attributes["data-stat"]] = (int(attributes["value"]), text)
        if "id" in attributes:
            self.texts[attributes["id"]] = self.texts.get(attributes["id"], "") + text

    def of_class(self, name: str) -> list[dict]:
        return [found for _, found in self.elements if name in found.get("class", "").split()]


def load(path: str) -> dict:
    return json.loads(pathlib.Path(path).read_text())


def flat(value: dict, name: str = "") -> dict[str, int]:
    found = {}
    for member, inner in value.items():
        if isinstance(inner, dict):
            found.update(flat(inner, f"{name}{member}."))
        elif isinstance(inner, int):
            found[name + member] = inner
    return found


def check_page(dom: str, stats: str) -> None:
    page, counted = Page(dom), load(stats)
    held = json.loads(page.texts["stats"])
    for numbers in (held, counted):
        # The words for the range differ where the page has all.
        asked = numbers["since"].pop("asked")
    assert held == counted, (held, counted)
    numbers = flat(counted)
    for name, value in numbers.items():
        assert not value or name in page.numbers, f"{name} is not shown"
    for name, (value, text) in page.numbers.items():
        assert numbers[name] == value, f"{name}: {value} in place of {numbers[name]}"
        if name.endswith("milliseconds"):
            assert text.endswith((" s", " ms", " min", " h")) or text == "0", (name, text)
        elif name.endswith("bytes"):
            assert text.endswith("B"), (name, text)
        else:
            assert text == str(value), (name, text)
    tags = {tag for tag, _ in page.elements}
    assert not tags & {"img", "iframe", "object", "embed", "form"}, tags
    assert not any(key.startswith("on") for _, found in page.elements for key in found)
    rows, tools = len(page.of_class("row")), len(page.of_class("tools"))
    assert tools == len(page.of_class("timeline")) > 0, "the script has run"
    print(f"{dom.rsplit('/', 1)[-1]}: {len(page.numbers)} numbers shown, {rows} compiles, {tools} timelines, since {asked}")


def check_trace(path: str, stats: str) -> None:
    events, counted = load(path)["traceEvents"], load(stats)
    tracks: dict[tuple, list] = {}
    for event in (event for event in events if event["ph"] == "X"):
        tracks.setdefault((event["pid"], event["tid"]), []).append((event["ts"], event["ts"] + event["dur"]))
    for (pid, tid), spans in tracks.items():
        [(begin, end)] = tracks[pid, 1]
        spans.sort()
        assert all(begin <= one and other <= end for one, other in spans), (pid, tid)
        assert all(one[1] <= other[0] for one, other in zip(spans, spans[1:])), (pid, tid)
    compiles = sum(tid == 1 for _, tid in tracks)
    most = max(event["args"]["in use"] for event in events if event["ph"] == "C")
    units = sum(counted[name] for name in ("direct_hits", "preprocessed_hits", "coalesced", "misses"))
    left = sum(counted["bypassed"].values()) + sum(counted["fallbacks"].values())
    assert compiles == units + left, (compiles, units, left)
    print(f"trace.json: {len(events)} events of {compiles} compiles, at most {most} slots in use")


def check_handled(dom: str) -> None:
    page = Page(dom)
    # Twice by the button, and by e to the first with the wheel.
    zoom = float(page.of_class("rows")[0]["style"].split("--zoom:")[1].strip(" ;"))
    assert 5.4 < zoom < 5.5, zoom
    assert "process" in page.texts["tip"], page.texts.get("tip")
    print(f"the timeline zooms to {zoom:.2f}, and what is pointed at is told")


match sys.argv[1:]:
    case ["page", dom, stats]:
        check_page(dom, stats)
    case ["trace", trace, stats]:
        check_trace(trace, stats)
    case ["hand", page]:
        print(pathlib.Path(page).read_text().replace("</body>", f"{HAND}</body>"))
    case ["handled", dom]:
        check_handled(dom)
