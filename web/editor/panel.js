// The sliders of all controls, a tab for each group.
import { iconButton, make } from './dom.js'
import { slider } from './slider.js'
import { say } from './texts.js'

const SIDES = ['right', 'left']

/** Tabs with sliders. `editor` has `edit`, `catalogue`, `mirrored`, `live`, `commit`, `revert` and `reset`. */
export class Panel {
  constructor(editor) {
    this.editor = editor
    this.tabs = make('div', { class: 'mf-tabs', role: 'tablist', 'aria-label': say('groups') })
    this.body = make('div', { class: 'mf-rows', role: 'tabpanel', tabindex: '-1' })
    this.element = make('section', { class: 'mf-panel' }, this.tabs, this.body)
    for (const { name, label } of editor.catalogue.groups) this.tabs.append(this.tab(name, label))
    this.tabs.addEventListener('keydown', (event) => this.keys(event))
    this.sliders = []
    this.open(editor.catalogue.groups[0].name)
  }

  tab(name, label) {
    return make(
      'button',
      { type: 'button', class: 'mf-tab', role: 'tab', 'data-group': name, 'data-focus': `tab:${name}`, onclick: () => this.open(name) },
      label,
      make('i', { class: 'mf-dot', 'aria-hidden': 'true' })
    )
  }

  keys(event) {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key]
    if (!step || event.ctrlKey || event.metaKey) return
    const all = [...this.tabs.children]
    const next = all[(all.findIndex((tab) => tab.dataset.group === this.group) + step + all.length) % all.length]
    this.open(next.dataset.group)
    next.focus()
    event.preventDefault()
  }

  /** Shows the sliders of a group. */
  open(group) {
    if (this.group === group && this.whole === this.editor.mirrored) return
    this.group = group
    this.whole = this.editor.mirrored
    for (const tab of this.tabs.children) {
      const chosen = tab.dataset.group === group
      tab.setAttribute('aria-selected', chosen)
      tab.tabIndex = chosen ? 0 : -1
    }
    const { label } = this.editor.catalogue.groups.find(({ name }) => name === group)
    this.body.setAttribute('aria-label', label)
    this.clear()
    this.again = iconButton('reset', say('reset_group', label), () => this.editor.reset(this.editor.catalogue.names(group)))
    this.body.append(make('header', { class: 'mf-head' }, make('b', {}, label), this.again))
    const moved = (name) => !this.editor.edit.isAtRest([name])
    for (const row of this.editor.catalogue.rows(group, moved)) this.body.append(this.row(row))
    this.show()
  }

  /** A row: one slider, or one for each side where they are moved apart or stand apart. */
  row({ label, tooltip, sides }) {
    const { edit } = this.editor
    const apart = sides.length > 1 && (!this.whole || edit.get(sides[0].name) !== edit.get(sides[1].name))
    const holder = make('div', { class: 'mf-row', title: tooltip }, make('span', { class: 'mf-label' }, label))
    const shown = apart ? sides.map((side) => [side]) : [sides]
    shown.forEach((moved, index) => {
      const name = apart ? `${label}, ${say(SIDES[index])}` : label
      const one = slider(moved[0], name, {
        focus: moved[0].name,
        live: (position) => this.editor.live(Object.fromEntries(moved.map((control) => [control.name, position]))),
        commit: () => this.editor.commit(),
        revert: () => this.editor.revert()
      })
      const side = apart && make('abbr', { class: 'mf-side', title: say(`${SIDES[index]}_long`) }, say(`${SIDES[index]}_short`))
      holder.append(make('div', { class: 'mf-line' }, side || null, one.element))
      this.sliders.push({ ...one, control: moved[0].name })
    })
    if (apart) holder.classList.add('mf-apart')
    this.rows.push({ holder, sides, apart, row: { label, tooltip, sides } })
    return holder
  }

  /** Shows the positions as they are. */
  show() {
    const { edit, catalogue } = this.editor
    if (this.rows.some((one) => this.needsOther(one))) {
      const { group } = this
      const focus = this.body.contains(document.activeElement) && document.activeElement.dataset.focus
      this.group = null
      this.open(group)
      if (focus) this.body.querySelector(`[data-focus="${focus}"]`)?.focus()
      return
    }
    for (const one of this.sliders) one.show(edit.get(one.control))
    for (const { holder, sides } of this.rows) holder.classList.toggle('mf-set', !edit.isAtRest(sides.map(({ name }) => name)))
    this.again.disabled = edit.isAtRest(catalogue.names(this.group))
    for (const tab of this.tabs.children) tab.classList.toggle('mf-used', !edit.isAtRest(catalogue.names(tab.dataset.group)))
  }

  /** Whether a row shows its sides together although they stand apart by now. */
  needsOther({ sides, apart }) {
    const { edit } = this.editor
    return sides.length > 1 && !apart && edit.get(sides[0].name) !== edit.get(sides[1].name)
  }

  clear() {
    for (const { stop } of this.sliders) stop()
    this.sliders = []
    this.rows = []
    this.body.replaceChildren()
  }
}
