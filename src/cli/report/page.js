// Zooms the timelines, sorts tables, searches the misses, and shows at once what titles show after a
// while. The page says all it has to say without.
'use strict';
(() => {
  const MOST = 400;

  const make = (name, set) => Object.assign(document.createElement(name), set);
  const button = (text, label, act) => {
    const made = make('button', { type: 'button', textContent: text });
    if (label) made.setAttribute('aria-label', label);
    made.addEventListener('click', act);
    return made;
  };

  const tip = make('div', { id: 'tip', hidden: true });
  document.body.append(tip);

  // A title would be shown a second time.
  for (const element of document.querySelectorAll('.timeline [title], .column[title], .meter [title]')) {
    element.dataset.tip = element.title;
    element.removeAttribute('title');
  }

  const show = (event) => {
    const told = event.target instanceof Element && event.target.closest('[data-tip]');
    tip.hidden = !told;
    if (!told) return;
    tip.textContent = told.dataset.tip;
    const { width, height } = tip.getBoundingClientRect();
    const fits = (at, size, room) => Math.max(4, at + 14 + size > room ? at - size - 10 : at + 14);
    tip.style.left = `${fits(event.clientX, width, innerWidth)}px`;
    tip.style.top = `${fits(event.clientY, height, innerHeight)}px`;
  };
  document.addEventListener('pointermove', show);
  // A finger does not move before it taps.
  document.addEventListener('pointerdown', show);
  document.addEventListener('pointerleave', () => { tip.hidden = true; });
  document.addEventListener('scroll', () => { tip.hidden = true; }, true);

  const seconds = (micros) => micros < 1e6 ? `${(micros / 1e3).toFixed(1)} ms` : `${(micros / 1e6).toFixed(2)} s`;

  const zooming = (timeline) => {
    const rows = timeline.querySelector('.rows');
    const length = Number(timeline.dataset.length);
    let zoom = 1;

    // The part of the whole time that is `x` pixels from the left of the timeline.
    const part = (x) => {
      const who = rows.querySelector('.who')?.offsetWidth ?? 0;
      return (timeline.scrollLeft + x - who) / Math.max(1, rows.offsetWidth - who);
    };
    // What is at `x` stays there.
    const scale = (factor, x) => {
      const at = part(x);
      zoom = Math.min(MOST, Math.max(1, zoom * factor));
      timeline.classList.toggle('zoomed', zoom > 4);
      rows.style.setProperty('--zoom', zoom);
      const who = rows.querySelector('.who')?.offsetWidth ?? 0;
      timeline.scrollLeft = at * (rows.offsetWidth - who) + who - x;
    };

    const tools = make('div', { className: 'tools' });
    const clock = make('span');
    const middle = () => timeline.clientWidth / 2;
    tools.append(
      button('+', 'zoom in', () => scale(2, middle())),
      button('−', 'zoom out', () => scale(1 / 2, middle())),
      button('all', 'show the whole build', () => scale(0, 0)),
      'or Ctrl and the wheel', clock);
    timeline.before(tools);

    timeline.addEventListener('wheel', (event) => {
      if (!event.ctrlKey) return;
      event.preventDefault();
      scale(Math.exp(-event.deltaY / 300), event.clientX - timeline.getBoundingClientRect().left);
    }, { passive: false });
    timeline.addEventListener('pointermove', (event) => {
      const at = part(event.clientX - timeline.getBoundingClientRect().left);
      clock.textContent = at >= 0 && at <= 1 ? `· at ${seconds(at * length)}` : '';
    });
  };
  document.querySelectorAll('.timeline').forEach(zooming);

  const UNITS = { ms: 1e-3, min: 60, h: 3600, KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30, TiB: 2 ** 40 };
  // What a cell sorts by: the number in it, with its unit, or else its text.
  const value = (cell) => {
    const text = cell.querySelector('[title]')?.title ?? cell.textContent;
    const number = cell.classList.contains('n') && /^([+−]?)([\d.]+) ?(\S*)/.exec(text);
    if (!number) return cell.classList.contains('n') ? 0 : text;
    return (number[1] === '−' ? -1 : 1) * Number(number[2]) * (UNITS[number[3]] ?? 1);
  };
  const compare = (one, other) => typeof one === 'number' && typeof other === 'number'
    ? one - other : String(one).localeCompare(String(other));

  const sorting = (table) => {
    const body = table.tBodies[0];
    if (body.rows.length < 2) return;
    const headings = [...table.tHead.rows[0].cells];
    headings.forEach((heading, at) => {
      const name = heading.textContent;
      if (!name) return;
      heading.replaceChildren(button(name, '', () => {
        // Numbers begin with the largest.
        const first = heading.classList.contains('n') ? 'descending' : 'ascending';
        const other = first === 'ascending' ? 'descending' : 'ascending';
        const order = heading.getAttribute('aria-sort') === first ? other : first;
        headings.forEach((one) => one.removeAttribute('aria-sort'));
        heading.setAttribute('aria-sort', order);
        const sign = order === 'ascending' ? 1 : -1;
        const rows = [...body.rows].map((row) => [value(row.cells[at]), row]);
        rows.sort((one, two) => sign * compare(one[0], two[0]));
        body.append(...rows.map(([, row]) => row));
      }));
    });
  };
  document.querySelectorAll('table').forEach(sorting);

  const searching = (list) => {
    const rows = [...list.querySelectorAll('tbody tr')];
    const field = make('input', { type: 'search', className: 'search', placeholder: 'source, reason, header, flag' });
    field.setAttribute('aria-label', 'search the misses');
    const count = make('p', { className: 'note' });
    const search = () => {
      const words = field.value.toLowerCase().split(/\s+/);
      for (const row of rows) {
        const text = `${row.textContent} ${row.querySelector('[title]')?.title}`.toLowerCase();
        row.hidden = !words.every((word) => text.includes(word));
      }
      count.textContent = `${rows.filter((row) => !row.hidden).length} of ${rows.length}`;
    };
    field.addEventListener('input', search);
    list.before(field, count);
    search();
    return () => {
      field.value = '';
      search();
    };
  };
  const missed = document.getElementById('missed');
  const showAll = missed ? searching(missed) : () => {};

  // A link leads to what a search has hidden and what is folded, too.
  const arrive = () => {
    const target = document.getElementById(location.hash.slice(1));
    if (!target) return;
    if (target.hidden) showAll();
    if (target instanceof HTMLDetailsElement) target.open = true;
    target.scrollIntoView({ block: 'nearest' });
  };
  addEventListener('hashchange', arrive);
  arrive();
})();
