// The value of an edit: parsed from its JSON text, changed, written again.

export const VERSION = 1 // of edits

/** A number at the steps of a control and within its range. */
export function fitted(control, value) {
  const steps = Math.round((value - control.rest) / control.step)
  const near = Number((control.rest + steps * control.step).toFixed(6))
  return Math.min(control.high, Math.max(control.low, near))
}

/** A sentence for what is wrong with a text, or null. */
function fault(value) {
  if (value === null || typeof value !== 'object' || Array.isArray(value)) return 'this is not an edit'
  if ((value.version ?? VERSION) !== VERSION) return `this edit is of version ${value.version}`
  if (value.controls != null && (typeof value.controls !== 'object' || Array.isArray(value.controls)))
    return 'its controls are not named numbers'
  return null
}

/** An edit: positions of controls by name, absent ones at rest; `fault` is set where its text could not be read. */
export class Edit {
  constructor(catalogue, text) {
    this.catalogue = catalogue
    this.read(text)
  }

  /** Takes over a text. What this page does not know is kept for the next writing. */
  read(text) {
    let value = null
    try {
      value = JSON.parse(text || '{}')
    } catch {
      // told by `fault`
    }
    this.fault = fault(value)
    this.others = this.fault ? {} : value
    this.neutralFirst = this.others.neutral_first === true
    this.positions = new Map()
    for (const [name, position] of Object.entries(this.others.controls ?? {})) {
      if (Number.isFinite(position)) this.positions.set(name, position)
    }
  }

  get(name) {
    return this.positions.get(name) ?? this.catalogue.get(name)?.rest ?? 0
  }

  /** Sets a control, within its range; at rest it is absent. */
  set(name, position) {
    const control = this.catalogue.get(name)
    if (!control || !Number.isFinite(position)) return
    const near = fitted(control, position)
    if (near === control.rest) this.positions.delete(name)
    else this.positions.set(name, near)
  }

  isAtRest(names) {
    return names.every((name) => !this.positions.has(name))
  }

  /** Everything at rest, also what an unreadable text has left. */
  clear() {
    this.positions.clear()
    this.neutralFirst = false
    this.fault = null
    this.others = {}
  }

  /** The value as it is written and sent. */
  value() {
    const controls = {}
    for (const { name } of this.catalogue.controls) {
      if (this.positions.has(name)) controls[name] = this.positions.get(name)
    }
    for (const [name, position] of this.positions) controls[name] ??= position
    return { ...this.others, version: VERSION, controls, neutral_first: this.neutralFirst }
  }

  /** The text for the widget. An edit without any change is written as the widget's default. */
  text() {
    const value = this.value()
    const others = Object.keys(value).filter((name) => !['version', 'controls', 'neutral_first'].includes(name))
    const plain = !others.length && !this.neutralFirst && !this.positions.size
    return plain ? '{}' : JSON.stringify(value)
  }

  /** The value for a preview: known controls only, with the positions of the node's own sliders laid on it. */
  sent(sliders) {
    const controls = {}
    for (const control of this.catalogue.controls) {
      const { name, rest } = control
      const slider = sliders.get(name)
      const here = this.get(name)
      const both = slider == null ? here : rest === 0 ? here + slider : here * slider
      const position = Math.min(control.high, Math.max(control.low, both))
      if (position !== rest) controls[name] = position
    }
    return { version: VERSION, controls, neutral_first: this.neutralFirst }
  }
}
