// The preview of the face, with handles that are dragged where they act.
import { draggable, eachFrame, make } from './dom.js'
import { controlsOf, groupOf, isSided, pulled } from './handles.js'
import { say } from './texts.js'

const FINE = 0.2 // of the pointer's way, with Shift held
const REACH = 16 // pixels within which a handle is taken
const NUDGE = 0.02 // of the picture, for an arrow key
const ARROWS = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }

/** The picture. `editor` has `edit`, `mirrored`, `live`, `commit`, `revert`, `reset`, `openGroup` and `retry`. */
export class Face {
  constructor(editor) {
    this.editor = editor
    this.canvas = make('canvas', { class: 'mf-picture', width: 1, height: 1 })
    this.points = make('div', { class: 'mf-points' })
    this.stage = make(
      'div',
      { class: 'mf-stage', tabindex: '0', role: 'group', 'aria-label': say('stage'), 'data-focus': 'stage' },
      this.canvas,
      this.points
    )
    this.status = make('div', { class: 'mf-status', role: 'status', 'aria-live': 'polite' })
    this.element = make('figure', { class: 'mf-face' }, this.stage, this.status)
    this.buttons = new Map()
    this.stop = draggable(this.stage, {
      start: (event) => this.grip(event),
      move: (state, event) => this.pull(state, event),
      end: (state, kept) => this.letGo(state, kept)
    })
    const hover = eachFrame((event) => this.hover(event))
    this.stage.addEventListener('pointermove', hover)
    this.stage.addEventListener('pointerleave', () => hover(null))
    this.stage.addEventListener('keydown', (event) => this.keys(event))
    this.stage.addEventListener('keyup', () => this.editor.commit())
    this.stage.addEventListener('dblclick', (event) => this.rest(event))
    this.say('empty')
  }

  /** Draws a picture and puts the handles on it. */
  show(picture, handles) {
    if (this.canvas.width !== picture.width || this.canvas.height !== picture.height) {
      Object.assign(this.canvas, { width: picture.width, height: picture.height })
    }
    this.canvas.getContext('2d').drawImage(picture, 0, 0)
    picture.close()
    this.say(null)
    this.place(handles)
  }

  place(handles) {
    for (const [name, [x, y]] of Object.entries(handles)) {
      if (!groupOf(name) || name === 'head') continue
      if (!this.buttons.has(name)) {
        const label = say('handles')[name] ?? name
        const point = make('button', {
          type: 'button',
          class: 'mf-point',
          'aria-label': say('handle', label),
          'data-handle': name,
          'data-focus': `handle:${name}`
        }, make('span', { class: 'mf-tip', 'aria-hidden': 'true' }, label))
        this.buttons.set(name, point)
        this.points.append(point)
      }
      const point = this.buttons.get(name)
      point.hidden = !(x >= 0 && x <= 1 && y >= 0 && y <= 1)
      point.classList.toggle('mf-low', y > 0.85)
      Object.assign(point.style, { left: `${100 * x}%`, top: `${100 * y}%` })
    }
    for (const [name, point] of this.buttons) if (!(name in handles)) point.hidden = true
  }

  /** Shows a message instead of the picture, or over it; null takes it away. */
  say(kind, sentence) {
    if (this.told === `${kind}${sentence ?? ''}`) return
    this.told = `${kind}${sentence ?? ''}`
    this.element.dataset.state = kind ?? 'live'
    this.points.hidden = kind !== null
    if (!kind) return this.status.replaceChildren()
    const again = kind === 'away' || (kind === 'refused' && !this.editor.fault())
      ? make('button', { type: 'button', class: 'mf-again', onclick: () => this.editor.retry() }, say('retry'))
      : null
    this.status.replaceChildren(make('b', {}, say(`${kind}_title`)), make('p', {}, sentence ?? say(kind)), again ?? '')
  }

  /** The handle that has the focus, or the nearest to the pointer; the head where none is near. */
  handleAt(event) {
    if (!('clientX' in event)) return event.target.closest('.mf-point')?.dataset.handle ?? 'head'
    let [nearest, least] = ['head', REACH]
    for (const [name, point] of this.buttons) {
      const { x, y, width, height } = point.getBoundingClientRect()
      const away = width ? Math.hypot(event.clientX - x - width / 2, event.clientY - y - height / 2) : Infinity
      if (away < least) [nearest, least] = [name, away]
    }
    return nearest
  }

  /** Marks the handle that a press would take. */
  hover(event) {
    const near = event && this.element.dataset.state === 'live' ? this.handleAt(event) : null
    for (const [name, point] of this.buttons) point.classList.toggle('mf-near', name === near)
  }

  grip(event) {
    if (this.element.dataset.state !== 'live') return null
    const handle = this.handleAt(event)
    this.editor.openGroup(groupOf(handle))
    this.buttons.get(handle)?.focus({ preventScroll: true })
    if (handle === 'head') this.stage.focus({ preventScroll: true })
    this.element.classList.add('mf-held')
    this.buttons.get(handle)?.classList.add('mf-grip')
    const { edit } = this.editor
    const start = Object.fromEntries(controlsOf(handle, isSided(handle)).map((name) => [name, edit.get(name)]))
    return { handle, from: { get: (name) => start[name] ?? edit.get(name) }, x: event.clientX, y: event.clientY, dx: 0, dy: 0 }
  }

  /** Whether the other side goes along. */
  both(handle, event) {
    return isSided(handle) && this.editor.mirrored !== event.altKey
  }

  pull(state, event) {
    const { width, height } = this.stage.getBoundingClientRect()
    const share = event.shiftKey ? FINE : 1
    state.dx += ((event.clientX - state.x) / width) * share
    state.dy -= ((event.clientY - state.y) / height) * share
    Object.assign(state, { x: event.clientX, y: event.clientY })
    this.editor.live(pulled(state.from, state.handle, state.dx, state.dy, this.both(state.handle, event)))
  }

  letGo({ handle }, kept) {
    this.element.classList.remove('mf-held')
    this.buttons.get(handle)?.classList.remove('mf-grip')
    if (kept) this.editor.commit()
    else this.editor.revert()
  }

  keys(event) {
    if (event.ctrlKey || event.metaKey || this.element.dataset.state !== 'live') return
    const handle = this.handleAt(event)
    const arrow = ARROWS[event.key]
    if (arrow) {
      const way = NUDGE * (event.shiftKey ? FINE : 1)
      this.editor.openGroup(groupOf(handle))
      this.editor.live(pulled(this.editor.edit, handle, arrow[0] * way, arrow[1] * way, this.both(handle, event)))
    } else if (['0', 'Delete', 'Backspace'].includes(event.key)) this.rest(event)
    else return
    event.preventDefault()
  }

  /** Puts the controls of a handle at rest. */
  rest(event) {
    const handle = this.handleAt(event)
    if (this.element.dataset.state === 'live') this.editor.reset(controlsOf(handle, this.both(handle, event)))
  }
}
