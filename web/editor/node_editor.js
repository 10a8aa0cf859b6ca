// What the editors on nodes share: their place in the page, the face, and previews of it.
import { controls } from './catalogue.js'
import { iconButton, make } from './dom.js'
import { Face } from './face.js'
import { isSelected, keep, kept, onReconnected, select, step, style, wheelToCanvas, write } from './host.js'
import { recalled, remember } from './sources.js'
import { Stream } from './stream.js'
import { say } from './texts.js'

export const NARROW = 560 // width in pixels below which the parts stand one over another, see editor.css
export const least = (width) => (width < NARROW ? width + 360 : 480) // height that they need
const SIZES = [192, 256, 384, 512] // pixels of previews

/**
 * The editor of one node. Those that extend it have `fault()` (a sentence or null), `sent()` (the edit to preview),
 * `read()` (the widget's value is shown) and `assembled()` (their elements, once `catalogue` and `face` are there).
 */
export class NodeEditor {
  constructor(node, widget) {
    Object.assign(this, { node, widget, mirrored: kept('mirrored', true), moving: false, source: null, closed: false })
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
      this.unavailable = true
      if (!this.closed) this.element.replaceChildren(this.unbuilt(error))
      return
    }
    this.unavailable = false
    if (this.closed) return
    this.face = new Face(this)
    this.element.replaceChildren(this.assembled())
    this.resized.observe(this.face.element)
    this.read()
    this.sourceIs(this.source ?? this.remembered())
  }

  /** What stands in place of an editor whose server does not tell its controls. */
  unbuilt(error) {
    const again = make('button', { type: 'button', class: 'mf-again', onclick: () => this.build() }, say('retry'))
    const told = [make('b', {}, say('away_title')), make('p', {}, error.message), again]
    return make('div', { class: 'mf-status mf-alone', role: 'status' }, ...told)
  }

  /** Buttons that undo and redo steps of the page, and one for both sides; more are put behind them. */
  tools(...more) {
    this.mirror = iconButton('mirror', say('both'), () => {
      this.mirrored = !this.mirrored
      keep('mirrored', this.mirrored)
      this.mirror.setAttribute('aria-pressed', this.mirrored)
      this.mirrorChanged?.()
    })
    this.mirror.setAttribute('aria-pressed', this.mirrored)
    const back = iconButton('undo', say('undo'), () => step('undo'))
    const forth = iconButton('redo', say('redo'), () => step('redo'))
    return make('div', { class: 'mf-tools', role: 'toolbar' }, back, forth, make('span', { class: 'mf-gap' }), this.mirror, ...more)
  }

  /** Keys belong to the editor; those with Ctrl or ⌘ to the page, except while text is typed. */
  keys(event) {
    const typing = event.target.tagName === 'INPUT'
    if (typing || !(event.ctrlKey || event.metaKey)) event.stopPropagation()
  }

  /** The wheel scrolls the parts of a selected node; over any other it is the canvas's. */
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

  /** Writes a text as the node's value, as one step of undo. */
  write(text) {
    write(this.node, this.widget, text)
  }

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

  /** Wishes for the preview of the edit as it is. */
  request() {
    if (!this.source || !this.face || this.fault()) return
    const wish = { source: this.source, edit: this.sent(), size: this.size ?? SIZES[1] }
    const text = JSON.stringify(wish)
    if (text === this.wished) return
    this.wished = text
    this.face.stage.setAttribute('aria-busy', true)
    this.stream.want(wish)
  }

  /** Nothing more is wished for. */
  rested() {
    this.face.stage.setAttribute('aria-busy', false)
  }

  /** Asks for the preview again, whatever was answered before. */
  retry() {
    this.wished = null
    if (this.unavailable) this.build()
    else this.request()
  }

  /** Takes the height that the width needs, and the size of preview that the picture's place needs. */
  fit() {
    this.element.style.minHeight = `${least(this.element.clientWidth || NARROW)}px`
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
    this.face?.stop()
    this.resized.disconnect()
    this.stopHearing()
    this.element.remove()
  }
}
