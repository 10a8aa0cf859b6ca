// The editor of keyframes: the face at the playhead, the timeline, and what a key is made of.
import { iconButton, make } from './dom.js'
import { isLinked } from './host.js'
import { EASINGS, Keyframes, LOOPS } from './keyframes.js'
import { Lanes } from './lanes.js'
import { NodeEditor } from './node_editor.js'
import { say } from './texts.js'

/** One editor; what is dragged on its face becomes keys at the playhead. */
export class KeyframeEditor extends NodeEditor {
  assembled() {
    this.timeline = new Keyframes(this.catalogue, this.widget.value)
    Object.assign(this, { time: 0, selected: null, playing: null })
    this.edit = { get: (name) => this.timeline.at(name, this.time) } // what the face's handles start from
    this.lanes = new Lanes(this)
    const hint = make('p', { class: 'mf-hint' }, say('keyframe_hint'))
    const left = make('div', { class: 'mf-left' }, this.tools(), this.face.element, hint)
    this.panel = make('section', { class: 'mf-panel' }, this.transport(), this.lanes.element, this.inspector())
    this.element.addEventListener('keydown', (event) => this.space(event))
    return make('div', { class: 'mf-body mf-keyframes' }, left, this.panel)
  }

  transport() {
    this.play = iconButton('play', say('play'), () => (this.playing ? this.pause() : this.run()))
    this.clock = make('output', { class: 'mf-clock' })
    const number = (name, step) => {
      const field = make('input', { class: 'mf-number', type: 'number', min: step, step, 'aria-label': say(name), 'data-focus': name })
      field.addEventListener('change', () => Number(field.value) > 0 && this.resize({ [name]: Number(field.value) }))
      return field
    }
    this.length = number('length', 0.1)
    this.fps = number('fps', 1)
    this.loop = this.choice('loop', LOOPS, say('loops'), (loop) => this.resize({ loop }))
    const skip = (name, way) => iconButton(name, say(name), () => this.skip(way))
    const labelled = (name, field) => make('label', {}, make('span', {}, say(name)), field)
    return make(
      'div',
      { class: 'mf-tools mf-transport', role: 'toolbar' },
      skip('previous', -1),
      this.play,
      skip('next', 1),
      this.clock,
      make('span', { class: 'mf-gap' }),
      labelled('length', this.length),
      labelled('fps', this.fps),
      this.loop
    )
  }

  choice(name, values, labels, chosen) {
    const options = values.map((value) => make('option', { value }, labels[value]))
    const select = make('select', { class: 'mf-choice', 'aria-label': say(name), 'data-focus': name }, ...options)
    select.addEventListener('change', () => chosen(select.value))
    return select
  }

  /** Below the lanes: a curve more, and the chosen key in numbers. */
  inspector() {
    const groups = this.catalogue.groups.map(({ name, label }) =>
      Object.assign(make('optgroup', {}, ...this.catalogue.controls.filter(({ group }) => group === name).map((one) => this.option(one))), { label })
    )
    this.more = make('select', { class: 'mf-choice', 'aria-label': say('add_curve'), 'data-focus': 'add_curve' }, make('option', { value: '' }, say('add_curve')), ...groups)
    this.more.addEventListener('change', () => {
      const name = this.more.value
      this.more.value = ''
      if (!name) return
      this.select(name, this.timeline.set(name, this.time, this.timeline.at(name, this.time)))
      this.edited()
      this.commit()
    })
    const number = (name) => {
      const field = make('input', { class: 'mf-number', type: 'number', step: 'any', 'aria-label': say(name), 'data-focus': name })
      field.addEventListener('change', () => field.value !== '' && this.keyTo({ [name]: Number(field.value) }))
      return field
    }
    this.keyTime = number('time')
    this.keyValue = number('position')
    this.easing = this.choice('easing', Object.keys(EASINGS), say('easings'), (easing) => this.keyTo({ easing }))
    const gone = iconButton('remove', say('remove_key'), () => this.selected && this.removeKey(this.selected.name, this.selected.key))
    const labelled = (name, field) => make('label', {}, make('span', {}, say(name)), field)
    this.chosen = make('div', { class: 'mf-chosen-key' }, labelled('time', this.keyTime), labelled('position', this.keyValue), this.easing, gone)
    return make('div', { class: 'mf-tools mf-inspector' }, this.more, make('span', { class: 'mf-gap' }), this.chosen)
  }

  option({ name, label, pair }) {
    const side = name.endsWith('_right') ? 'right' : 'left'
    return make('option', { value: name }, pair ? `${label}, ${say(side)}` : label)
  }

  space(event) {
    if (event.key !== ' ' || event.target.closest('button, input, select')) return
    event.preventDefault()
    this.play.click()
  }

  /** A sentence where the timeline cannot be shown or changed here, or null. */
  fault() {
    if (isLinked(this.node, this.widget.name)) return say('linked')
    return this.timeline.fault && say('fault', this.timeline.fault)
  }

  sent() {
    return this.timeline.sent(this.time)
  }

  openGroup() {} // the face's handles have no sliders to open here

  // --- the value

  read() {
    if (!this.timeline || this.moving) return
    const seen = `${isLinked(this.node, this.widget.name)} ${this.widget.value}`
    if (seen === this.seen) return
    this.seen = seen
    this.timeline.read(this.widget.value)
    this.selected = null
    this.changed()
  }

  /** Positions at the playhead: keys there, without writing the value. */
  live(changes) {
    if (this.fault()) return
    for (const [name, position] of Object.entries(changes)) {
      const there = this.timeline.curves.has(name)
      if (there || Math.abs(position - this.timeline.at(name, this.time)) > 1e-6) this.timeline.set(name, this.time, position)
    }
    this.edited()
  }

  /** The timeline has changed and is not written yet. */
  edited() {
    this.moving = true
    this.changed()
  }

  /** Writes the value, as one step of undo. */
  commit() {
    this.moving = false
    const text = this.timeline.text()
    const written = new Keyframes(this.catalogue, this.widget.value)
    if (this.fault() || (!written.fault && written.text() === text)) return
    this.seen = `false ${text}`
    this.write(text)
  }

  revert() {
    this.moving = false
    this.seen = null
    this.read()
  }

  reset(names) {
    this.live(Object.fromEntries(names.filter((name) => this.timeline.curves.has(name)).map((name) => [name, this.catalogue.get(name).rest])))
    this.commit()
  }

  resize(given) {
    this.timeline.resize(given)
    this.time = Math.min(this.time, this.timeline.length)
    this.changed()
    this.commit()
  }

  /** Changes the chosen key. */
  keyTo({ time, position, easing }) {
    if (!this.selected) return
    const { name, key } = this.selected
    if (easing) key.easing = easing
    this.timeline.move(name, key, time ?? key.time, position ?? key.value)
    this.changed()
    this.commit()
  }

  removeKey(name, key) {
    this.timeline.remove(name, key)
    this.selected = null
    this.changed()
    this.commit()
  }

  removeCurve(name) {
    this.timeline.curves.delete(name)
    this.selected = null
    this.changed()
    this.commit()
  }

  // --- what is shown

  select(name, key) {
    if (this.selected?.key === key) return
    this.selected = key ? { name, key } : null
    this.changed()
  }

  changed() {
    const { timeline, selected } = this
    const fault = this.fault()
    this.panel.inert = Boolean(fault)
    if (fault) return this.face.say('refused', fault)
    this.lanes.show()
    for (const name of ['length', 'fps', 'loop']) if (document.activeElement !== this[name]) this[name].value = timeline[name]
    this.chosen.hidden = !selected
    if (selected) {
      this.keyTime.value = selected.key.time
      this.keyValue.value = selected.key.value
      this.easing.value = selected.key.easing
    }
    this.tick()
  }

  tick() {
    const frame = Math.round(this.time * this.timeline.fps)
    this.clock.value = say('moment', this.time.toFixed(2), frame)
    this.request()
  }

  /** Moves the playhead, to a frame. */
  seek(time) {
    this.time = this.timeline.snapped(time)
    this.lanes.seek()
    this.tick()
  }

  /** Moves the playhead to the next key before or behind it. */
  skip(way) {
    const times = [...this.timeline.curves.values()].flat().map((key) => key.time)
    const beyond = times.filter((time) => (time - this.time) * way > 1e-4)
    if (beyond.length) this.seek(way > 0 ? Math.min(...beyond) : Math.max(...beyond))
  }

  run() {
    const from = performance.now() - (this.time < this.timeline.length - 1e-4 ? this.time * 1000 : 0)
    const frame = () => {
      const gone = (performance.now() - from) / 1000
      if (this.timeline.loop === 'none' && gone >= this.timeline.length) {
        this.seek(this.timeline.length)
        return this.pause()
      }
      this.seek(this.timeline.looped(gone))
      this.playing = requestAnimationFrame(frame)
    }
    this.element.classList.add('mf-playing')
    this.playing = requestAnimationFrame(frame)
  }

  pause() {
    cancelAnimationFrame(this.playing)
    this.playing = null
    this.element.classList.remove('mf-playing')
  }

  /** Takes what a run tells of its time: the waveform is shown; a new timeline has the run's length. */
  took({ waveform, waveform_seconds: seconds, fps, length }) {
    this.waveform = waveform && { peaks: waveform, seconds }
    if (!this.timeline) return
    if (this.widget.value === '{}' && waveform && fps && length) this.resize({ fps, length })
    this.lanes.show()
  }

  fit() {
    super.fit()
    this.lanes.show()
  }

  close() {
    this.pause()
    super.close()
    this.lanes?.close()
  }
}
