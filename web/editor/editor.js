// The editor of an edit: picture, sliders, presets and tools of one node.
import { controls } from './catalogue.js'
import { iconButton, make } from './dom.js'
import { Face } from './face.js'
import { isSelected, onReconnected, select, step, style, wheelToCanvas, write } from './host.js'
import { Panel } from './panel.js'
import { Presets } from './presets.js'
import { recalled, remember } from './sources.js'
import { Stream } from './stream.js'
import { say } from './texts.js'
import { Edit } from './value.js'

const SIZES = [192, 256, 384, 512] // pixels of previews

/** One editor. `node` is its node, `widget` the schema's widget with the value, `sliders()` the node's own sliders. */
export class Editor {
  constructor(node, widget, sliders) {
    Object.assign(this, { node, widget, sliders, mirrored: true, moving: false, source: null, closed: false })
    style('editor.css')
    this.element = make('div', { class: 'mf-editor', 'data-capture-wheel': 'true' })
    this.element.addEventListener('keydown', (event) => this.keys(event))
    this.element.addEventListener('pointerdown', () => select(node), true)
    this.element.addEventListener('wheel', (event) => this.wheel(event), { passive: false })
    for (const kind of ['pointerdown', 'dblclick', 'contextmenu', 'copy', 'paste', 'cut']) {
      this.element.addEventListener(kind, (event) => event.stopPropagation())
    }
    this.stream = new Stream(
      (picture, handles) => this.face.show(picture, handles),
      (sentence, kind) => this.face.say(kind, kind === 'refused' ? sentence : undefined),
      () => this.rested()
    )
    this.stopHearing = onReconnected(() => this.retry())
    this.resized = new ResizeObserver(() => this.fit())
    this.build()
  }

  async build() {
    try {
      this.catalogue = await controls()
    } catch (error) {
      if (this.closed) return
      const again = make('button', { type: 'button', class: 'mf-again', onclick: () => this.build() }, say('retry'))
      this.element.replaceChildren(make('div', { class: 'mf-status mf-alone', role: 'status' }, make('b', {}, say('away_title')), make('p', {}, error.message), again))
      return
    }
    if (this.closed) return
    this.edit = new Edit(this.catalogue, this.widget.value)
    this.face = new Face(this)
    this.panel = new Panel(this)
    this.presets = new Presets(this)
    const side = make('div', { class: 'mf-left' }, this.tools(), this.face.element, make('p', { class: 'mf-hint' }, say('hint')), this.presets.element)
    this.element.replaceChildren(make('div', { class: 'mf-body' }, side, this.panel.element))
    this.resized.observe(this.face.element)
    this.read()
    this.sourceIs(this.source ?? this.remembered())
  }

  tools() {
    const pressed = (name, title, flag, change) => {
      const button = iconButton(name, title, () => {
        change()
        button.setAttribute('aria-pressed', flag())
      })
      button.setAttribute('aria-pressed', flag())
      return button
    }
    this.mirror = pressed('mirror', say('both'), () => this.mirrored, () => {
      this.mirrored = !this.mirrored
      this.panel.open(this.panel.group)
    })
    this.neutral = pressed('neutral', say('neutral'), () => this.edit.neutralFirst, () => {
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
    for (const end of ['pointerup', 'pointerleave', 'blur', 'keyup']) compare.addEventListener(end, () => this.comparing && hold(false))
    compare.addEventListener('keydown', (event) => [' ', 'Enter'].includes(event.key) && !event.repeat && hold(true))
    this.clean = iconButton('reset', say('reset'), () => this.resetAll())
    const gap = make('span', { class: 'mf-gap' })
    const tools = [iconButton('undo', say('undo'), () => step('undo')), iconButton('redo', say('redo'), () => step('redo'))]
    return make('div', { class: 'mf-tools', role: 'toolbar' }, ...tools, gap, this.mirror, this.neutral, compare, this.clean)
  }

  /** Keys belong to the editor; those with Ctrl or ⌘ to the page, except while text is typed. */
  keys(event) {
    const typing = event.target.tagName === 'INPUT'
    if (typing || !(event.ctrlKey || event.metaKey)) event.stopPropagation()
  }

  /** The wheel scrolls the sliders of a selected node; over any other it is the canvas's. */
  wheel(event) {
    const pane = event.target.closest('.mf-rows, .mf-strip')
    const scrolls = pane && (pane.scrollHeight > pane.clientHeight || pane.scrollWidth > pane.clientWidth)
    if (!scrolls || event.ctrlKey || !isSelected(this.node)) return wheelToCanvas(event)
    if (pane.classList.contains('mf-strip')) {
      pane.scrollLeft += event.deltaX + event.deltaY
      event.preventDefault()
    }
    event.stopPropagation()
  }

  // --- the value

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
    if (written.fault || written.text() !== text) write(this.node, this.widget, text)
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

  // --- the preview

  /** Takes the source of a run. */
  sourceIs(source) {
    if (!source) return
    this.source = source
    remember(this.node, source)
    this.retry()
  }

  /** The source that a run of this node has left, or null. */
  remembered() {
    return recalled(this.node)
  }

  get busy() {
    return this.stream.active
  }

  /** Wishes for the preview of the edit as it is. */
  request() {
    if (!this.source || !this.edit || this.edit.fault) return
    const edit = this.comparing ? { version: 1, controls: {}, neutral_first: false } : this.edit.sent(this.sliders())
    const wish = { source: this.source, edit, size: this.size ?? SIZES[1] }
    const text = JSON.stringify(wish)
    if (text === this.wished) return
    this.wished = text
    this.face.stage.setAttribute('aria-busy', true)
    this.stream.want(wish)
  }

  rested() {
    this.face.stage.setAttribute('aria-busy', false)
    this.presets.next()
  }

  /** Asks for the preview again, whatever was answered before. */
  retry() {
    this.wished = null
    if (!this.edit) return this.build()
    this.request()
    this.presets.draw()
  }

  /** Takes the size of preview that the picture's place needs. */
  fit() {
    const wanted = this.face.stage.clientWidth * Math.min(devicePixelRatio, 2)
    const size = SIZES.findLast((one) => one <= wanted * 1.1) ?? SIZES[0]
    if (size === this.size) return
    this.size = size
    this.request()
  }

  /** Ends for good, with all that it has started. */
  close() {
    this.closed = true
    this.stream.close()
    this.presets?.close()
    this.panel?.clear()
    this.face?.stop()
    this.resized.disconnect()
    this.stopHearing()
    this.element.remove()
  }
}
