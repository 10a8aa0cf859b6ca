// Which controls a handle of the face moves, and how far.

// [controls towards +, controls towards −, units for a way of the whole picture]. Ways go to the image's right and up.
// A control whose range reaches below its rest needs no opposite. `{side}` is the handle's side; with both sides moved
// together, sideways ways of a pair are mirrored where `outwards` is set: + is away from the middle of the face.
const HANDLES = {
  head: { group: 'head', x: [['yaw'], [], 110], y: [['pitch'], [], 90] },
  iris: { group: 'eyes', x: [['gaze_x_{side}'], [], 12], y: [['gaze_y_{side}'], [], 12] },
  upper_lid: { group: 'lids', y: [[], ['blink_{side}'], 20] },
  brow: { group: 'brows', y: [['brow_outer_up_{side}', 'brow_inner_up_{side}'], ['brow_down_{side}'], 8] },
  mouth: {
    group: 'mouth',
    outwards: true,
    x: [['mouth_stretch_{side}'], [], 9],
    y: [['mouth_smile_{side}'], ['mouth_frown_{side}'], 8]
  },
  jaw: { group: 'jaw_cheeks_nose', x: [['jaw_shift'], [], 8], y: [[], ['jaw_open'], 6] },
  lips: { group: 'mouth', x: [['mouth_shift'], [], 8], y: [['upper_lip_up_{both}'], ['lower_lip_down_{both}'], 8] }
}
const SIDES = ['right', 'left']

/** {side, kind} of a handle such as `right_iris` or `mouth_left`; no side for those of the middle. */
function parts(name) {
  const side = SIDES.find((one) => name.startsWith(`${one}_`) || name.endsWith(`_${one}`)) ?? null
  return { side, kind: side ? name.replace(`${side}_`, '').replace(`_${side}`, '') : name }
}

const named = (names, sides) =>
  names.flatMap((name) =>
    /\{/.test(name) ? (name.includes('{both}') ? SIDES : sides).map((side) => name.replace(/\{\w+\}/, side)) : [name]
  )

/** Every control that handles move, for the tests. */
export const movedByHandles = () =>
  Object.values(HANDLES).flatMap(({ x, y }) =>
    [x, y].filter(Boolean).flatMap(([more, less]) => named([...more, ...less], SIDES))
  )

/** The group of a handle's controls, or null where the page does not know the handle. */
export const groupOf = (handle) => HANDLES[parts(handle).kind]?.group ?? null

/** Whether a handle has a counterpart on the other side. */
export const isSided = (handle) => parts(handle).side !== null

/** The controls that a handle moves, on its side or on both. */
export function controlsOf(handle, both) {
  const { side, kind } = parts(handle)
  const sides = both ? SIDES : [side]
  const { x, y } = HANDLES[kind]
  return [x, y].filter(Boolean).flatMap(([more, less]) => named([...more, ...less], sides))
}

/**
 * New positions of the controls of a handle.
 *
 * @param edit where they start (`get(name)`)
 * @param {string} handle its name
 * @param {number} dx way to the image's right, as a share of the picture
 * @param {number} dy way up, likewise
 * @param {boolean} both whether the other side goes along
 * @returns {Object} name → position
 */
export function pulled(edit, handle, dx, dy, both) {
  const { side, kind } = parts(handle)
  const { x, y, outwards } = HANDLES[kind]
  const sides = both ? SIDES : [side]
  const out = outwards && side === 'right' ? -dx : dx
  const changes = {}
  for (const [axis, way] of [
    [x, out],
    [y, dy]
  ]) {
    if (!axis) continue
    const [more, less, units] = axis
    const change = way * units
    const [ups, downs] = [named(more, sides), named(less, sides)]
    if (!downs.length) for (const name of ups) changes[name] = edit.get(name) + change
    else if (!ups.length) for (const name of downs) changes[name] = edit.get(name) - change
    else opposed(edit, ups, downs, change, changes)
  }
  return changes
}

/** Moves controls against their opposites: what one has is taken back before the other begins. */
function opposed(edit, ups, downs, change, changes) {
  const start = Math.max(...ups.map((name) => edit.get(name))) - Math.max(...downs.map((name) => edit.get(name)))
  const end = start + change
  for (const name of ups) changes[name] = Math.max(end, 0)
  for (const name of downs) changes[name] = Math.max(-end, 0)
}
