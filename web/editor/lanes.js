// The lanes of a timeline: a ruler with the waveform, and the curve of each control with its keys.
import { draggable, eachFrame, iconButton, make } from './dom.js'
import { say } from './texts.js'

const SAMPLES = 200 // of a curve
const REACH = 10 // pixels within which a key is taken
const MARGIN = 0.12 // of a lane's height, above and below the control's range
const SVG = 'http://www.w3.org/2000/svg'
const TICKS = [0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600] // seconds
const FEWEST_PIXELS = 56 // between ticks

const drawing = (name) => {
  const svg = document.createElementNS(SVG, 'svg')
  svg.setAttribute('viewBox', '0 0 1 1')
  svg.setAttribute('preserveAspectRatio', 'none')
  svg.setAttribute('class', name)
  const path = svg.appendChild(document.createElementNS(SVG, 'path'))
  return { svg, draw: (line) => path.setAttribute('d', line) }
}

/** Lanes. `editor` has `timeline`, `time`, `selected`, `seek`, `select`, `edited`, `commit`, `revert` and `catalogue`. */
export class Lanes {
  constructor(editor) {
    this.editor = editor
    this.wave = drawing('mf-wave')
    this.ticks = make('div', { class: 'mf-ticks' })
    this.ruler = make(
      'div',
      { class: 'mf-ruler', role: 'slider', tabindex: '0', 'aria-label': say('playhead'), 'data-focus': 'ruler' },
      this.wave.svg,
      this.ticks
    )
    this.head = make('i', { class: 'mf-playhead', 'aria-hidden': 'true' })
    this.told = make('output', { class: 'mf-told', hidden: true })
    this.rows = make('div', { class: 'mf-rows mf-lanes' })
    const top = make('div', { class: 'mf-lane mf-top' }, make('span', { class: 'mf-name-of' }), this.ruler)
    this.element = make('div', { class: 'mf-timeline' }, top, this.rows, this.head, this.told)
    this.lanes = new Map()
    this.stops = [this.scrubbing(this.ruler)]
    this.ruler.addEventListener('keydown', (event) => this.rulerKeys(event))
  }

  /** Dragging there moves the playhead. */
  scrubbing(track) {
    return draggable(track, {
      start: (event) => {
        this.editor.seek(this.timeAt(event))
        return {}
      },
      move: (_, event) => this.editor.seek(this.timeAt(event)),
      end: () => {}
    })
  }

  timeAt(event) {
    const { x, width } = this.ruler.getBoundingClientRect()
    return ((event.clientX - x) / width) * this.editor.timeline.length
  }

  rulerKeys(event) {
    if (event.ctrlKey || event.metaKey) return
    const { timeline, time } = this.editor
    const frame = (event.shiftKey ? 10 : 1) / timeline.fps
    const to = { ArrowRight: time + frame, ArrowLeft: time - frame, Home: 0, End: timeline.length }[event.key]
    if (to === undefined) return
    this.editor.seek(to)
    event.preventDefault()
  }

  /** Shows ruler, waveform, curves and playhead as they are. */
  show() {
    const { timeline, waveform } = this.editor
    const { peaks = [], seconds = 0 } = waveform ?? {}
    const place = (at) => (((at + 0.5) / peaks.length) * seconds) / timeline.length
    const loud = peaks.map((peak, at) => (place(at) < 1 ? `M${place(at)} ${0.5 - peak / 2}V${0.5 + peak / 2}` : ''))
    this.wave.draw(loud.join(''))
    const width = this.ruler.clientWidth || 400
    const step = TICKS.find((one) => (one / timeline.length) * width >= FEWEST_PIXELS) ?? TICKS.at(-1)
    const ticks = []
    for (let tick = 0; tick <= timeline.length + 1e-6; tick += step) {
      const mark = make('span', {}, `${Number(tick.toFixed(2))}`)
      mark.style.left = `${(100 * tick) / timeline.length}%`
      ticks.push(mark)
    }
    this.ticks.replaceChildren(...ticks)
    this.ruler.setAttribute('aria-valuemax', timeline.length)
    for (const [name, lane] of this.lanes) {
      if (timeline.curves.has(name)) continue
      lane.stop()
      lane.element.remove()
      this.lanes.delete(name)
    }
    for (const name of timeline.curves.keys()) {
      if (!this.lanes.has(name)) this.lanes.set(name, this.lane(name))
      this.lanes.get(name).show()
    }
    this.rows.dataset.empty = this.lanes.size ? '' : say('no_curves')
    this.seek()
  }

  /** Puts the playhead where the time is. */
  seek() {
    const { timeline, time } = this.editor
    this.ruler.setAttribute('aria-valuenow', Number(time.toFixed(3)))
    this.ruler.setAttribute('aria-valuetext', say('moment', time.toFixed(2), Math.round(time * timeline.fps)))
    this.head.style.setProperty('--at', time / timeline.length)
  }

  lane(name) {
    const { editor } = this
    const control = editor.catalogue.get(name) ?? { label: name, low: -1, high: 1, rest: 0, step: 0.05 }
    const side = name.endsWith('_right') ? say('right_short') : name.endsWith('_left') ? say('left_short') : ''
    const label = control.pair ? `${control.label} ${side}` : control.label
    const curve = drawing('mf-curve')
    const zero = make('i', { class: 'mf-zero' })
    const track = make('div', { class: 'mf-lane-track' }, zero, curve.svg)
    const remove = iconButton('remove', say('remove_curve', label), () => editor.removeCurve(name))
    const title = make('span', { class: 'mf-name-of', title: control.tooltip }, make('b', {}, label), remove)
    const element = make('div', { class: 'mf-lane', 'data-lane': name }, title, track)
    const up = (value) => MARGIN + ((control.high - value) / (control.high - control.low)) * (1 - 2 * MARGIN)
    const valueAt = (event) => {
      const { y, height } = track.getBoundingClientRect()
      const down = ((event.clientY - y) / height - MARGIN) / (1 - 2 * MARGIN)
      return control.high - down * (control.high - control.low)
    }
    this.rows.append(element)
    zero.style.top = `${100 * up(control.rest)}%`
    const points = []
    const show = () => {
      const { timeline, selected } = editor
      const line = []
      for (let at = 0; at <= SAMPLES; at++) {
        line.push(`${at ? 'L' : 'M'}${at / SAMPLES} ${up(timeline.at(name, (at / SAMPLES) * timeline.length)).toFixed(4)}`)
      }
      curve.draw(line.join(''))
      const keys = timeline.keys(name)
      while (points.length > keys.length) points.pop().remove()
      keys.forEach((key, index) => {
        points[index] ??= track.appendChild(this.point(name, index))
        const point = points[index]
        point.style.left = `${(100 * key.time) / timeline.length}%`
        point.style.top = `${100 * up(key.value)}%`
        point.dataset.easing = key.easing
        point.classList.toggle('mf-chosen', selected?.key === key)
        point.setAttribute('aria-label', say('key', label, key.time.toFixed(2), key.value, say('easings')[key.easing]))
      })
    }
    const stop = this.laneDrag(name, track, valueAt)
    return { element, show, stop }
  }

  point(name, index) {
    const point = make('button', { type: 'button', class: 'mf-key', 'data-focus': `key:${name}:${index}` })
    point.addEventListener('focus', () => this.editor.select(name, this.editor.timeline.keys(name)[index]))
    point.addEventListener('keydown', (event) => this.keyKeys(event, name, index))
    point.addEventListener('keyup', () => this.editor.commit())
    return point
  }

  keyKeys(event, name, index) {
    if (event.ctrlKey || event.metaKey) return
    const { editor } = this
    const { timeline } = editor
    const key = timeline.keys(name)[index]
    const { step } = editor.catalogue.get(name)
    const many = event.shiftKey ? 10 : 1
    const frame = many / timeline.fps
    const way = { ArrowRight: [frame, 0], ArrowLeft: [-frame, 0], ArrowUp: [0, many * step], ArrowDown: [0, -many * step] }[event.key]
    if (way) {
      timeline.move(name, key, key.time + way[0], key.value + way[1])
      editor.edited()
    } else if (['Delete', 'Backspace'].includes(event.key)) editor.removeKey(name, key)
    else if (event.key === 'Enter') editor.seek(key.time)
    else return
    event.preventDefault()
  }

  /** The key near the pointer, or undefined: the point is picked, not the line. */
  keyAt(name, track, event) {
    let [found, least] = [undefined, REACH]
    ;[...track.querySelectorAll('.mf-key')].forEach((point, index) => {
      const { x, y, width, height } = point.getBoundingClientRect()
      const away = Math.hypot(event.clientX - x - width / 2, event.clientY - y - height / 2)
      if (away < least) [found, least] = [this.editor.timeline.keys(name)[index], away]
    })
    return found
  }

  /** Keys are dragged; elsewhere the playhead moves. A double click makes a key or takes one away. */
  laneDrag(name, track, valueAt) {
    const { editor } = this
    const tell = eachFrame((event) => this.tell(event, name, event && valueAt(event)))
    track.addEventListener('pointermove', tell)
    track.addEventListener('pointerleave', () => tell(null))
    track.addEventListener('dblclick', (event) => {
      const key = this.keyAt(name, track, event)
      if (key) return editor.removeKey(name, key)
      editor.select(name, editor.timeline.set(name, this.timeAt(event), valueAt(event)))
      editor.edited()
      editor.commit()
    })
    return draggable(track, {
      start: (event) => {
        const key = this.keyAt(name, track, event)
        if (!key) editor.seek(this.timeAt(event))
        else editor.select(name, key)
        return { key, x: event.clientX, y: event.clientY }
      },
      move: (state, event) => {
        if (!state.key) return editor.seek(this.timeAt(event))
        if (Math.hypot(event.clientX - state.x, event.clientY - state.y) < 3 && !state.moved) return
        state.moved = true
        editor.timeline.move(name, state.key, this.timeAt(event), event.shiftKey ? state.key.value : valueAt(event))
        editor.edited()
      },
      end: (state, kept) => state.moved && (kept ? editor.commit() : editor.revert())
    })
  }

  /** Tells time, frame and position under the pointer. */
  tell(event, name, value) {
    this.told.hidden = !event
    if (!event) return
    const { timeline, catalogue } = this.editor
    const { x, y, width, height } = this.element.getBoundingClientRect()
    const time = timeline.snapped(this.timeAt(event))
    const { low, high, step } = catalogue.get(name)
    const near = Math.min(high, Math.max(low, Math.round(value / step) * step))
    this.told.value = `${say('moment', time.toFixed(2), Math.round(time * timeline.fps))} · ${Number(near.toFixed(3))}`
    const scale = this.element.offsetWidth / width
    this.told.style.left = `${Math.min((event.clientX - x + 12) * scale, this.element.offsetWidth - 150)}px`
    this.told.style.top = `${Math.min((event.clientY - y) * scale + 14, height * scale - 24)}px`
  }

  close() {
    for (const stop of this.stops) stop()
    for (const lane of this.lanes.values()) lane.stop()
  }
}
