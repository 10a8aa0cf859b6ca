// One slider with its exact value: dragged, typed, or moved by keys.
import { draggable, make } from './dom.js'
import { say } from './texts.js'
import { fitted } from './value.js'

const FINE = 0.2 // of the pointer's way, with Shift held
const LEAPS = { PageUp: 10, PageDown: -10 } // steps
const STEPS = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1, ...LEAPS }

const digits = (control) => Math.max(0, Math.ceil(-Math.log10(control.step) - 1e-9))
const written = (control, value) => value.toFixed(digits(control))

/**
 * A slider of a control.
 *
 * @param control its range, step, rest and texts
 * @param {string} label what it is called beside its label, such as the side
 * @param {{live: Function, commit: Function, revert: Function, focus: string}} to `live(position)` while it moves,
 *   `commit()` when it has come to rest, `revert()` when it was taken back; `focus` names it among those of an editor
 * @returns {{element: HTMLElement, show: Function, stop: Function}}
 */
export function slider(control, label, to) {
  const fill = make('span', { class: 'mf-fill' })
  const thumb = make('span', { class: 'mf-thumb' })
  const track = make('div', {
    class: 'mf-track',
    role: 'slider',
    tabindex: '0',
    title: control.tooltip,
    'aria-label': label,
    'aria-valuemin': control.low,
    'aria-valuemax': control.high,
    'data-focus': to.focus
  })
  const rest = make('span', { class: 'mf-rest' })
  track.append(make('span', { class: 'mf-rail' }), fill, rest, thumb)
  const exact = make('input', {
    class: 'mf-exact',
    type: 'text',
    inputMode: 'decimal',
    'aria-label': say('exact', label),
    'data-focus': `${to.focus}#`
  })
  let position = control.rest
  const share = (value) => (value - control.low) / (control.high - control.low)
  const percent = (value) => `${100 * share(value)}%`
  rest.style.left = percent(control.rest)

  function show(value) {
    position = value
    const [from, until] = [control.rest, value].sort((a, b) => a - b)
    Object.assign(fill.style, { left: percent(from), width: `${100 * (share(until) - share(from))}%` })
    thumb.style.left = percent(value)
    track.setAttribute('aria-valuenow', value)
    track.setAttribute('aria-valuetext', written(control, value))
    track.classList.toggle('mf-moved', value !== control.rest)
    if (document.activeElement !== exact) exact.value = written(control, value)
  }

  const stop = draggable(track, {
    start: (event) => {
      const box = track.getBoundingClientRect()
      const onThumb = Math.abs((event.clientX - box.left) / box.width - share(position)) * box.width < 9
      if (!onThumb) to.live(control.low + ((event.clientX - box.left) / box.width) * (control.high - control.low))
      return { from: position, x: event.clientX, unit: (control.high - control.low) / box.width }
    },
    move: (state, event) => {
      state.from += (event.clientX - state.x) * state.unit * (event.shiftKey ? FINE : 1)
      state.x = event.clientX
      to.live(state.from)
    },
    end: (_, kept) => (kept ? to.commit() : to.revert())
  })

  track.addEventListener('keydown', (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return
    const leap = STEPS[event.key]
    if (leap) to.live(position + leap * control.step * (event.shiftKey ? 10 : 1))
    else if (event.key === 'Home') to.live(control.low)
    else if (event.key === 'End') to.live(control.high)
    else if (['0', 'Delete', 'Backspace'].includes(event.key)) to.live(control.rest)
    else return
    event.preventDefault()
  })
  track.addEventListener('keyup', () => to.commit())
  track.addEventListener('blur', () => to.commit())
  track.addEventListener('dblclick', () => {
    to.live(control.rest)
    to.commit()
  })

  exact.addEventListener('focus', () => exact.select())
  exact.addEventListener('change', () => {
    const typed = Number(exact.value.replace(',', '.'))
    if (exact.value.trim() !== '' && Number.isFinite(typed)) {
      to.live(fitted(control, typed))
      to.commit()
    }
    exact.value = written(control, position)
  })
  exact.addEventListener('keydown', (event) => {
    if (event.key === 'Enter') track.focus() // leaving the field takes the value over
    if (event.key === 'Escape') {
      exact.value = written(control, position)
      track.focus()
    }
  })
  return { element: make('div', { class: 'mf-slider' }, track, exact), show, stop }
}
