// Elements of the page, made and listened to.

/** An element; `given` holds properties, attributes (aria-…, data-…, role), `class`, and listeners as onevent. */
export function make(tag, given = {}, ...children) {
  const element = document.createElement(tag)
  for (const [name, value] of Object.entries(given)) {
    if (value == null) continue
    if (name === 'class') element.className = value
    else if (/^(aria-|data-|role$|tabindex$|for$)/.test(name)) element.setAttribute(name, value)
    else if (name.startsWith('on')) element.addEventListener(name.slice(2), value)
    else element[name] = value
  }
  element.append(...children.filter((child) => child != null))
  return element
}

const STROKES = {
  undo: 'M9 14 4 9l5-5M4 9h10a6 6 0 0 1 0 12h-3',
  redo: 'm15 14 5-5-5-5M20 9H10a6 6 0 0 0 0 12h3',
  reset: 'M3 12a9 9 0 1 0 3-6.7M3 4v5h5',
  mirror: 'M12 3v18M8 8l-5 9h5zM16 8l5 9h-5z',
  neutral: 'M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18M8.5 10v.5M15.5 10v.5M8.5 15.5h7',
  compare: 'M2 12s3.5-7 10-7 10 7 10 7-3.5 7-10 7S2 12 2 12M12 9a3 3 0 1 0 0 6 3 3 0 0 0 0-6',
  keep: 'M12 5v14M5 12h14',
  remove: 'M6 6l12 12M18 6 6 18',
  play: 'M7 4.5v15l12-7.5z',
  pause: 'M8 5v14M16 5v14',
  key: 'M12 4l8 8-8 8-8-8z',
  previous: 'M15 5l-7 7 7 7',
  next: 'M9 5l7 7-7 7'
}

/** A drawing of a name, in the colour of the text. */
export function icon(name) {
  const holder = make('span', { class: 'mf-icon', 'aria-hidden': 'true' })
  holder.innerHTML = `<svg viewBox="0 0 24 24"><path d="${STROKES[name]}"/></svg>`
  return holder
}

/** A button with a drawing; its name is read out and shown while the pointer rests on it. */
export const iconButton = (name, title, onclick, given = {}) =>
  make('button', { type: 'button', class: 'mf-tool', title, 'aria-label': title, onclick, ...given }, icon(name))

/** Calls `done` at most once a frame of the screen, with what was given last. */
export function eachFrame(done) {
  let waiting = 0
  let last
  const later = (...given) => {
    last = given
    waiting ||= requestAnimationFrame(() => {
      waiting = 0
      done(...last)
    })
  }
  later.now = () => {
    if (!waiting) return
    cancelAnimationFrame(waiting)
    waiting = 0
    done(...last)
  }
  later.stop = () => {
    cancelAnimationFrame(waiting)
    waiting = 0
  }
  return later
}

/**
 * Follows the pointer from a press on `element` until it is let go.
 *
 * @param element takes the pointer; the canvas below neither sees it nor moves the node
 * @param {{start: Function, move: Function, end: Function}} drag `start(event)` gives what `move` and `end` are called
 *   with, or nothing to leave the press alone; `end(state, kept)` has kept false where the drag was taken back.
 * @returns a function that ends a drag under way and takes it back
 */
export function draggable(element, drag) {
  let held = null
  const move = eachFrame((event) => held && drag.move(held.state, event))
  const finish = (kept) => {
    if (!held) return
    if (kept) move.now()
    move.stop()
    const { state, pointer } = held
    held = null
    if (element.hasPointerCapture(pointer)) element.releasePointerCapture(pointer)
    window.removeEventListener('keydown', escape, true)
    drag.end(state, kept)
  }
  const escape = (event) => {
    if (event.key !== 'Escape') return
    event.stopImmediatePropagation()
    event.preventDefault()
    finish(false)
  }
  element.addEventListener('pointerdown', (event) => {
    if (event.button !== 0) return
    event.stopPropagation()
    if (held) return
    const state = drag.start(event)
    if (!state) return
    held = { state, pointer: event.pointerId }
    element.setPointerCapture(event.pointerId)
    window.addEventListener('keydown', escape, true)
  })
  element.addEventListener('pointermove', (event) => {
    if (held?.pointer !== event.pointerId) return
    event.stopPropagation()
    move(event)
  })
  element.addEventListener('pointerup', (event) => {
    if (held?.pointer !== event.pointerId) return
    event.stopPropagation()
    finish(true)
  })
  element.addEventListener('pointercancel', () => finish(false))
  element.addEventListener('lostpointercapture', () => finish(true))
  return () => finish(false)
}
