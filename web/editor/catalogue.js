// The controls and presets as the server lists them, asked for once.
import { ask } from './host.js'
import { named } from './texts.js'

const SIDE = /_(right|left)$/

/** Controls by name, in the order in which they are shown, and their groups. */
class Catalogue {
  constructor({ groups, controls }) {
    this.controls = controls.map((control) => {
      const name = control.name.replace(SIDE, '')
      return { ...control, label: named('control_names', name, control.label), tooltip: named('control_tips', name, control.tooltip) }
    })
    this.groups = groups.map(({ name, label }) => ({ name, label: named('group_names', name, label) }))
    this.byName = new Map(this.controls.map((control) => [control.name, control]))
  }

  get(name) {
    return this.byName.get(name)
  }

  /** The names of a group's controls. */
  names(group) {
    return this.controls.filter((control) => control.group === group).map(({ name }) => name)
  }

  /**
   * Rows of a group: a control, or a pair with the person's right side first. A control for both sides stands aside
   * where the sides have controls of their own, unless `moved(name)`.
   */
  rows(group, moved) {
    const seen = new Set()
    const rows = []
    for (const control of this.controls.filter((one) => one.group === group)) {
      const { name, tooltip, label } = control
      const sided = this.byName.has(`${name}_right`) && this.byName.has(`${name}_left`)
      if (seen.has(name) || (sided && !moved(name))) continue
      const pair = this.get(control.pair)
      if (pair) seen.add(pair.name)
      const sides = !pair ? [control] : name.endsWith('_left') ? [pair, control] : [control, pair]
      rows.push({ label, tooltip, sides })
    }
    return rows
  }
}

const answers = new Map()

/** What the server answers to a route, asked again only after it has failed. */
function once(route, made) {
  if (!answers.has(route)) {
    const answer = ask(route).then(async (reply) => {
      if (!reply.ok) throw new Error(`/mimaface/${route} answers ${reply.status}`)
      return made(await reply.json())
    })
    answer.catch(() => answers.delete(route))
    answers.set(route, answer)
  }
  return answers.get(route)
}

export const controls = () => once('controls', (answer) => new Catalogue(answer))
export const presets = () =>
  once('presets', (answer) =>
    answer.presets.map(({ name, label, value }) => ({ label: named('preset_names', name, label), value }))
  )
