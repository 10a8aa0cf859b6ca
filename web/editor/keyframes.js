// The value of a timeline: keys of controls over time, evaluated, changed, and written as JSON.
import { fitted } from './value.js'

const VERSION = 1
export const EASINGS = {
  smooth: (u) => u * u * (3 - 2 * u),
  linear: (u) => u,
  ease_in: (u) => u * u,
  ease_out: (u) => 1 - (1 - u) * (1 - u),
  hold: () => 0
}
export const LOOPS = ['none', 'repeat', 'ping_pong']
const DEFAULTS = { fps: 25, length: 4, loop: 'none' }

/** A sentence for what is wrong with a value, or null. */
function fault(value) {
  if (value === null || typeof value !== 'object' || Array.isArray(value)) return 'this is not a timeline'
  if ((value.version ?? VERSION) !== VERSION) return `this timeline is of version ${value.version}`
  const { curves = {}, fps = 25, length = 4 } = value
  if (!(fps > 0) || !(length > 0)) return 'its rate and length must be above 0'
  if (typeof curves !== 'object' || Array.isArray(curves)) return 'its curves are not named lists of keys'
  for (const [name, keys] of Object.entries(curves)) {
    const good = Array.isArray(keys) && keys.every((key) => Array.isArray(key) && key.slice(0, 2).every(Number.isFinite))
    if (!good) return `the keys of ${name} are not times and positions`
  }
  return null
}

/** Keys by control, each {time, value, easing} in the order of time; the easing rules the way to the next key. */
export class Keyframes {
  constructor(catalogue, text) {
    this.catalogue = catalogue
    this.read(text)
  }

  read(text) {
    let value = null
    try {
      value = JSON.parse(text || '{}')
    } catch {
      // told by `fault`
    }
    this.fault = fault(value)
    this.others = this.fault ? {} : value
    for (const name of Object.keys(DEFAULTS)) this[name] = this.others[name] ?? DEFAULTS[name]
    this.curves = new Map()
    for (const [name, keys] of Object.entries(this.others.curves ?? {})) {
      this.curves.set(name, keys.map(([time, position, easing = 'smooth']) => ({ time, value: position, easing })))
    }
  }

  get frames() {
    return Math.max(1, Math.round(this.length * this.fps))
  }

  /** The nearest frame's time, within the timeline. */
  snapped(time) {
    const frame = Math.round(Math.min(Math.max(time, 0), this.length) * this.fps)
    return Number(Math.min(frame / this.fps, this.length).toFixed(5))
  }

  keys(name) {
    return this.curves.get(name) ?? []
  }

  /** The position of a control at a time of one run. */
  at(name, time) {
    const keys = this.keys(name)
    if (!keys.length) return this.catalogue.get(name)?.rest ?? 0
    const next = keys.findIndex((key) => key.time > time)
    if (next === 0) return keys[0].value
    if (next < 0) return keys.at(-1).value
    const [from, to] = [keys[next - 1], keys[next]]
    const ease = EASINGS[from.easing] ?? EASINGS.smooth
    return from.value + (to.value - from.value) * ease((time - from.time) / (to.time - from.time))
  }

  /** The time within one run that a time of play stands for. */
  looped(time) {
    if (this.loop === 'none') return Math.min(time, this.length)
    if (this.loop === 'repeat') return time % this.length
    const there = time % (2 * this.length)
    return there > this.length ? 2 * this.length - there : there
  }

  /** Sets the key of a frame; one that is there keeps its easing. Gives the key. */
  set(name, time, value, easing) {
    const control = this.catalogue.get(name)
    if (!control || !Number.isFinite(value)) return null
    const at = this.snapped(time)
    const keys = this.keys(name)
    let key = keys.find((one) => Math.abs(one.time - at) < 0.5 / this.fps)
    if (!key) {
      key = { time: at, easing: 'smooth' }
      this.curves.set(name, [...keys, key].sort((a, b) => a.time - b.time))
    }
    Object.assign(key, { value: fitted(control, value) }, easing && { easing })
    return key
  }

  /** Moves a key; it stays between its neighbours. */
  move(name, key, time, value) {
    const keys = this.keys(name)
    const index = keys.indexOf(key)
    const frame = 1 / this.fps
    const least = index > 0 ? keys[index - 1].time + frame : 0
    const most = index < keys.length - 1 ? keys[index + 1].time - frame : this.length
    const at = this.snapped(Math.min(Math.max(time, least), most))
    Object.assign(key, { time: at, value: fitted(this.catalogue.get(name), value) })
  }

  /** Takes a key away; a control without keys has no curve. */
  remove(name, key) {
    const left = this.keys(name).filter((one) => one !== key)
    if (left.length) this.curves.set(name, left)
    else this.curves.delete(name)
  }

  /** Changes length or rate; keys behind the end go, all others stay on frames of their own. */
  resize(given) {
    Object.assign(this, given)
    for (const [name, keys] of this.curves) {
      const kept = new Map(keys.filter((key) => key.time <= this.length).map((key) => [this.snapped(key.time), key]))
      if (!kept.size) this.curves.delete(name)
      else this.curves.set(name, [...kept].map(([time, key]) => Object.assign(key, { time })))
    }
  }

  /** The text for the widget; a timeline without a change is written as the widget's default. */
  text() {
    const curves = {}
    for (const [name, keys] of this.curves) curves[name] = keys.map(({ time, value, easing }) => [time, value, easing])
    const { fps, length, loop } = this
    const plain = !this.curves.size && fps === DEFAULTS.fps && length === DEFAULTS.length && loop === DEFAULTS.loop
    return plain ? '{}' : JSON.stringify({ ...this.others, version: VERSION, fps, length, loop, curves })
  }

  /** The edit at a time of one run, for a preview. */
  sent(time) {
    const controls = {}
    for (const name of this.curves.keys()) {
      const control = this.catalogue.get(name)
      if (!control) continue
      const position = Math.min(control.high, Math.max(control.low, this.at(name, time)))
      if (position !== control.rest) controls[name] = Number(position.toFixed(4))
    }
    return { version: VERSION, controls, neutral_first: false }
  }
}
