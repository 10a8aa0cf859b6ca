// The sources that runs have left, by node: an undo or a reload finds them again.
import { nodeKey } from './host.js'

const known = new Map()
const kept = (node) => `mimaface.source/${nodeKey(node)}`

/** Keeps the opaque key of a node's source for as long as the tab lives. */
export function remember(node, source) {
  known.set(nodeKey(node), source)
  try {
    sessionStorage.setItem(kept(node), source)
  } catch {
    // a page without storage forgets it at its next loading
  }
}

/** The key that was kept for a node, or null. */
export function recalled(node) {
  try {
    return known.get(nodeKey(node)) ?? sessionStorage.getItem(kept(node))
  } catch {
    return known.get(nodeKey(node)) ?? null
  }
}
