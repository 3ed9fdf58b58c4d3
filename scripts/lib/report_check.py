"""Compares a page of `pcache report`, as a browser has it, with `pcache stats --json`; checks a trace."""

import html.parser
import json
import pathlib
import sys

# Points at a stage, turns the wheel, clicks on the bar of a miss, searches and sorts, as a hand would.
HAND = """<script>{
document.querySelector('.tools button').click();
const track = document.querySelector('.track .bar');
const { left, top, width } = track.getBoundingClientRect();
const at = { clientX: left + width / 2, clientY: top + 2, bubbles: true, cancelable: true };
track.dispatchEvent(new WheelEvent('wheel', { ...at, deltaY: -300, ctrlKey: true }));
track.dispatchEvent(new PointerEvent('pointermove', at));
const seen = document.documentElement.dataset;
document.querySelector('a.track[href^="#why-"]').click();
seen.target = document.querySelector(':target')?.id;
const field = document.querySelector('input[type=search]');
const search = (words) => {
  field.value = words;
  field.dispatchEvent(new Event('input'));
  return [...document.querySelectorAll('#missed tbody tr')].filter((row) => !row.hidden).length;
};
seen.counts = [search(''), search('MAIN.cu flag'), search('no such word')].join(' ');
const sort = () => {
  document.querySelectorAll('#units th button')[1].click();
  return [...document.querySelectorAll('#units tbody tr')].map((row) => row.cells[1].textContent);
};
seen.sorted = [sort()[0], sort()[0]].join(', ');
}</script>"""

# Shows the page at three widths, and says what does not fit.
LOOKS = """<!DOCTYPE html><meta charset="utf-8"><body>FRAMES<pre id="looks"></pre><script>
const rectangle = (element) => {
  const range = element.ownerDocument.createRange();
  range.selectNodeContents(element);
  return range.getBoundingClientRect();
};
const problems = ({ contentDocument: page, width }) => {
  const found = [];
  const all = (selector) => [...page.querySelectorAll(selector)].filter((one) => one.getClientRects().length);
  const root = page.documentElement;
  if (root.scrollWidth > root.clientWidth) found.push(`the page is ${root.scrollWidth} wide`);
  for (const group of [...all('.rows'), ...all('.columns')]) {
    const labels = [...group.querySelectorAll('.mark span, .under')];
    const shown = labels.filter((one) => one.textContent && one.getClientRects().length
      && page.defaultView.getComputedStyle(one).visibility === 'visible').map((one) => [one.textContent, rectangle(one)]);
    shown.forEach(([text, { left, right }], at) => {
      const next = shown[at + 1];
      if (next && next[1].left < right + 2) found.push(`${text} and ${next[0]} overlap`);
      const room = group.getBoundingClientRect();
      if (left < room.left || right > room.right + 1) found.push(`${text} is cut`);
    });
  }
  for (const cell of all('td, th, .wide, .card, summary')) {
    if (cell.scrollWidth > cell.clientWidth + 1) found.push(`${cell.className} ${cell.textContent.slice(0, 40)} is cut`);
  }
  return found.map((text) => `${width}: ${text}`);
};
addEventListener('load', () => {
  const found = [...document.querySelectorAll('iframe')].flatMap(problems);
  document.getElementById('looks').textContent = found.length ? found.join('\\n') : 'all fits';
});
</script>"""


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
        elif name.endswith("bytes") or name.startswith("store.compressed."):
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
    seen = dict(page.elements[0][1])
    assert seen["data-target"].startswith("why-"), seen
    everything, some, nothing = map(int, seen["data-counts"].split())
    assert everything > some > nothing == 0, seen
    one, other = seen["data-sorted"].split(", ")
    assert one != other, seen
    print(f"a bar leads to {seen['data-target']}; a search finds {some} of {everything}; tables are sorted")


def frames(pages: list[str], widths: list[int]) -> str:
    style = "border:0;height:900px;width:"
    shown = (f'<iframe src="file://{page}" width="{width}" style="{style}{width}px"></iframe>' for page in pages for width in widths)
    return "".join(shown)


def check_looks(dom: str) -> None:
    looks = Page(dom).texts["looks"]
    assert looks == "all fits", looks
    print("everything fits at each width")


# As a browser has it whose user likes it dark.
DARK = ("@media (prefers-color-scheme: dark)", "@media all")

match sys.argv[1:]:
    case ["page", dom, stats]:
        check_page(dom, stats)
    case ["trace", trace, stats]:
        check_trace(trace, stats)
    case ["hand", page]:
        print(pathlib.Path(page).read_text().replace("</body>", f"{HAND}</body>"))
    case ["handled", dom]:
        check_handled(dom)
    case ["dark", page]:
        text = pathlib.Path(page).read_text()
        assert DARK[0] in text, "there are no dark colours"
        print(text.replace(*DARK))
    case ["looks", *pages]:
        print(LOOKS.replace("FRAMES", frames(pages, [1400, 800, 390])))
    case ["phone", page]:
        # Three screens of a phone beside each other.
        shown = "".join(
            '<div style="height:844px;width:390px;overflow:hidden;flex:none">'
            f'<iframe src="file://{page}" style="border:0;width:390px;height:9000px;margin-top:-{top}px"></iframe></div>'
            for top in (0, 1500, 2500)
        )
        print(f'<!DOCTYPE html><body style="display:flex;gap:12px;margin:12px;background:#888">{shown}')
    case ["looked", dom]:
        check_looks(dom)
