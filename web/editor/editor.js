// The editor of an edit: picture, sliders, presets and tools of one node.
import { iconButton, make } from './dom.js'
import { NodeEditor } from './node_editor.js'
import { Panel } from './panel.js'
import { Presets } from './presets.js'
import { say } from './texts.js'
import { Edit } from './value.js'

/** One editor. `widget` is the schema's widget with the value, `sliders()` the node's own sliders that are moved. */
export class Editor extends NodeEditor {
  constructor(node, widget, sliders) {
    super(node, widget)
    this.sliders = sliders
  }

  assembled() {
    this.edit = new Edit(this.catalogue, this.widget.value)
    this.panel = new Panel(this)
    this.presets = new Presets(this)
    const hint = make('p', { class: 'mf-hint' }, say('hint'))
    const left = make('div', { class: 'mf-left' }, this.ownTools(), this.face.element, hint, this.presets.element)
    return make('div', { class: 'mf-body' }, left, this.panel.element)
  }

  ownTools() {
    this.neutral = iconButton('neutral', say('neutral'), () => {
      this.edit.neutralFirst = !this.edit.neutralFirst
      this.changed()
      this.commit()
    })
    const compare = iconButton('compare', say('compare'), null)
    const hold = (held) => {
      this.comparing = held
      this.request()
    }
    compare.addEventListener('pointerdown', () => hold(true))
    for (const end of ['pointerup', 'pointerleave', 'blur', 'keyup']) {
      compare.addEventListener(end, () => this.comparing && hold(false))
    }
    compare.addEventListener('keydown', (event) => [' ', 'Enter'].includes(event.key) && !event.repeat && hold(true))
    this.clean = iconButton('reset', say('reset'), () => this.resetAll())
    return this.tools(this.neutral, compare, this.clean)
  }

  mirrorChanged() {
    this.panel.open(this.panel.group)
  }

  fault() {
    return this.edit.fault
  }

  /** Shows the values of the node's widgets, if they are others than those shown. */
  read() {
    if (!this.edit || this.moving) return
    const seen = JSON.stringify([this.widget.value, ...this.sliders()])
    if (seen === this.seen) return
    this.seen = seen
    this.edit.read(this.widget.value)
    this.changed()
  }

  /** Moves controls without writing the value: a drag goes on. */
  live(changes) {
    if (this.edit.fault) return
    this.moving = true
    for (const [name, position] of Object.entries(changes)) this.edit.set(name, position)
    this.changed()
  }

  /** Writes the value, as one step of undo. */
  commit() {
    if (this.edit.fault) return
    this.moving = false
    const text = this.edit.text()
    const written = new Edit(this.catalogue, this.widget.value)
    if (written.fault || written.text() !== text) this.write(text)
    this.panel.show()
  }

  /** Takes a drag back. */
  revert() {
    this.moving = false
    this.seen = null
    this.read()
  }

  reset(names) {
    this.live(Object.fromEntries(names.map((name) => [name, this.catalogue.get(name)?.rest])))
    this.commit()
  }

  resetAll() {
    this.edit.clear()
    this.changed()
    this.commit()
  }

  /** Lays a preset over the edit; `instead` of it, if so. */
  apply({ controls, neutral_first }, instead) {
    if (this.edit.fault) return
    if (instead) this.edit.clear()
    if (neutral_first) this.edit.neutralFirst = true
    this.live(controls)
    this.commit()
  }

  /** Shows the edit as it is now, everywhere. */
  changed() {
    this.panel.show()
    this.neutral.setAttribute('aria-pressed', this.edit.neutralFirst)
    this.clean.disabled = this.edit.text() === '{}' && !this.edit.fault
    if (this.edit.fault) this.face.say('refused', say('fault', this.edit.fault))
    else this.request()
  }

  openGroup(group) {
    if (this.catalogue.groups.some(({ name }) => name === group)) this.panel.open(group)
  }

  sent() {
    return this.comparing ? { version: 1, controls: {}, neutral_first: false } : this.edit.sent(this.sliders())
  }

  get busy() {
    return this.stream.active
  }

  rested() {
    super.rested()
    this.presets.next()
  }

  retry() {
    super.retry()
    this.presets?.draw()
  }

  close() {
    super.close()
    this.presets?.close()
    this.panel?.clear()
  }
}
