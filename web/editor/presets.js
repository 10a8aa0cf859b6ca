// Presets: thumbnails of the own source, the user's own kept on the server.
import { keepUserData, userData } from './host.js'
import { presets as listed } from './catalogue.js'
import { icon, make } from './dom.js'
import { Stream } from './stream.js'
import { say } from './texts.js'
import { VERSION } from './value.js'

const FILE = 'presets.json'
const SIZE = 128 // pixels of a thumbnail

/** Whether this page can lay a kept preset over an edit; others, such as those of a later version, stay in the file. */
const usable = (one) => typeof one?.label === 'string' && one.value?.controls && (one.value.version ?? VERSION) === VERSION

/** The strip of presets. `editor` has `edit`, `source`, `sent`, `apply(value, instead)` and `busy`. */
export class Presets {
  constructor(editor) {
    this.editor = editor
    this.strip = make('div', { class: 'mf-strip', role: 'group', 'aria-label': say('presets'), 'data-capture-wheel': 'true' })
    this.element = make('section', { class: 'mf-presets' }, this.strip)
    this.own = []
    this.waiting = []
    this.stream = new Stream(
      (picture, _, preset) => this.shown(picture, preset),
      () => (this.waiting = []),
      () => this.next()
    )
    this.load()
  }

  async load() {
    try {
      this.given = await listed()
      const kept = (await userData(FILE)) ?? []
      this.own = kept.filter(usable)
      this.unusable = kept.filter((one) => !usable(one))
    } catch {
      this.given ??= [] // the editor works without presets, and writes none over those that it could not read
    }
    this.build()
  }

  build() {
    this.strip.replaceChildren(...this.given.map((one) => this.card(one)), ...this.own.map((one) => this.card(one, true)))
    const keep = make('button', { type: 'button', class: 'mf-card mf-keep', title: say('keep_preset'), 'aria-label': say('keep_preset'), 'data-focus': 'keep', onclick: () => this.ask() },
      make('span', { class: 'mf-thumbnail' }, icon('keep')))
    this.strip.append(keep)
    this.draw()
  }

  card(preset, own = false) {
    const canvas = make('canvas', { class: 'mf-thumbnail', width: SIZE, height: SIZE })
    const title = say('preset', preset.label)
    const apply = (event) => this.editor.apply(preset.value, event.altKey)
    const button = make('button', { type: 'button', class: 'mf-card', title, 'aria-label': title, 'data-focus': `preset:${preset.label}`, onclick: apply }, canvas, make('span', {}, preset.label))
    preset.canvas = canvas
    if (!own) return button
    const text = say('remove_preset', preset.label)
    const remove = make('button', { type: 'button', class: 'mf-remove', title: text, 'aria-label': text, onclick: () => this.drop(preset) }, icon('remove'))
    return make('span', { class: 'mf-own' }, button, remove)
  }

  /** Draws the thumbnails of the source as it is now, one after the other. */
  draw() {
    const { source } = this.editor
    if (!this.given || !source) return
    this.waiting = [...this.given, ...this.own].filter((one) => one.drawn !== source)
    this.next()
  }

  /** Asks for the next thumbnail, unless the picture itself is under way. */
  next() {
    if (this.editor.busy || this.stream.active || !this.waiting.length) return
    const preset = this.waiting.shift()
    const { version, controls, neutral_first = false } = preset.value
    this.stream.want({ source: this.editor.source, edit: { version, controls, neutral_first }, size: SIZE }, preset)
  }

  shown(picture, preset) {
    preset.drawn = this.editor.source
    preset.canvas.getContext('2d').drawImage(picture, 0, 0, SIZE, SIZE)
    preset.canvas.classList.add('mf-drawn')
    picture.close()
  }

  /** Asks for a name in the strip and keeps the expression under it. */
  ask() {
    const field = make('input', { class: 'mf-name', maxLength: 24, placeholder: say('preset_name'), 'aria-label': say('preset_name') })
    let asking = true
    const done = (kept) => {
      if (!asking) return // taking the field away blurs it
      asking = false
      const label = field.value.trim()
      field.remove()
      if (kept && label) this.keep(label)
    }
    field.addEventListener('keydown', (event) => {
      if (event.key === 'Enter') done(true)
      if (event.key === 'Escape') done(false)
    })
    field.addEventListener('blur', () => done(false))
    this.strip.append(field)
    field.focus()
  }

  keep(label) {
    const { version, controls, neutral_first } = this.editor.edit.value()
    this.own = [...this.own.filter((one) => one.label !== label), { label, value: { version, controls, neutral_first } }]
    this.save()
  }

  drop(preset) {
    this.own = this.own.filter((one) => one !== preset)
    this.save()
  }

  save() {
    const own = this.own.map(({ label, value }) => ({ label, value }))
    if (this.unusable) keepUserData(FILE, [...this.unusable, ...own]).catch(() => {})
    for (const one of [...this.given, ...this.own]) one.drawn = null
    this.build()
  }

  close() {
    this.stream.close()
  }
}
