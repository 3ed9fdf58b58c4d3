// Zooms the timelines, and shows at once what titles show after a while. The page says all it has to
// say without.
'use strict';
(() => {
  const MOST = 400;

  const tip = document.createElement('div');
  tip.id = 'tip';
  tip.hidden = true;
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
  document.addEventListener('pointerleave', () => { tip.hidden = true; });
  document.addEventListener('scroll', () => { tip.hidden = true; }, true);

  const seconds = (micros) => micros < 1e6 ? `${(micros / 1e3).toFixed(1)} ms` : `${(micros / 1e6).toFixed(2)} s`;

  const button = (text, label, act) => {
    const made = document.createElement('button');
    made.type = 'button';
    made.textContent = text;
    made.setAttribute('aria-label', label);
    made.addEventListener('click', act);
    return made;
  };

  for (const timeline of document.querySelectorAll('.timeline')) {
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
      rows.style.setProperty('--zoom', zoom);
      const who = rows.querySelector('.who')?.offsetWidth ?? 0;
      timeline.scrollLeft = at * (rows.offsetWidth - who) + who - x;
    };

    const tools = document.createElement('div');
    tools.className = 'tools';
    const clock = document.createElement('span');
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
  }
})();
